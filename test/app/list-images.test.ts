import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { formatSize } from '../../src/app/format-size.ts';
import { describeImages, type ImageListOptions, type ListedImage } from '../../src/app/list-images.ts';
import { digestFromHex, hexOf, type Digest } from '../../src/image/digest.ts';
import { imageRef } from '../../src/store/names.ts';
import { parseCommitMetadata } from '../fixtures/commit-metadata.ts';
import { useTempFolder } from '../fixtures/temp-folder.ts';
import {
  CREATED,
  createListHost,
  serializeCommit,
  writeBlob,
  writeCommit,
  writeContainer,
  writeDeployment,
  writeImage,
  type ListHost,
} from './list-host.ts';

const folder = useTempFolder();

function digest(seed: string | number): Digest {
  return digestFromHex('sha256', String(seed).padEnd(64, '0'));
}

const HELLO = {
  name: 'docker.io/hello:latest',
  digest: digest('a343067c2495'),
  config: digest('ed22bae03c6c'),
  layers: [
    { digest: digest('18323009b43c'), size: 1084233 },
    { digest: digest('21152ca88cc4'), size: 1276 },
    { digest: digest('18f2033213b6'), size: 252 },
  ],
};

function list(
  { app }: ListHost,
  { all = false, filters = [] }: Partial<ImageListOptions> = {},
): Promise<ListedImage[]> {
  return describeImages(app, { all, filters });
}

function namesOf(images: readonly ListedImage[]): string[] {
  return images.map(({ repo, tag }) => `${repo} ${tag}`);
}

/** No program may be asked. */
function createHost(name = ''): ListHost {
  return createListHost(join(folder(), name), (line) => {
    throw new Error(`not asked for: ${line}`);
  });
}

