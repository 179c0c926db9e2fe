/** Debian's Docker engine is the judge: what we send it, it has; what it has, we read. */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { inspectImage } from '../../src/app/inspect-image.ts';
import { AtomicError } from '../../src/errors.ts';
import { hexOf } from '../../src/image/digest.ts';
import { parseManifest } from '../../src/image/manifest.ts';
import { openDockerArchiveDestination } from '../../src/transport/docker-archive/destination.ts';
import { listArchiveNames } from '../../src/transport/docker-archive/list-names.ts';
import { openDockerArchiveSource } from '../../src/transport/docker-archive/source.ts';
import { openDockerDaemonDestination } from '../../src/transport/docker-daemon/destination.ts';
import { openDockerDaemonSource } from '../../src/transport/docker-daemon/source.ts';
import type { EngineOptions } from '../../src/transport/docker-daemon/engine.ts';
import type { ImageDestination, ImageSource } from '../../src/transport/transport.ts';
import { buildImage, type BuiltImage } from '../fixtures/image-builder.ts';
import { useTempFolder } from '../fixtures/temp-folder.ts';
import { openQuietTransfer } from '../fixtures/transfer-app.ts';
import { DOCKER_PROGRAM, startRealDocker, type RealDocker } from '../registry/real-docker.ts';
import { messageOfFailure, plainImage, readImage, storeImage } from '../transport/images.ts';

const folder = useTempFolder();
let docker: RealDocker;

beforeAll(async () => {
  docker = await startRealDocker();
});
afterAll(() => docker.close());

function options(environment: Record<string, string> = {}): EngineOptions {
  return {
    userAgent: 'test',
    report: () => undefined,
    environment: { DOCKER_HOST: docker.host, TMPDIR: folder(), ...environment },
  };
}

/** Docker's own program. */
function cli(...args: string[]): string {
  return execFileSync(DOCKER_PROGRAM, ['--host', docker.host, '--config', folder(), ...args], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  }).trim();
}

