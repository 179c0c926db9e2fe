import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { App } from '../../src/app/context.ts';
import { tagImage } from '../../src/app/tag-image.ts';
import { digestFromHex, type Digest } from '../../src/image/digest.ts';
import { imageRef } from '../../src/store/names.ts';
import { useTempFolder } from '../fixtures/temp-folder.ts';
import { createListHost, writeCommit, writeImage } from './list-host.ts';

const folder = useTempFolder();
const digest = (start: string): Digest => digestFromHex('sha256', start.padEnd(64, '0'));

interface TagHost {
  readonly app: App;
  /** Locks that were taken, and those that still are. */
  readonly taken: string[];
  readonly held: Set<string>;
}

function createHost(uid = 0): TagHost {
  const { app } = createListHost(folder());
  const taken: string[] = [];
  const held = new Set<string>();
  const locks: App['locks'] = {
    acquire: ({ path, mode }) => {
      taken.push(`${mode} ${path.replace(/^.*\//, '')}`);
      held.add(path);
      return Promise.resolve({ release: () => Promise.resolve(void held.delete(path)) });
    },
  };
  const image = { config: digest('c'), layers: [] };
  writeImage(app.paths.repository, { ...image, name: 'docker.io/hello:v1', digest: digest('a1') });
  writeImage(app.paths.repository, { ...image, name: 'docker.io/other:latest', digest: digest('b2') });
  return { app: { ...app, locks, identity: { ...app.identity, uid } }, taken, held };
}

const refOf = (name: string): string =>
  readFileSync(join(folder(), 'repo/refs/heads', imageRef(name)), 'utf8');

describe('a tag', () => {
  it('is a second ref of the image’s commit, set with the store held alone', async () => {
    const { app, taken, held } = createHost();
    const tagged = await tagImage(app, 'docker://docker.io/hello:v1', 'other:tag');
    expect(tagged).toMatchObject({ source: 'docker.io/hello:v1', name: 'other:tag', changed: true });
    expect(refOf('other:tag')).toBe(refOf('docker.io/hello:v1'));
    expect(taken).toEqual(['exclusive store']);
    expect(held.size).toBe(0);
    expect((await app.store.find('other:tag'))?.digest).toBe(digest('a1'));
    // Nothing is left of the change.
    expect(readdirSync(join(folder(), 'atomic/.atomic-ts/journal'))).toEqual([]);
    expect(existsSync(join(folder(), 'repo/extensions/atomic-ts/removed-refs'))).toBe(false);
    expect(readdirSync(join(folder(), 'repo/refs/heads/ociimage'))).toHaveLength(3);
  });

  it('takes the name of another image, and is :latest where none is given', async () => {
    const { app } = createHost();
    expect(await tagImage(app, 'a1'.padEnd(12, '0'), 'docker.io/other')).toMatchObject({
      name: 'docker.io/other:latest',
      changed: true,
    });
    expect(refOf('docker.io/other:latest')).toBe(refOf('docker.io/hello:v1'));
  });

  it('that is there already changes nothing', async () => {
    const { app } = createHost();
    expect(await tagImage(app, 'docker.io/hello:v1', 'docker.io/hello:v1')).toMatchObject({ changed: false });
    expect(existsSync(join(folder(), 'atomic'))).toBe(false);
  });

  it('has no source of its own: what its image was pulled from goes by another name', async () => {
    const { app } = createHost();
    const source = {
      'docker.manifest': JSON.stringify({
        schemaVersion: 2,
        config: { digest: digest('c'), size: 1 },
        layers: [],
      }),
      'docker.digest': digest('d4'),
      'atomic-ts.source': 'docker://quay.io/web',
      'atomic-ts.name': 'quay.io/web:latest',
    };
    writeCommit(app.paths.repository, imageRef('quay.io/web'), source);
    await tagImage(app, 'quay.io/web', 'mine');
    expect((await app.store.find('quay.io/web'))?.source).toBe('docker://quay.io/web');
    expect((await app.store.find('mine'))?.source).toBeUndefined();
  });

  it.each([
    ['nope', 'x', 'image-not-found', 'Unable to find nope in the ostree backend'],
    ['docker.io/hello:v1', 'Bad', 'reference-invalid', '"Bad" is no image name'],
    ['docker.io/hello:v1', `x@${digest('1')}`, 'reference-invalid', 'is no name that can be given'],
    ['docker.io/hello:v1', 'dir:/x', 'reference-invalid', 'is no name that can be given'],
  ])('of %s as %s is refused: %s', async (source, target, code, message) => {
    const { app, held } = createHost();
    await expect(tagImage(app, source, target)).rejects.toMatchObject({
      code,
      message: expect.stringContaining(message),
    });
    expect(held.size).toBe(0);
    expect(readdirSync(join(folder(), 'repo/refs/heads/ociimage'))).toHaveLength(2);
  });

  it('is root’s to set', async () => {
    await expect(tagImage(createHost(1000).app, 'docker.io/hello:v1', 'x')).rejects.toMatchObject({
      code: 'not-root',
    });
  });
});