describe('the list of images', () => {
  it('is empty where there is no repo', async () => {
    expect(await list(createHost(), { all: true })).toEqual([]);
  });

  it('tells of an image, and what all its layers take', async () => {
    const host = createHost();
    writeImage(host.app.paths.repository, HELLO);
    expect(await list(host)).toEqual([
      {
        repo: 'docker.io/hello',
        tag: 'latest',
        isDangling: false,
        used: false,
        id: hexOf(HELLO.digest),
        created: '2026-11-22 03:27:02',
        virtualSize: '1.09 MB',
        backend: 'ostree',
      },
    ]);
    expect(host.exec.lines).toEqual([]);
  });

  it('marks the images of all deployments, the other one and those of the operating system included', async () => {
    const host = createHost();
    const { checkouts, preinstalled, repository } = host.app.paths;
    for (const name of ['current', 'previous', 'system', 'idle'])
      writeImage(repository, { ...HELLO, name, digest: digest(Buffer.from(name).toString('hex')) });
    const revision = (name: string): string => hexOf(digest(Buffer.from(name).toString('hex')));
    writeContainer(checkouts, 'web', { slot: 1, revision: revision('current') });
    writeDeployment(join(checkouts, 'web.0'), { revision: revision('previous') });
    writeDeployment(join(preinstalled, 'etcd'), { revision: revision('system') });
    const images = await list(host);
    expect(Object.fromEntries(images.map(({ repo, used }) => [repo, used]))).toEqual({
      current: true,
      previous: true,
      system: true,
      idle: false,
    });
  });

  it('passes over a broken deployment, and says so', async () => {
    const host = createHost();
    writeImage(host.app.paths.repository, HELLO);
    writeContainer(host.app.paths.checkouts, 'web', { revision: hexOf(HELLO.digest) });
    writeDeployment(join(host.app.paths.checkouts, 'web.1'));
    writeFileSync(join(host.app.paths.checkouts, 'web.1/info'), 'x');
    expect((await list(host)).map(({ used }) => used)).toEqual([true]);
    expect(host.warnings).toHaveLength(1);
    expect(host.warnings[0]).toContain('web.1/info');
  });

  it('has layers and configs when asked for all, those that nobody needs as dangling', async () => {
    const host = createHost();
    const { repository } = host.app.paths;
    writeImage(repository, HELLO);
    writeBlob(repository, HELLO.config);
    for (const { digest } of HELLO.layers) writeBlob(repository, digest);
    writeBlob(repository, digest('dead'), new Date(2026, 10, 21));
    const images = await list(host, { all: true });
    expect(
      images.map(({ repo, tag, id, virtualSize, isDangling }) => [repo, tag, id, virtualSize, isDangling]),
    ).toEqual([
      ['docker.io/hello', 'latest', hexOf(HELLO.digest), '1.09 MB', false],
      ['<none>', '<none>', '18323009b43c'.padEnd(64, '0'), '', false],
      ['<none>', '<none>', '18f2033213b6'.padEnd(64, '0'), '', false],
      ['<none>', '<none>', '21152ca88cc4'.padEnd(64, '0'), '', false],
      ['<none>', '<none>', 'ed22bae03c6c'.padEnd(64, '0'), '', false],
      ['<none>', '<none>', 'dead'.padEnd(64, '0'), '', true],
    ]);
    expect(images.at(-1)?.created).toBe('2026-11-21 00:00:00');
    expect(await list(host)).toHaveLength(1);
    expect(await list(host, { filters: ['is_dangling=true'] })).toEqual([]);
    const dangling = await list(host, { all: true, filters: ['is_dangling=True'] });
    expect(dangling.map(({ id }) => id)).toEqual(['dead'.padEnd(64, '0')]);
  });

  it('leaves out an image that cannot be read, says so, and calls no layer dangling then', async () => {
    const host = createHost();
    const { repository } = host.app.paths;
    writeImage(repository, HELLO);
    writeCommit(repository, imageRef('old'), {
      'docker.manifest': '{"schemaVersion":1}',
      'docker.digest': digest('01'),
    });
    writeFileSync(join(repository, 'refs/heads', imageRef('lost')), `${'b'.repeat(64)}\n`);
    writeBlob(repository, digest('1a'));
    expect(namesOf(await list(host))).toEqual(['docker.io/hello latest']);
    expect(host.warnings.sort()).toEqual([
      expect.stringContaining('the commit bbbb'),
      expect.stringContaining('the manifest of old:latest has the old schema 1 format'),
    ]);
    expect((await list(host, { all: true })).map(({ isDangling }) => isDangling)).toEqual([false, false]);
  });

  it('splits names at the tag, not at a port, and shows a digest in its place', async () => {
    const host = createHost();
    const hex = '5fcb5f7fea83b5b943a3edf359fc23a43dae5a27959a1ce36af79ccc6989ad6e';
    for (const name of ['127.0.0.1:5000/library/hello:v1', `docker.io/hello@sha256:${hex}`, 'under_score'])
      writeImage(host.app.paths.repository, { ...HELLO, name, digest: digest(name.length) });
    expect(namesOf(await list(host))).toEqual([
      '127.0.0.1:5000/library/hello v1',
      `docker.io/hello ${hex}`,
      'under_score latest',
    ]);
  });

  it('has the newest first, and those that match every filter', async () => {
    const host = createHost();
    const { repository } = host.app.paths;
    writeImage(repository, { ...HELLO, digest: digest('0a'), created: new Date(2026, 0, 1) });
    writeImage(repository, { ...HELLO, name: 'quay.io/web:v2', digest: digest('0b') });
    const matching = async (...filters: string[]): Promise<string[]> =>
      namesOf(await list(host, { filters }));
    expect(await matching()).toEqual(['quay.io/web v2', 'docker.io/hello latest']);
    expect(await matching('repo=QUAY')).toEqual(['quay.io/web v2']);
    expect(await matching('repository=hello')).toEqual(['docker.io/hello latest']);
    expect(await matching('tag=v2', 'type=ostree')).toEqual(['quay.io/web v2']);
    expect(await matching('image=0a0')).toEqual(['docker.io/hello latest']);
    expect(await matching('created=2026-01')).toEqual(['docker.io/hello latest']);
    expect(await matching('size=1.09')).toHaveLength(2);
    expect(await matching('type=docker')).toEqual([]);
    await expect(matching('name=x')).rejects.toMatchObject({ code: 'usage' });
  });

  it('runs no program, whether there are 5 images or 300', async () => {
    for (const count of [5, 300]) {
      const host = createHost(String(count));
      for (let i = 0; i < count; i++) {
        const name = `registry.example/app-${i}:v1`;
        writeImage(host.app.paths.repository, { ...HELLO, name, digest: digest(10_000 + i) });
        writeBlob(host.app.paths.repository, digest(20_000 + i));
      }
      expect(await list(host)).toHaveLength(count);
      expect(await list(host, { all: true })).toHaveLength(2 * count);
      expect(host.exec.lines).toEqual([]);
    }
  }, 60_000);
});

describe('sizes', () => {
  it.each([
    [68, '68.0 B'],
    [999, '999.0 B'],
    [1000, '1.0 KB'],
    [1085920, '1.09 MB'],
    [79_100_000, '79.1 MB'],
    [274_940_000, '274.94 MB'],
    [1_234_567_890_123, '1.23 TB'],
    [0, '0.0 B'],
  ])('of %i bytes are %s', (bytes, text) => {
    expect(formatSize(bytes)).toBe(text);
  });
});

describe('the commit objects of these tests', () => {
  it('are read as they were written, short and long', () => {
    for (const length of [1, 200, 300, 70_000]) {
      const metadata = { a: 'x'.repeat(length), bcd: '', 'docker.digest': 'sha256:0' };
      expect(Object.fromEntries(parseCommitMetadata(serializeCommit(metadata), 'it'))).toEqual(metadata);
    }
    expect(CREATED.getFullYear()).toBe(2026);
  });
});
