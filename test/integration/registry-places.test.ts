/** What registries.conf says of a registry, with real ones and skopeo beside us; and blobs that need not travel. */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, expect, it } from 'vitest';
import type { TransferApp } from '../../src/app/context.ts';
import { copyBetween } from '../../src/app/copy-image.ts';
import type { CopyOutcome } from '../../src/copy/copy.ts';
import type { ProgressEvent } from '../../src/events.ts';
import { createExec } from '../../src/host/exec.ts';
import { createLocks } from '../../src/host/locks.ts';
import { buildImage, writeOciLayout, type BuiltImage } from '../fixtures/image-builder.ts';
import { useTempFolder } from '../fixtures/temp-folder.ts';
import { startNarrowProxy } from '../registry/lines.ts';
import { startRealRegistry, type RealRegistry } from '../registry/real-registry.ts';

const run = promisify(execFile);
const folder = useTempFolder();
const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function startRegistry(): Promise<RealRegistry> {
  const registry = await startRealRegistry();
  cleanups.push(() => registry.close());
  return registry;
}

/** An image like no other, pushed by skopeo. */
async function push(name: string): Promise<BuiltImage> {
  const image = buildImage({ layers: [{ entries: [{ path: 'own', content: randomBytes(1_000_000) }] }] });
  const layout = join(folder(), `layout-${image.digest.slice(-8)}`);
  writeOciLayout(layout, [{ image, tag: '1' }]);
  await run('skopeo', ['--insecure-policy', 'copy', '--dest-tls-verify=false', `oci:${layout}:1`, name]);
  return image;
}

function copy(
  source: string,
  destination: string,
  environment: Record<string, string> = {},
  events: ProgressEvent[] = [],
): Promise<CopyOutcome> {
  const app: TransferApp = {
    exec: createExec(),
    locks: createLocks('test'),
    files: { freeBytes: () => Promise.resolve(Number.MAX_SAFE_INTEGER) },
    identity: { uid: 0, gid: 0, architecture: 'amd64', variant: undefined },
    environment: { HOME: folder(), TMPDIR: folder(), ...environment },
    report: (event) => void events.push(event),
    signal: new AbortController().signal,
    userAgent: 'test/1',
    findRepository: () => Promise.reject(new Error('not asked for')),
    openLocal: () => Promise.reject(new Error('not asked for')),
  };
  const request = { source, destination, from: {}, to: {}, which: 'system', wishes: {} } as const;
  return copyBetween(app, { ...request, removeSignatures: false });
}

it('an image comes from the mirror that has it, for us as for skopeo', async () => {
  const [own, first, second] = [await startRegistry(), await startRegistry(), await startRegistry()];
  const image = await push(`docker://${second.host}/cache/app:1`);
  const file = join(folder(), 'registries.conf');
  const mirror = (location: string): string =>
    `[[registry.mirror]]\nlocation = "${location}"\ninsecure = true\n`;
  const table = `[[registry]]\nprefix = "${own.host}/team"\nlocation = "${own.host}/team"\ninsecure = true\n`;
  await writeFile(file, table + mirror(`${first.host}/none`) + mirror(`${second.host}/cache`));
  const name = `docker://${own.host}/team/app:1`;
  const events: ProgressEvent[] = [];
  const environment = { CONTAINERS_REGISTRIES_CONF: file };
  const outcome = await copy(name, `dir:${join(folder(), 'ours')}`, environment, events);
  expect(outcome.digest).toBe(image.digest);
  expect(events.filter(({ event }) => event === 'notice')).toEqual([
    { event: 'notice', text: expect.stringContaining(`${first.host}/none/app:1`) },
  ]);
  const theirs = join(folder(), 'theirs');
  await run('skopeo', ['--insecure-policy', '--registries-conf', file, 'copy', name, `dir:${theirs}`]);
  const [our, their] = await Promise.all(
    ['ours', 'theirs'].map((place) => readFile(join(folder(), place, 'manifest.json'))),
  );
  expect(our).toEqual(their);
});

it('a copy inside one registry sends no blob', async () => {
  const registry = await startRegistry();
  const image = await push(`docker://${registry.host}/team/app:1`);
  // What is larger than a manifest does not get through.
  const proxy = await startNarrowProxy(registry.host, 4096);
  cleanups.push(() => proxy.close());
  const outcome = await copy(`docker://${proxy.host}/team/app:1`, `docker://${proxy.host}/other/app:2`);
  expect(outcome).toMatchObject({ digest: image.digest, copied: 0, present: 2 });
  await expect(copy(`docker://${registry.host}/team/app:1`, `docker://${proxy.host}/new:1`)).rejects.toThrow(
    '413',
  );
});
