import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createConnection, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { TokenServer } from './token-server.ts';

export interface RealRegistryOptions {
  /** PEM files of the server. */
  readonly tls?: { readonly certificate: string; readonly key: string };
  /** Basic authentication with this one user. */
  readonly htpasswd?: { readonly username: string; readonly password: string };
  /** A token server whose tokens it takes, and the PEM file of the certificate that vouches for them. */
  readonly token?: TokenServer['auth'] & { readonly rootcertbundle: string };
  /** Whether it lets images be deleted. */
  readonly deletes?: boolean;
  /** Whether it takes and serves manifests of schema 1. */
  readonly schema1?: boolean;
  /** Whether it takes layers that are elsewhere. */
  readonly foreignLayers?: boolean;
}

export interface RealRegistry {
  /** `127.0.0.1:PORT` */
  readonly host: string;
  /** What it wrote so far, for a failed test. */
  log(): string;
  close(): Promise<void>;
}

/** Where Debian's package docker-registry puts it. */
const PROGRAM = '/usr/bin/docker-registry';

/** Starts Debian's docker-registry on a free loopback port, with its storage in a temp folder. */
export async function startRealRegistry(options: RealRegistryOptions = {}): Promise<RealRegistry> {
  const folder = await mkdtemp(join(tmpdir(), 'atomic-registry-'));
  try {
    const host = `127.0.0.1:${await findFreePort()}`;
    const config = join(folder, 'config.yml');
    await writeFile(config, JSON.stringify(await configure(folder, host, options)));
    const child = spawn(PROGRAM, ['serve', config], { stdio: ['ignore', 'pipe', 'pipe'] });
    let log = '';
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (chunk: Buffer) => (log += chunk.toString()));
    const close = async (): Promise<void> => {
      await stop(child);
      await rm(folder, { recursive: true, force: true });
    };
    try {
      await untilItListens(host, child, () => log);
    } catch (error) {
      await stop(child);
      throw error;
    }
    return { host, log: () => log, close };
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
}

/** The registry's configuration; JSON is YAML. */
async function configure(
  folder: string,
  host: string,
  { tls, htpasswd, token, schema1, foreignLayers, deletes = false }: RealRegistryOptions,
): Promise<object> {
  const auth =
    htpasswd === undefined
      ? {}
      : { auth: { htpasswd: { realm: 'test', path: await writeHtpasswd(folder, htpasswd) } } };
  return {
    version: 0.1,
    log: { level: 'warn', accesslog: { disabled: true } },
    storage: { filesystem: { rootdirectory: join(folder, 'storage') }, delete: { enabled: deletes } },
    http: { addr: host, ...(tls === undefined ? {} : { tls }), secret: 'only for this test' },
    ...auth,
    ...(token === undefined ? {} : { auth: { token } }),
    ...(foreignLayers === true ? { validation: { manifests: { urls: { allow: ['^http:'] } } } } : {}),
    ...(schema1 === true ? { compatibility: { schema1: { enabled: true } } } : {}),
  };
}

async function writeHtpasswd(folder: string, user: { username: string; password: string }): Promise<string> {
  const path = join(folder, 'htpasswd');
  // The registry knows bcrypt alone; cost 4 is the cheapest.
  const { stdout } = await promisify(execFile)('htpasswd', ['-nbB', '-C', '4', user.username, user.password]);
  await writeFile(path, stdout);
  return path;
}

async function findFreePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('no free port');
  return address.port;
}

async function untilItListens(host: string, child: ChildProcess, log: () => string): Promise<void> {
  const port = Number(host.split(':')[1]);
  for (let tries = 0; tries < 300; tries++) {
    if (child.exitCode !== null) break;
    if (await canConnect(port)) return;
    await sleep(50);
  }
  throw new Error(`docker-registry does not listen on ${host}: ${log()}`);
}

async function canConnect(port: number): Promise<boolean> {
  const socket = createConnection({ port, host: '127.0.0.1' });
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  await ended;
}
