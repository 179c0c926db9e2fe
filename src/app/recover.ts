/** The end of changes that died with their process: their journals are there, and nobody holds their locks. */
import { join } from 'node:path';
import { AtomicError, isAtomicError } from '../errors.ts';
import { isContainerName, type ContainerName } from '../container/name.ts';
import type { LockRequest } from '../host/ports.ts';
import { recoverJournal } from '../transaction/apply.ts';
import { isImportMark } from '../store/import-mark.ts';
import { journalFile, readJournal } from '../transaction/journal.ts';
import { nameChange, type Plan } from '../transaction/plan.ts';
import type { App } from './context.ts';
import {
  containerLockPath,
  journalFolder,
  journalPath,
  stagingFolder,
  storeLockPath,
  trashFolder,
} from './layout.ts';
import { recoveryContext } from './step-context.ts';
import { describeLost, endImports } from './sync-imports.ts';

/** Whose journal it is: a container's, or the image store's. */
export type Subject = ContainerName | undefined;

export interface Recovered {
  readonly plan: Plan;
  /** The process that began it. */
  readonly pid: number;
  readonly outcome: 'finished' | 'undone';
}

/** The lock that a change of a subject holds. */
export function lockOf(app: App, subject: Subject, purpose: string): Omit<LockRequest, 'waitMs'> {
  const path = subject === undefined ? storeLockPath(app) : containerLockPath(app, subject);
  return { path, mode: 'exclusive', purpose, signal: app.signal };
}

function nameSubject(subject: Subject): string {
  return subject === undefined ? 'the image store' : `the container ${subject}`;
}

/** Whose journals are there, and marks of imports: of living processes and of dead ones. @throws AtomicError `not-root` */
export async function listJournals(app: App): Promise<Subject[]> {
  const subjects = (await app.files.list(journalFolder(app))).flatMap((entry): Subject[] => {
    const name = entry.endsWith('.jsonl') ? entry.slice(0, -'.jsonl'.length) : '';
    if (isContainerName(name)) return [name];
    return entry === journalFile(undefined) || isImportMark(entry) ? [undefined] : [];
  });
  return [...new Set(subjects)];
}

/**
 * Ends an earlier change, if there is one. The caller holds the subject's lock.
 * @throws AtomicError `store-invalid` for a journal that cannot be read, `journal-open` for a change that could not be undone
 */
export async function recover(app: App, subject: Subject): Promise<Recovered | undefined> {
  const path = journalPath(app, subject);
  const journal = await readJournal(path, app.files);
  if (journal === undefined) {
    // Cut off in its first line: nothing had begun.
    await app.files.remove(path);
    return undefined;
  }
  if (journal.plan.container !== subject) {
    throw new AtomicError('store-invalid', `The journal ${path} is not one of ${nameSubject(subject)}`, {
      hint: 'Somebody has put it there: look at what it says, and remove it.',
    });
  }
  const outcome = await recoverJournal(journal, recoveryContext(app));
  return { plan: journal.plan, pid: journal.pid, outcome };
}

export function describeRecovery({ plan, pid, outcome }: Recovered): string {
  return `The ${nameChange(plan)} by process ${pid} was cut off: it is ${outcome} now`;
}

/** The same, and says so. Of the store, imports that died are ended as well. */
export async function recoverAndTell(app: App, subject: Subject): Promise<void> {
  const recovered = await recover(app, subject);
  if (recovered !== undefined) app.report({ event: 'notice', text: describeRecovery(recovered) });
  if (subject !== undefined) return;
  const lost = await endImports(app);
  if (lost.length > 0) app.report({ event: 'notice', text: describeLost(lost) });
}

/**
 * Ends whatever dead processes have left open, before a command begins: without waiting, and without touching what a
 * living process is at. What cannot be ended is told of and keeps no command from its own work.
 */
export async function recoverOpenChanges(app: App): Promise<void> {
  for (const subject of await listJournals(app)) {
    try {
      await withFreeLock(app, subject, () => recoverAndTell(app, subject));
    } catch (error) {
      if (!isAtomicError(error) || app.signal.aborted) throw error;
      if (error.code === 'busy') continue;
      app.report({ event: 'warning', text: `${error.message} (atomic-ts repair tells more)` });
    }
  }
}

/**
 * @param orphanWaitMs how long children are waited for that outlive a dead process
 * @throws AtomicError `busy` when a living process is at it
 */
export async function withFreeLock<T>(
  app: App,
  subject: Subject,
  work: () => Promise<T>,
  orphanWaitMs = 0,
): Promise<T> {
  const purpose = `repair ${nameSubject(subject)}`;
  const lock = await app.locks.acquire({ ...lockOf(app, subject, purpose), waitMs: 0, orphanWaitMs });
  try {
    return await work();
  } finally {
    await lock.release();
  }
}

/** Containers that have trees in the making, or in the trash. */
export async function listOwnersOfLeftovers(app: App): Promise<ContainerName[]> {
  const entries = [stagingFolder(app), trashFolder(app)].map((folder) => app.files.list(folder));
  return (await Promise.all(entries)).flat().map(ownerOf).filter(isContainerName);
}

/**
 * Removes what dead processes left of a container in one of our folders: trees in the making, or what they had set
 * aside. The caller holds the container's lock and has found no journal, so nobody is at these and nothing will ask for
 * them again.
 * @returns the paths of what is gone
 * @throws AtomicError `busy` when something is mounted there
 */
export async function removeLeftovers(app: App, name: ContainerName, folder: string): Promise<string[]> {
  const entries = (await app.files.list(folder)).filter((entry) => ownerOf(entry) === name);
  const paths = entries.map((entry) => join(folder, entry));
  for (const path of paths) await app.files.removeTree(path);
  return paths;
}

/** `NAME` of `NAME.PID` and `NAME.deployment`: what follows has no dot. */
function ownerOf(entry: string): string {
  return entry.slice(0, Math.max(entry.lastIndexOf('.'), 0));
}
