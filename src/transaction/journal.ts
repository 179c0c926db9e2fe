/**
 * What a transaction is about to do, on the disk before it does it: `FOLDER/CONTAINER.jsonl`, one JSON object a line.
 * The first line holds the plan, each further one a step that is about to begin with what its way back needs, or a step
 * that is undone; the last line of a transaction that ended well says so. A journal that is there while its process is not tells what to undo.
 */
import { join } from 'node:path';
import { AtomicError, isAtomicError } from '../errors.ts';
import type { HostFiles, JournalFile } from '../host/ports.ts';
import { isRecord, parseJson } from '../image/json.ts';
import { OWN_JSON_BYTES } from '../limits.ts';
import type { Plan, Step } from './plan.ts';
import type { Before } from './steps.ts';

const VERSION = 1;

export interface OpenJournal {
  readonly path: string;
  readonly pid: number;
  readonly plan: Plan;
  /** Steps that were begun and are not undone, in their order. */
  readonly begun: readonly { readonly index: number; readonly before: Before }[];
  readonly committed: boolean;
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
    const path = join(folder, `${plan.container}.jsonl`);
    await files.makeDirectory(folder, 0o700);
    // One that was cut off in its first line stands for a transaction that had not begun.
    if ((await readJournal(path, files)) === undefined) await files.remove(path);
    const file = await files.createJournal(path).catch((error: unknown) => {
      if (!isAtomicError(error, 'file-exists')) throw error;
      throw new AtomicError(
        'journal-open',
        `An earlier change of ${plan.container} has not been ended: ${path}`,
        {
          cause: error,
          hint: 'Run the command again: it undoes the earlier change first.',
        },
      );
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

  /** Never fails: the way back goes on without it. */
  async undone(index: number): Promise<void> {
    if (!this.#broken) await this.#append({ undone: index }).catch(() => undefined);
  }

  /** The last act: nothing is open any more. */
  async remove(): Promise<void> {
    await this.#file.close();
    await this.#files.remove(this.path);
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

/** The same for a journal that another process left; never fails. */
export async function noteUndone(journal: OpenJournal, index: number, files: HostFiles): Promise<void> {
  try {
    const text = (await files.readIfExists(journal.path, OWN_JSON_BYTES))?.toString('utf8') ?? '';
    const whole = text.slice(0, text.lastIndexOf('\n') + 1);
    await files.writeFileAtomic(journal.path, `${whole}${JSON.stringify({ undone: index })}\n`, 0o600);
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
  const [first, ...rest] = lines.map((line) => parseJson(line, `the journal ${path}`, 'store-invalid'));
  if (first === undefined) return undefined;
  if (!isRecord(first) || first['journal'] !== VERSION || !Array.isArray(first['steps'])) {
    throw new AtomicError('store-invalid', `the journal ${path} is not one that this version can read`);
  }
  const records = rest.filter(isRecord);
  const undone = new Set(records.map((record) => record['undone']));
  return {
    path,
    pid: Number(first['pid']),
    plan: {
      action: String(first['action']),
      container: String(first['container']),
      steps: first['steps'] as Step[],
    },
    begun: records.flatMap((record) =>
      typeof record['begin'] === 'number' && !undone.has(record['begin'])
        ? [{ index: record['begin'], before: record['before'] as Before }]
        : [],
    ),
    committed: records.some((record) => record['committed'] === true),
  };
}