function skopeo(...args: string[]): string {
  return execFileSync('skopeo', ['--insecure-policy', ...args], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

async function store(opening: Promise<ImageDestination>, image: BuiltImage): Promise<void> {
  const destination = await opening;
  try {
    await storeImage(destination, image, 'reference');
    await destination.commit();
  } finally {
    await destination.close();
  }
}

async function blobsIn(source: ImageSource): Promise<string[]> {
  try {
    return (await readImage(source)).blobs;
  } finally {
    await source.close();
  }
}

const blobs = (image: BuiltImage): string[] => [image.configDigest, ...image.diffIds];

/** Id and DiffIDs, as the engine knows them. */
function inDocker(name: string): string[] {
  const [found] = JSON.parse(cli('image', 'inspect', name)) as [{ Id: string; RootFS: { Layers: string[] } }];
  return [found.Id, ...found.RootFS.Layers];
}

describe('docker-archive:', () => {
  test('docker load reads what we write, several images in one file, with ids and layers as they were', async () => {
    const file = join(folder(), 'ours.tar');
    const [one, two] = [plainImage('base', 'one'), plainImage('base', 'two', 'base')];
    await store(openDockerArchiveDestination(file, 'archive/one:1', ['archive/other']), one);
    await store(openDockerArchiveDestination(file, 'archive/two:1'), two);
    cli('load', '--input', file);
    expect(inDocker('archive/one:1')).toEqual(blobs(one));
    expect(inDocker('archive/other:latest')).toEqual(blobs(one));
    expect(inDocker('archive/two:1')).toEqual(blobs(two));
  });

  test('we read what docker save writes, and add to it', async () => {
    const file = join(folder(), 'theirs.tar');
    const [one, two] = [plainImage('s', 'one', 's'), plainImage('s', 'two')];
    for (const [name, image] of [['saved/one:1', one] as const, ['saved/two:1', two] as const]) {
      await store(openDockerDaemonDestination(name, options()), image);
    }
    cli('save', '--output', file, 'saved/one:1', 'saved/two:1');
    // The engine keeps the images of one `docker save` in a map: they come in any order.
    expect((await listArchiveNames(file)).toSorted()).toEqual(['saved/one:1', 'saved/two:1']);
    expect(await blobsIn(await openDockerArchiveSource(file, 'saved/one:1'))).toEqual(blobs(one));
    const three = plainImage('s', 'three');
    await store(openDockerArchiveDestination(file, 'saved/three:1'), three);
    cli('image', 'rm', 'saved/one:1', 'saved/two:1');
    cli('load', '--input', file);
    expect(inDocker('saved/one:1')).toEqual(blobs(one));
    expect(inDocker('saved/two:1')).toEqual(blobs(two));
    expect(inDocker('saved/three:1')).toEqual(blobs(three));
  });
});

describe('docker-daemon:', () => {
  test('an image that was sent is there, with its id and layers, and is read back', async () => {
    const noise = Buffer.from(Array.from({ length: 3_000_000 }, (_, i) => (i * i) % 251));
    const image = buildImage({
      format: 'v2s2',
      layers: [
        { entries: [{ path: 'big', content: noise }], compression: 'none' },
        { entries: [{ path: 'etc/x', content: 'x' }], compression: 'none' },
      ],
    });
    await store(
      openDockerDaemonDestination('localhost:5000/app', { ...options(), additionalTags: ['more:2'] }),
      image,
    );
    expect(inDocker('localhost:5000/app:latest')).toEqual(blobs(image));
    expect(inDocker('more:2')).toEqual(blobs(image));
    const { source, imageName } = await openDockerDaemonSource('localhost:5000/app', options());
    expect([source.name, imageName]).toEqual(['docker-daemon:localhost:5000/app', 'localhost:5000/app']);
    expect(source.madeManifest).toBe(true);
    // What was spooled has no name any more.
    expect(readdirSync(folder())).toEqual([]);
    expect(await blobsIn(source)).toEqual(blobs(image));
  });

  test('an image is read by its id, with and without sha256:', async () => {
    const image = plainImage('by', 'id');
    await store(openDockerDaemonDestination('by/id:1', options()), image);
    for (const id of [image.configDigest, hexOf(image.configDigest)]) {
      const { source, imageName } = await openDockerDaemonSource(id, options());
      expect(imageName).toBe(hexOf(image.configDigest).slice(0, 12));
      expect(await blobsIn(source)).toEqual(blobs(image));
    }
  });

  test('an image has no name for inspect when it is asked for by its id, as with skopeo', async () => {
    const image = plainImage('by', 'id');
    await store(openDockerDaemonDestination('by/id:1', options()), image);
    const app = await openQuietTransfer();
    const nameOf = async (asked: string): Promise<string> => {
      const request = { image: `docker-daemon:${asked}`, access: { daemonHost: docker.host }, platform: {} };
      return (await inspectImage(app, request, false)).name;
    };
    const format = ['--daemon-host', docker.host, '--format', '{{.Name}}'];
    for (const asked of ['by/id:1', image.configDigest])
      expect(`${await nameOf(asked)}\n`).toBe(skopeo('inspect', ...format, `docker-daemon:${asked}`));
    expect(await nameOf(hexOf(image.configDigest))).toBe('');
  });

  test('skopeo sees the same image there', async () => {
    const image = plainImage('skopeo', 'daemon');
    await store(openDockerDaemonDestination('skopeo/ours:1', options()), image);
    const raw = skopeo('inspect', '--raw', '--daemon-host', docker.host, 'docker-daemon:skopeo/ours:1');
    const theirs = parseManifest({ bytes: Buffer.from(raw), mediaType: '' }, 'skopeo');
    if (theirs.kind === 'index') throw new Error('an index');
    expect([theirs.config, ...theirs.layers].map(({ digest }) => digest)).toEqual(blobs(image));
    skopeo(
      'copy',
      '-q',
      `docker-daemon:skopeo/ours:1`,
      `dir:${folder()}/dir`,
      '--src-daemon-host',
      docker.host,
    );
    skopeo(
      'copy',
      '-q',
      `dir:${folder()}/dir`,
      'docker-daemon:skopeo/theirs:1',
      '--dest-daemon-host',
      docker.host,
    );
    const { source } = await openDockerDaemonSource('skopeo/theirs:1', options());
    expect(await blobsIn(source)).toEqual(blobs(image));
  });

  test('a name moves to the image that is sent last', async () => {
    await store(openDockerDaemonDestination('moving:1', options()), plainImage('old'));
    await store(openDockerDaemonDestination('moving:1', options()), plainImage('new'));
    expect(inDocker('moving:1')).toEqual(blobs(plainImage('new')));
  });

  test('an image that it does not have is named, with how to see those it has', async () => {
    expect(
      await messageOfFailure(openDockerDaemonSource('nothing/here', options()), 'image-not-found'),
    ).toMatch(/^The Docker engine at unix:\/\/.* has no image nothing\/here:latest: "/);
    expect(readdirSync(folder())).toEqual([]);
  });

  test('a layer that breaks off leaves nothing in the engine', async () => {
    const [whole, broken] = plainImage('breaks', 'off').layers;
    if (whole === undefined || broken === undefined) throw new Error('no layers');
    const destination = await openDockerDaemonDestination('breaks:1', options());
    await destination.putBlob(whole.descriptor, Readable.from([whole.blob]));
    const bytes = Readable.from(
      (async function* () {
        yield broken.blob.subarray(0, 100);
        throw new AtomicError('digest-mismatch', 'not what it should be');
      })(),
    );
    await messageOfFailure(destination.putBlob(broken.descriptor, bytes), 'digest-mismatch');
    await destination.close();
    expect(() => inDocker('breaks:1')).toThrow(/No such image/);
  });

  test('what the engine refuses is told in its words', async () => {
    const image = buildImage({
      format: 'v2s2',
      layers: [{ tar: Buffer.alloc(1024, 'no tar at all'), compression: 'none' }],
    });
    expect(
      await messageOfFailure(store(openDockerDaemonDestination('bad:1', options()), image), 'engine-error'),
    ).toMatch(/cannot load the image bad:1: ".*tar/);
  });
});

test('the engine and all that it started are gone after its end', async () => {
  const other = await startRealDocker();
  const root = other.socketPath.replace('/docker.sock', '');
  const pid = readFileSync(join(root, 'pid'), 'utf8').trim();
  const commands = (): string[] =>
    readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name) && existsSync(`/proc/${name}/cmdline`))
      .map((name) => {
        try {
          return readFileSync(`/proc/${name}/cmdline`, 'utf8');
        } catch {
          return '';
        }
      })
      .filter((command) => command.includes(root));
  expect(commands().length).toBeGreaterThan(1);
  await other.close();
  expect(existsSync(root)).toBe(false);
  expect(existsSync(`/proc/${pid}`)).toBe(false);
  expect(commands()).toEqual([]);
  expect(readFileSync('/proc/self/mountinfo', 'utf8')).not.toContain(root);
});
