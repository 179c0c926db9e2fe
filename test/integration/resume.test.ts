/** The whole program, several times over, on a line that is held, and processes that are killed in the middle. */
import { spawn, execFileSync, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { hexOf, type Digest } from '../../src/image/digest.ts';
import { parseRegistryImage } from '../../src/image/reference.ts';
import { openRegistryDestination } from '../../src/transport/registry/index.ts';
import { buildImage, type BuiltImage, type BuiltLayer, type LayerSpec } from '../fixtures/image-builder.ts';
import { startRealRegistry, type RealRegistry } from '../registry/real-registry.ts';
import { startWatchedLine, type WatchedLine } from '../registry/watched-line.ts';
import { storeImage } from '../transport/images.ts';

const MiB = 1024 * 1024;
/** Of a layer; more than what is kept of none. */
const LARGE = 14 * MiB;
/** How much of it is let through. */
const SOME = 10 * MiB;

let tools: string;
let registry: RealRegistry;
let folder: string;
let held: WatchedLine;
let free: WatchedLine;
const running = new Set<ChildProcess>();
const [one, two, three] = ['one', 'two', 'three'].map((name): LayerSpec => ({
  entries: [{ path: name, content: randomBytes(LARGE) }],
  compression: 'none',
}));
const small: LayerSpec = { entries: [{ path: 'small', content: 'small' }] };

beforeAll(async () => {
  tools = mkdtempSync(join(tmpdir(), 'atomic-resume-'));
  await build({
    entryPoints: [join(import.meta.dirname, '../../src/cli/main.ts')],
    bundle: true,
    platform: 'node',
    format: 'esm',
    outfile: join(tools, 'program.mjs'),
    define: { ATOMIC_TS_VERSION: '"1"' },
    banner: {
      js: `import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);`,
    },
    logLevel: 'silent',
  });
  registry = await startRealRegistry();
  await push('x', [one, two, small]);
  await push('y', [small, three, one]);
});
afterAll(async () => {
  await registry.close();
  rmSync(tools, { recursive: true, force: true });
});

const images = new Map<string, BuiltImage>();
async function push(name: string, layers: readonly (LayerSpec | undefined)[]): Promise<void> {
  const image = buildImage({ layers: layers.flatMap((layer) => layer ?? []) });
  const destination = openRegistryDestination(parseRegistryImage(`${registry.host}/${name}:1`), {
    plainHttp: true,
    userAgent: 'test/1',
    report: () => undefined,
    environment: {},
  });
  await storeImage(destination, image, 'reference');
  await destination.close();
  images.set(name, image);
}

function layerOf(image: string, position: number): BuiltLayer {
  const layer = images.get(image)?.layers[position];
  if (layer === undefined) throw new Error(`${image} has no layer ${position}`);
  return layer;
}

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'atomic-resume-'));
  [held, free] = [await startWatchedLine(registry.host), await startWatchedLine(registry.host)];
  held.hold(SOME);
  writeFileSync(join(folder, 'atomic.conf'), '');
});
afterEach(async () => {
  for (const child of running) child.kill('SIGKILL');
  await Promise.all([held.close(), free.close()]);
  rmSync(folder, { recursive: true, force: true });
  rmSync(`/run/atomic-ts/${folder.slice(1).replaceAll('/', '-')}`, { recursive: true, force: true });
});

interface Run {
  readonly child: ChildProcess;
  /** What it wrote so far. */
  readonly said: () => string;
  /** Its exit status, or the signal that ended it. */
  readonly ended: Promise<number | string | null>;
}

function start(...args: string[]): Run {
  const child = spawn(process.execPath, [join(tools, 'program.mjs'), ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      PATH: process.env['PATH'],
      HOME: folder,
      ATOMIC_OSTREE_CHECKOUT_PATH: folder,
      ATOMIC_OSTREE_REPO: repository(),
      ATOMIC_CONF: join(folder, 'atomic.conf'),
    },
  });
  running.add(child);
  let text = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => (text += chunk.toString()));
  const ended = new Promise<number | string | null>((resolve) =>
    child.once('close', (status, signal) => {
      running.delete(child);
      resolve(status ?? signal);
    }),
  );
  return { child, said: () => text, ended };
}

const pull = (line: WatchedLine, image: string): Run =>
  start('pull', '--tls-verify=false', `docker://${line.host}/${image}:1`);
const copyTo = (path: string, line: WatchedLine, image: string): Run =>
  start('copy', '--tls-verify=false', `docker://${line.host}/${image}:1`, path);

async function expectSuccess({ ended, said }: Run): Promise<void> {
  const status = await ended;
  expect(said()).not.toContain('rror');
  expect(status).toBe(0);
}

const repository = (): string => join(folder, 'repo');
const kept = (digest: Digest): string => join(folder, '.atomic-ts/partial', `sha256-${hexOf(digest)}`);
const sizeOf = (path: string): number => (existsSync(path) ? statSync(path).size : 0);
const partialFolder = (): string[] => {
  const path = join(folder, '.atomic-ts/partial');
  return existsSync(path) ? readdirSync(path) : [];
};

/** Waits until it has kept some of what the line let through. */
async function untilSomeIsKept(...paths: readonly string[]): Promise<void> {
  const sum = (): number => paths.reduce((total, path) => total + sizeOf(path), 0);
  await expect.poll(sum, { timeout: 20_000, interval: 20 }).toBeGreaterThan(SOME / 2);
}

