/** Many invocations at once, on images that share layers: all come to their end, and nobody takes what another one needs. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { buildImage, type BuiltImage, type TarEntry } from '../fixtures/image-builder.ts';
import { busyboxLayer, hostPlatform, STAY } from './support/images.ts';
import { CHECKOUTS, openStage, REPOSITORY, show, type Stage } from './support/stage.ts';

const RIVALS = 20;
/** Far above what all of them take, one after the other. */
const WAIT = ['--wait', '600'];

let stage: Stage;
beforeAll(async () => {
  stage = await openStage();
});
afterAll(() => stage.close());

/** Images 0, 1, 2… share busybox and a layer with each neighbour, and have one of their own. */
function sharingImage(number: number): BuiltImage {
  const shared = (with_: number): TarEntry[] =>
    Array.from({ length: 40 }, (_, i) => ({ path: `srv/shared-${with_}/${i}`, content: `${with_} ${i}\n` }));
  return buildImage({
    layers: [
      busyboxLayer(),
      { entries: shared(number) },
      { entries: shared(number + 1) },
      { entries: [{ path: 'usr/bin/run.sh', content: `#!/bin/sh\n# ${number}\n${STAY}\n`, mode: 0o755 }] },
    ],
    config: { Cmd: ['/usr/bin/run.sh'] },
    platform: hostPlatform(),
  });
}

/** Starts all command lines at once; gives how each ended. */
async function runTogether(commands: readonly (readonly string[])[]): Promise<string[]> {
  const results = await Promise.all(
    commands.map((args) => stage.atomic(['--quiet', ...WAIT, ...args], { timeoutMs: 900_000 })),
  );
  return results.flatMap((result, i) =>
    result.code === 0 ? [] : [`${commands[i]?.join(' ')}: ${show(result)}`],
  );
}

/** Names, types and contents of what an image's layers bring, as one line. */
function digestOf(container: string): Promise<string> {
  return stage.shell(
    'cd "$1" && { find bin srv usr -printf "%p %y %m %U:%G %l\\n" | LC_ALL=C sort; find bin srv usr -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum; } | sha256sum',
    `${CHECKOUTS}/${container}/rootfs`,
  );
}

it(`${RIVALS} installations and uninstallations at once, and a prune among them, leave every container whole`, async () => {
  const images: string[] = [];
  for (let i = 0; i < 6; i++) images.push(await stage.push(sharingImage(i), `sharing-${i}`));
  const imageOf = (i: number): string => images[i % 5] ?? '';
  // What goes: half of the rivals take off what was there before, and its image loses its name.
  const leaving = Array.from({ length: RIVALS / 2 }, (_, i) => `old-${i}`);
  for (const [i, name] of leaving.entries())
    await stage.succeed('install', images[5 - (i % 2) * 5] ?? '', '--name', name);
  const coming = Array.from({ length: RIVALS / 2 }, (_, i) => `new-${i}`);
  const failures = await runTogether([
    ...coming.map((name, i) => ['install', imageOf(i), '--name', name, '--pull', '--settle', '0']),
    ['images', 'prune'],
    ...leaving.map((name) => ['uninstall', name]),
    ['--assumeyes', 'images', 'delete', '--force', images[5] ?? ''],
    ['images', 'prune'],
  ]);
  expect(failures).toEqual([]);
  await stage.succeed('images', 'prune');
  await stage.run('ostree', `--repo=${REPOSITORY}`, 'fsck', '--quiet');
  // Five images: their configs and own layers, busybox, and what neighbours share, which image 4 has with the one that is gone.
  const refs = (await stage.shell('ls "$1/refs/heads/ociimage"', REPOSITORY)).split('\n');
  expect(refs.filter((ref) => /^[0-9a-f]{64}$/.test(ref))).toHaveLength(5 + 5 + 1 + 6);
  expect(refs.filter((ref) => ref.includes('sharing'))).toHaveLength(5);
  expect(await stage.shell('ls -A "$1"', CHECKOUTS)).toBe(
    ['.atomic-ts', '.storage', ...coming.flatMap((name) => [name, `${name}.0`])].sort().join('\n'),
  );
  expect(await stage.shell('find "$1/.atomic-ts" ! -type d', CHECKOUTS)).toBe('');
  const wanted = new Map<string, string>();
  for (const [i, name] of coming.entries()) {
    const image = imageOf(i);
    if (!wanted.has(image)) {
      await stage.succeed('install', image, '--name', 'reference', '--no-start');
      wanted.set(image, await digestOf('reference'));
      await stage.succeed('uninstall', 'reference');
    }
    expect(await digestOf(name)).toBe(wanted.get(image));
    expect(await stage.run('systemctl', 'is-active', name)).toBe('active');
  }
});
