/**
 * What a transaction is about to do, on the disk before it does it: `FOLDER/CONTAINER.jsonl`, one JSON object a line.
 * The first line holds the plan, each further one a step that is about to begin with what its way back needs, or a step
 * that is undone; the last line of a transaction that ended well says so. A journal that is there while its process is not tells what to undo.
 */
import { dirname, join } from 'node:path';
import { AtomicError, isAtomicError } from '../errors.ts';
import type { HostFiles, JournalFile } from '../host/ports.ts';
import { isRecord, parseJson } from '../image/json.ts';
import { OWN_JSON_BYTES } from '../limits.ts';
import { makeOwnFolder, moveAndSync } from './durable.ts';
import { readFailure, type Failure } from './failure.ts';
import { nameChange, type Plan, type Step } from './plan.ts';
import { isKnownStep, type Before } from './steps.ts';

const VERSION = 1;

/** The file of a container's journal, or of the image store's. */
export function journalFile(container: string | undefined): string {
  return `${container ?? '@store'}.jsonl`;
}

export interface OpenJournal {
  readonly path: string;
  readonly pid: number;
  readonly plan: Plan;
  /** Steps that were begun and are not undone, in their order. */
  readonly begun: readonly { readonly index: number; readonly before: Before }[];
  readonly committed: boolean;
  /** Why it was being undone, when a service had not come up. */
  readonly failure: Failure | undefined;
}

export class Journal {
  readonly path: string;
  readonly #files: HostFiles;
  readonly #file: JournalFile;
  /** Whether the file may end in a part of a line. */
  #broken = false;

  private constructor(path: string, files: HostFiles, file: JournalFile) {
    this.path = path;
    this.#files = files;
    this.#file = file;
  }

  /** @throws AtomicError `journal-open` when an earlier transaction of this container has not been ended */
  static async create(folder: string, plan: Plan, files: HostFiles): Promise<Journal> {
    const path = join(folder, journalFile(plan.container));
    await makeOwnFolder(files, folder);
    // One that was cut off in its first line stands for a transaction that had not begun.
    if ((await readJournal(path, files)) === undefined) await files.remove(path);
    const file = await files.createJournal(path).catch((error: unknown) => {
      if (!isAtomicError(error, 'file-exists')) throw error;
      throw new AtomicError('journal-open', `An earlier ${nameChange(plan)} has not been ended: ${path}`, {
        cause: error,
        hint: 'Run the command again: it undoes the earlier change first.',
      });
    });
    try {
      await file.append(`${JSON.stringify({ journal: VERSION, pid: process.pid, ...plan })}\n`);
      await files.syncDirectory(folder);
      return new Journal(path, files, file);
    } catch (error) {
      // A first line that is not whole counts as none, if the file cannot be removed either.
      await file.close();
      await files.remove(path).catch(() => false);
      throw error;
    }
  }

  async begin(index: number, before: Before): Promise<void> {
    await this.#append({ begin: index, before });
  }

  async commit(): Promise<void> {
    await this.#append({ committed: true });
  }

  /** A service did not come up; never fails: all is undone without it, and nothing is kept for a look. */
  async fail(failure: Failure): Promise<void> {
    await this.#append({ failed: failure }).catch(() => undefined);
  }

  /** Never fails: the way back goes on without it. */
  async undone(index: number): Promise<void> {
    if (!this.#broken) await this.#append({ undone: index }).catch(() => undefined);
  }

  /** The last act: nothing is open any more. */
  async remove(): Promise<void> {
    await this.#file.close();
    await removeJournal(this.path, this.#files);
  }

  /** Leaves the journal where it is, for a later try to undo what could not be undone now. */
  async keep(): Promise<void> {
    await this.#file.close();
  }

  async #append(record: object): Promise<void> {
    try {
      await this.#file.append(`${JSON.stringify(record)}\n`);
    } catch (error) {
      this.#broken = true;
      throw error;
    }
  }
}

/** Nothing is open any more; whatever was to be told of the transaction is on the disk before. */
export async function removeJournal(path: string, files: HostFiles): Promise<void> {
  await files.remove(rewritten(path));
  await files.remove(path);
  await files.syncDirectory(dirname(path));
}

/** Where a journal is made anew, to take the place of one that may end in a part of a line. */
function rewritten(path: string): string {
  return `${path}.new`;
}

/** The same for a journal that another process left; never fails. */
export async function noteUndone(journal: OpenJournal, index: number, files: HostFiles): Promise<void> {
  const temporary = rewritten(journal.path);
  try {
    const text = (await files.readIfExists(journal.path, OWN_JSON_BYTES))?.toString('utf8') ?? '';
    const whole = text.slice(0, text.lastIndexOf('\n') + 1);
    await files.remove(temporary);
    await files.createFile(temporary, `${whole}${JSON.stringify({ undone: index })}\n`, 0o600);
    await moveAndSync(files, temporary, journal.path);
  } catch {
    // A full disk must not keep anything from being undone.
  }
}

/**
 * Reads a journal that another process left. A last line that was cut off counts as not written: its step had not begun.
 * @returns undefined when there is none, or none whose first line was whole: nothing had begun
 * @throws AtomicError `store-invalid`
 */
export async function readJournal(path: string, files: HostFiles): Promise<OpenJournal | undefined> {
  const text = (await files.readIfExists(path, OWN_JSON_BYTES))?.toString('utf8');
  const lines = text?.split('\n').slice(0, -1) ?? [];
  const [first, ...rest] = lines.map((line) => readLine(line, path));
  if (first === undefined) return undefined;
  if (first['journal'] !== VERSION || !Array.isArray(first['steps'])) throw unreadable(path);
  const steps: unknown[] = first['steps'];
  if (!steps.every((step): step is Step => isRecord(step) && isKnownStep(step))) throw unreadable(path);
  const undone = new Set(rest.map((record) => record['undone']));
  return {
    path,
    pid: Number(first['pid']),
    plan: {
      action: String(first['action']),
      container: typeof first['container'] === 'string' ? first['container'] : undefined,
      steps,
    },
    begun: rest.flatMap((record) =>
      typeof record['begin'] === 'number' && !undone.has(record['begin'])
        ? [{ index: record['begin'], before: record['before'] as Before }]
        : [],
    ),
    committed: rest.some((record) => record['committed'] === true),
    failure: rest.map((record) => readFailure(record['failed'])).find((failure) => failure !== undefined),
  };
}

function readLine(line: string, path: string): Readonly<Record<string, unknown>> {
  try {
    const record = parseJson(line, `the journal ${path}`, 'store-invalid');
    if (isRecord(record)) return record;
  } catch (error) {
    if (!isAtomicError(error)) throw error;
    throw unreadable(path, error);
  }
  throw unreadable(path);
}

function unreadable(path: string, cause?: unknown): AtomicError {
  return new AtomicError(
    'store-invalid',
    `The journal ${path} is damaged, or of another version of atomic-ts`,
    {
      cause,
      hint: 'Its lines are JSON and tell the steps that were begun. Put right by hand what they name, and remove it.',
    },
  );
}
