import { spawn } from 'node:child_process';
import { constants } from 'node:fs';
import { open, rm, stat, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { messageOf, systemCodeOf } from '../errors.ts';
import { makeFolder } from '../make-folder.ts';
import { adoptChild, killGroup, releaseChild } from './exec/children.ts';
import { quietEnvironment, type Environment } from './exec/environment.ts';
import { commandFailed, toolMissing } from './exec/failure.ts';
import { dropDescriptor, holdDescriptor } from './exec/held.ts';
import { fileError } from './files/file-error.ts';
import { describeHolder, isOrphaned, writeHolder } from './locks/holder.ts';
import type { HeldLock, LockRequest, Locks } from './ports.ts';

/** What flock(1) says when somebody else holds the lock; any number that it does not use itself. */
const CONFLICT = 75;

/**
 * Locks by flock(2) on files that stay: node has no call for it, so flock(1) takes the lock on a descriptor that it
 * shares with us. It belongs to the open file and not to flock's process; the programs that we run inherit it
 * (exec/held.ts), so it dies with us and the last of them, however we die.
 *
 * @param program how a message to others calls us: `atomic-ts update`
 */
export function createLocks(program: string, environment: Environment = process.env): Locks {
  return {
    async acquire(request) {
      for (;;) {
        const file = await openLockFile(request.path);
        try {
          const { path, orphanWaitMs = 0 } = request;
          let taken = await takeLock(file.fd, request, environment);
          if (!taken && orphanWaitMs > 0 && (await isOrphaned(file, path)))
            taken = await takeLock(file.fd, { ...request, waitMs: orphanWaitMs }, environment);
          if (!taken) throw await describeHolder(file, request);
          if (request.passing !== true || (await isStillThere(file, path))) {
            await writeHolder(file, program);
            return holdLock(file, request);
          }
        } catch (error) {
          await file.close();
          throw error;
        }
        // Its last holder has removed it; it may have come again since, for others to lock.
        await file.close();
      }
    },
  };
}

async function isStillThere(file: FileHandle, path: string): Promise<boolean> {
  const [locked, there] = await Promise.all([file.stat(), stat(path).catch(() => undefined)]);
  return there?.ino === locked.ino && there.dev === locked.dev;
}

async function openLockFile(path: string): Promise<FileHandle> {
  try {
    await makeFolder(dirname(path));
    return await open(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
  } catch (error) {
    throw fileError(error, `lock ${path}`);
  }
}

/** @returns whether it was had in time */
function takeLock(
  descriptor: number,
  { mode, waitMs, signal }: LockRequest,
  environment: Environment,
): Promise<boolean> {
  const patience = waitMs === Infinity ? [] : waitMs > 0 ? ['-w', (waitMs / 1000).toFixed(3)] : ['-n'];
  const args = [mode === 'shared' ? '-s' : '-x', ...patience, '-E', String(CONFLICT), '3'];
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const child = spawn('flock', args, {
      stdio: ['ignore', 'ignore', 'pipe', descriptor],
      env: quietEnvironment(environment),
      detached: true,
    });
    const { pid } = child;
    if (pid !== undefined) adoptChild(pid, 'SIGTERM');
    const onAbort = (): void => void (pid !== undefined && killGroup(pid, 'SIGTERM'));
    signal?.addEventListener('abort', onAbort);
    let stderr = '';
    child.stderr?.on('data', (chunk: Buffer) => {
      stderr = (stderr + chunk.toString()).slice(0, 4096);
    });
    child.on('error', (error) => {
      const isMissing = systemCodeOf(error) === 'ENOENT';
      reject(isMissing ? toolMissing('flock', error) : commandFailed('flock', messageOf(error), '', error));
    });
    child.on('close', (status, ending) => {
      if (pid !== undefined) releaseChild(pid);
      signal?.removeEventListener('abort', onAbort);
      if (status === 0 || status === CONFLICT) resolve(status === 0);
      else if (signal?.aborted === true) reject(signal.reason as Error);
      else reject(commandFailed('flock', ending ? `ended by ${ending}` : `exit status ${status}`, stderr));
    });
  });
}

function holdLock(file: FileHandle, { path, mode, passing = false }: LockRequest): HeldLock {
  if (!passing) holdDescriptor(file.fd);
  let isHeld = true;
  return {
    async release() {
      if (!isHeld) return;
      isHeld = false;
      if (passing) await rm(path, { force: true }).catch(() => {});
      else dropDescriptor(file.fd);
      // Others may share a shared lock, and the file then tells of one of them.
      if (mode === 'exclusive') await file.truncate(0).catch(() => {});
      await file.close();
    },
  };
}
