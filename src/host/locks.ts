import { spawn } from 'node:child_process';
import { constants } from 'node:fs';
import { mkdir, open, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { AtomicError, messageOf, systemCodeOf } from '../errors.ts';
import { quietEnvironment, type Environment } from './exec/environment.ts';
import { commandFailed, toolMissing } from './exec/failure.ts';
import { fileError } from './files/file-error.ts';
import type { HeldLock, Locks } from './ports.ts';

/** What flock(1) says when somebody else holds the lock; any number that it does not use itself. */
const CONFLICT = 75;
const PID_BYTES = 16;

/**
 * Locks by flock(2) on files that stay: node has no call for it, so flock(1) takes the lock on a descriptor that it
 * shares with us. It belongs to the open file and not to flock's process, so it dies with us, however we die.
 *
 * The file holds the pid of who took it last, for the sentence of whoever comes too late.
 */
export function createLocks(environment: Environment = process.env): Locks {
  return {
    async acquire(path, mode, waitMs) {
      const file = await openLockFile(path);
      try {
        const taken = await takeLock(file.fd, mode, waitMs, environment);
        if (!taken) throw await describeHolder(file, path);
        await writePid(file);
      } catch (error) {
        await file.close();
        throw error;
      }
      return holdLock(file, mode);
    },
  };
}

async function openLockFile(path: string): Promise<FileHandle> {
  try {
    await mkdir(dirname(path), { recursive: true });
    return await open(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
  } catch (error) {
    throw fileError(error, `lock ${path}`);
  }
}

function takeLock(
  descriptor: number,
  mode: 'shared' | 'exclusive',
  waitMs: number,
  environment: Environment,
): Promise<boolean> {
  const patience = waitMs > 0 ? ['-w', (waitMs / 1000).toFixed(3)] : ['-n'];
  const args = [mode === 'shared' ? '-s' : '-x', ...patience, '-E', String(CONFLICT), '3'];
  return new Promise((resolve, reject) => {
    const child = spawn('flock', args, {
      stdio: ['ignore', 'ignore', 'pipe', descriptor],
      env: quietEnvironment(environment),
      detached: true,
    });
    let stderr = '';
    child.stderr?.on('data', (chunk: Buffer) => {
      stderr = (stderr + chunk.toString()).slice(0, 4096);
    });
    child.on('error', (error) => {
      const isMissing = systemCodeOf(error) === 'ENOENT';
      reject(isMissing ? toolMissing('flock', error) : commandFailed('flock', messageOf(error), '', error));
    });
    child.on('close', (status, signal) => {
      if (status === 0 || status === CONFLICT) resolve(status === 0);
      else reject(commandFailed('flock', signal ? `ended by ${signal}` : `exit status ${status}`, stderr));
    });
  });
}

async function writePid(file: FileHandle): Promise<void> {
  await file.truncate(0);
  await file.write(`${process.pid}\n`, 0);
}

async function describeHolder(file: FileHandle, path: string): Promise<AtomicError> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(PID_BYTES), 0, PID_BYTES, 0);
  const pid = Number(/^([1-9]\d*)\n$/.exec(buffer.toString('latin1', 0, bytesRead))?.[1]);
  const holder = isAlive(pid) ? `process ${pid}` : 'another process';
  return new AtomicError('busy', `Cannot lock ${path}: ${holder} holds it`, {
    hint: 'Another atomic-ts is at work; try again when it has ended.',
  });
}

/** A shared lock's file names the last of its holders, who may have gone. */
function isAlive(pid: number): boolean {
  if (!Number.isSafeInteger(pid)) return false;
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return systemCodeOf(error) === 'EPERM';
  }
}

function holdLock(file: FileHandle, mode: 'shared' | 'exclusive'): HeldLock {
  let isHeld = true;
  return {
    async release() {
      if (!isHeld) return;
      isHeld = false;
      if (mode === 'exclusive') await file.truncate(0).catch(() => {});
      await file.close();
    },
  };
}