describe('a pull', () => {
  test.each(['SIGINT', 'SIGKILL'] as const)('ended by %s is gone on with by the next one', async (signal) => {
    const first = pull(held, 'x');
    const layers = [layerOf('x', 0), layerOf('x', 1)].map(({ descriptor }) => descriptor.digest);
    await untilSomeIsKept(...layers.map(kept));
    first.child.kill(signal);
    expect(await first.ended).not.toBe(0);
    const left = new Map(layers.map((digest) => [digest as string, sizeOf(kept(digest))]));
    const second = pull(free, 'x');
    await expectSuccess(second);
    for (const { digest, from } of free.blobs) expect(from).toBe(left.get(digest) ?? 0);
    expect(free.given()).toBeLessThan(2 * LARGE - SOME / 2 + MiB);
    expect(partialFolder()).toEqual([]);
    execFileSync('ostree', [`--repo=${repository()}`, 'fsck', '--quiet']);
  });

  test('beside another one takes from it what both need, and each layer is fetched once', async () => {
    const first = pull(held, 'x');
    await untilSomeIsKept(kept(layerOf('x', 0).descriptor.digest), kept(layerOf('x', 1).descriptor.digest));
    const second = pull(free, 'y');
    await expect.poll(second.said, { timeout: 20_000 }).toContain('waiting for it');
    expect(second.said()).toMatch(
      new RegExp(`process ${first.child.pid} \\(atomic-ts pull, since [0-9:]+\\) is at it`),
    );
    held.release();
    await Promise.all([expectSuccess(first), expectSuccess(second)]);
    const layers = new Set(
      ['x', 'y']
        .flatMap((name) => images.get(name)?.layers ?? [])
        .map(({ descriptor }) => descriptor.digest as string),
    );
    const asked = [...held.blobs, ...free.blobs]
      .map(({ digest }) => digest)
      .filter((digest) => layers.has(digest));
    expect(asked.sort()).toEqual([...layers].sort());
    expect(partialFolder()).toEqual([]);
    execFileSync('ostree', [`--repo=${repository()}`, 'fsck', '--quiet']);
  });

  test('that waits for one that is killed goes on where that one was', async () => {
    const shared = layerOf('y', 2).descriptor;
    const first = pull(held, 'x');
    await untilSomeIsKept(kept(shared.digest), kept(layerOf('x', 1).descriptor.digest));
    const second = pull(free, 'y');
    await expect.poll(second.said, { timeout: 20_000 }).toContain('waiting for it');
    first.child.kill('SIGKILL');
    expect(await first.ended).toBe('SIGKILL');
    const left = sizeOf(kept(shared.digest));
    await expectSuccess(second);
    expect(free.blobs).toContainEqual({ digest: shared.digest, from: left });
    execFileSync('ostree', [`--repo=${repository()}`, 'fsck', '--quiet']);
    // What the dead one left of its other layer is for whoever pulls that image.
    await expectSuccess(pull(free, 'x'));
    expect(partialFolder()).toEqual([]);
  });
});

describe.each(['dir', 'oci'])('a copy to %s:', (transport) => {
  const target = (): string => join(folder, 'image');
  const beginning = (position: number): string =>
    join(target(), '.partial-blobs', `sha256-${hexOf(layerOf('x', position).descriptor.digest)}`);

  test.each(['SIGINT', 'SIGKILL'] as const)(
    'ended by %s is gone on with, and leaves nothing then',
    async (signal) => {
      mkdirSync(target());
      const first = copyTo(`${transport}:${target()}`, held, 'x');
      await untilSomeIsKept(beginning(0), beginning(1));
      first.child.kill(signal);
      expect(await first.ended).not.toBe(0);
      const left = sizeOf(beginning(0)) + sizeOf(beginning(1));
      expect(left).toBeGreaterThan(SOME / 2);
      await expectSuccess(copyTo(`${transport}:${target()}`, free, 'x'));
      expect(free.given()).toBeLessThan(2 * LARGE - left + MiB);
      expect(readdirSync(target()).filter((name) => name === '.partial-blobs')).toEqual([]);
      const told: unknown = JSON.parse(
        execFileSync('skopeo', ['inspect', '--raw', `${transport}:${target()}`], { encoding: 'utf8' }),
      );
      expect(told).toEqual(JSON.parse(images.get('x')?.manifest.toString() ?? ''));
    },
  );

  test('beside another one fetches each layer once', async () => {
    const first = copyTo(`${transport}:${target()}`, held, 'x');
    await untilSomeIsKept(beginning(0), beginning(1));
    const second = copyTo(`${transport}:${target()}`, free, 'x');
    await expect.poll(second.said, { timeout: 20_000 }).toContain('waiting for it');
    held.release();
    await Promise.all([expectSuccess(first), expectSuccess(second)]);
    const layers = (images.get('x')?.layers ?? []).map(({ descriptor }) => descriptor.digest as string);
    // The config is read by each of them, to know what is wanted.
    const asked = [...held.blobs, ...free.blobs].map(({ digest }) => digest);
    expect(asked.filter((digest) => layers.includes(digest)).sort()).toEqual(layers.sort());
    expect(readdirSync(target()).filter((name) => name === '.partial-blobs')).toEqual([]);
  });
});
