/** Who holds a lock, for the sentence of whoever comes too late: its file tells who took it last. */
import { readlink, type FileHandle } from 'node:fs/promises';
import { AtomicError } from '../../errors.ts';
import { escapeLine } from '../../escape.ts';
import { findLockHolders, readProgramName, readStartTime } from '../open-files.ts';
import type { LockRequest } from '../ports.ts';

const RECORD_BYTES = 1024;

interface Holder {
  readonly pid: number;
  /** See `readStartTime`. */
  readonly started: string;
  readonly program: string;
  /** Milliseconds since 1970. */
  readonly since: number;
}

export async function writeHolder(file: FileHandle, program: string): Promise<void> {
  const { pid } = process;
  const holder: Holder = { pid, started: (await readStartTime(pid)) ?? '', program, since: Date.now() };
  await file.truncate(0);
  await file.write(`${JSON.stringify(holder)}\n`, 0);
}

/** The error of a lock that could not be had. */
export async function describeHolder(file: FileHandle, { path, purpose }: LockRequest): Promise<AtomicError> {
  const found = await tellHolder(await readHolder(file), await findLockHolders(path));
  return new AtomicError('busy', `Cannot ${purpose}: ${found}`, {
    hint: 'Try again when it has ended, or wait for it longer: --wait SECONDS.',
  });
}

/** Whether who took a lock has died: only programs that it ran hold it, or held it until now. */
export async function isOrphaned(file: FileHandle, path: string): Promise<boolean> {
  const last = await readHolder(file);
  if (last === undefined || (await isAlive(last))) return false;
  const holders = await findLockHolders(path);
  return holders.length === 0 || (await findOrphan(last, holders)) !== undefined;
}

async function tellHolder(last: Holder | undefined, holders: readonly number[]): Promise<string> {
  if (last !== undefined && (await isAlive(last)) && (holders.length === 0 || holders.includes(last.pid)))
    return `${tellProcess(last)} is at it`;
  const [pid] = holders;
  if (pid === undefined) return 'another process is at it';
  const name = escapeLine((await readProgramName(pid)) ?? 'unknown');
  const orphan = await findOrphan(last, holders);
  if (last === undefined || orphan === undefined) return `process ${pid} (${name}) is at it`;
  return `${tellProcess(last)} has died, and its child ${orphan} (${name}) is still at work`;
}

/** A program that holds a lock for one of ours that has died. */
async function findOrphan(last: Holder | undefined, [pid]: readonly number[]): Promise<number | undefined> {
  if (pid === undefined || last === undefined || (await isAlive(last))) return undefined;
  // Another one of ours may share the lock with others, of which the last has gone.
  return (await isOurProgram(pid)) ? undefined : pid;
}

async function isAlive({ pid, started }: Holder): Promise<boolean> {
  return (await readStartTime(pid)) === started;
}

function tellProcess({ pid, program, since }: Holder): string {
  return `process ${pid} (${escapeLine(program)}, since ${formatTime(new Date(since))})`;
}

/** `10:31` of today, `2026-11-22 10:31` of any other day. */
function formatTime(time: Date): string {
  const digits = (number: number): string => String(number).padStart(2, '0');
  const clock = `${digits(time.getHours())}:${digits(time.getMinutes())}`;
  if (time.toDateString() === new Date().toDateString()) return clock;
  return `${time.getFullYear()}-${digits(time.getMonth() + 1)}-${digits(time.getDate())} ${clock}`;
}

async function isOurProgram(pid: number): Promise<boolean> {
  const program = await readlink(`/proc/${pid}/exe`).catch(() => undefined);
  return program === process.execPath;
}

/** Undefined when nobody has written one, or only a part of it. */
async function readHolder(file: FileHandle): Promise<Holder | undefined> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(RECORD_BYTES), 0, RECORD_BYTES, 0);
  try {
    const { pid, started, program, since } = JSON.parse(
      buffer.toString('utf8', 0, bytesRead),
    ) as Partial<Holder>;
    if (typeof pid !== 'number' || typeof started !== 'string') return undefined;
    return { pid, started, program: String(program), since: Number(since) };
  } catch {
    return undefined;
  }
}
