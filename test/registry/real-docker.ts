import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

export interface RealDocker {
  /** `unix:///…/docker.sock`, for DOCKER_HOST. */
  readonly host: string;
  readonly socketPath: string;
  /** What it wrote so far, for a failed test. */
  log(): string;
  close(): Promise<void>;
}

/** Docker's own program, as its package brings it, whatever stands before it in PATH. */
export const DOCKER_PROGRAM = '/usr/bin/docker';

/** Hides the machine's /run, where the engine would leave a folder and look for a containerd. */
const START = 'mount -t tmpfs none /run && exec dockerd "$@"';
const STOP_MS = 20_000;

/**
 * Starts Debian's Docker engine (docker.io) with all that it has in a temp folder, and with a network and mounts of its
 * own: it cannot be reached but through its socket, and what it mounts ends with it. Needs root; takes two seconds.
 */
export async function startRealDocker(): Promise<RealDocker> {
  const folder = await mkdtemp(join(tmpdir(), 'atomic-docker-'));
  const socketPath = join(folder, 'docker.sock');
  const options = Object.entries({
    host: `unix://${socketPath}`,
    pidfile: join(folder, 'pid'),
    'data-root': join(folder, 'data'),
    'exec-root': join(folder, 'exec'),
    'storage-driver': 'vfs',
    bridge: 'none',
    iptables: false,
    ip6tables: false,
    'ip-forward': false,
  }).map(([name, value]) => `--${name}=${value}`);
  const child = spawn(
    'unshare',
    ['--net', '--mount', '--propagation', 'private', '--', 'sh', '-c', START, 'sh', ...options],
    // On a busy machine it may take its containerd for hung, and writes that one's stacks there before it starts another.
    { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, TMPDIR: folder } },
  );
  let log = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => (log += chunk.toString()));
  const close = async (): Promise<void> => {
    await stop(child);
    await rm(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  };
  try {
    await untilItAnswers(socketPath, child, () => log);
  } catch (error) {
    await close();
    throw error;
  }
  return { host: `unix://${socketPath}`, socketPath, log: () => log, close };
}

async function untilItAnswers(socketPath: string, child: ChildProcess, log: () => string): Promise<void> {
  for (let tries = 0; tries < 600; tries++) {
    if (child.exitCode !== null || child.signalCode !== null) break;
    if (await answers(socketPath)) return;
    await sleep(50);
  }
  throw new Error(`dockerd does not answer at ${socketPath}: ${log()}`);
}

function answers(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    request({ socketPath, path: '/_ping' }, (answer) => {
      answer.resume();
      resolve(answer.statusCode === 200);
    })
      .on('error', () => resolve(false))
      .end();
  });
}

/** Asked nicely the engine ends its containerd; killed it takes it along. */
async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  const killing = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
  await ended;
  clearTimeout(killing);
}
