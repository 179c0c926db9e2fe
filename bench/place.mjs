// Where the measured data lies: a mount namespace of our own, and in it a file system that nobody else writes to.
// Both end with the last process in the namespace, however that comes about.
import { execFileSync, spawn } from 'node:child_process';
import { closeSync, ftruncateSync, mkdirSync, mkdtempSync, openSync, rmSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const MEMORY = '/dev/shm';
const NAMESPACE = 'ATOMIC_TS_BENCH_NAMESPACE';

/** Runs this very program again in a mount namespace of its own; false when it is in one already. */
export async function enterNamespace() {
  if (process.env[NAMESPACE] !== undefined) return false;
  const env = { ...process.env, [NAMESPACE]: '1' };
  // It would be read at each start of node, and is not a part of what is measured.
  delete env.NODE_EXTRA_CA_CERTS;
  const command = ['--mount', '--propagation', 'private', process.execPath, ...process.argv.slice(1)];
  const child = spawn('unshare', command, { stdio: 'inherit', env });
  // Ctrl-C reaches the child as well, which cleans up; we wait for it.
  process.on('SIGINT', () => undefined);
  process.on('SIGTERM', () => child.kill('SIGTERM'));
  process.exitCode = await new Promise((resolve) => {
    child.on('error', (error) => {
      console.error(`bench: cannot make a mount namespace: ${error.message}`);
      resolve(1);
    });
    child.on('exit', (code) => resolve(code ?? 1));
  });
  return true;
}

/**
 * A folder for all data. On an ext4 in memory when there is room for `gigabytes`: elsewhere the writes of others, and
 * our own of the run before, are in the figures.
 */
export function makePlace(gigabytes) {
  const { bavail, bsize } = statfsSync(MEMORY);
  const folder = mkdtempSync(join(tmpdir(), 'atomic-ts-bench-'));
  const remove = () => rmSync(folder, { recursive: true, force: true });
  if (bavail * bsize < gigabytes * 2 ** 30) {
    return { folder, remove, description: `${tmpdir()}, an ordinary disk: mind the noise` };
  }
  const image = join(MEMORY, `atomic-ts-bench-${process.pid}`);
  try {
    const file = openSync(image, 'wx');
    ftruncateSync(file, gigabytes * 2 ** 30);
    closeSync(file);
    execFileSync('mkfs.ext4', ['-q', '-F', '-E', 'nodiscard,lazy_itable_init=0,lazy_journal_init=0', image]);
    execFileSync('mount', ['-o', 'loop,noatime', image, folder]);
  } finally {
    // The mount holds it; it is gone with the mount.
    rmSync(image, { force: true });
  }
  const data = join(folder, 'data');
  mkdirSync(data);
  return {
    folder: data,
    remove() {
      execFileSync('umount', ['--lazy', folder]);
      remove();
    },
    description: `an ext4 of ${gigabytes} GiB in ${MEMORY}`,
  };
}
