import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parseReference } from '../../src/image/reference.ts';
import { openDestination, openSource, type OpenOptions } from '../../src/transport/open.ts';
import { useTempFolder } from '../fixtures/temp-folder.ts';
import { startFakeDocker } from '../registry/fake-docker.ts';
import { messageOfFailure, plainImage, readImage, storeImage } from './images.ts';

const folder = useTempFolder();

function options(more: Partial<OpenOptions> = {}): OpenOptions {
  return { userAgent: 'test/1', report: () => undefined, environment: {}, ...more };
}

const parse = (text: string) => parseReference(text, () => false);

test.each(['oci:./x', 'dir:x', 'docker://localhost/x', 'ostree:x', 'oci-archive:x.tar'])(
  'more names than one are refused where an image has one: %s',
  async (reference) => {
    const opening = openDestination(parse(reference), options({ additionalTags: ['x:1'] }));
    expect(await messageOfFailure(opening, 'usage')).toMatch(
      /^An image in [\w-]+: cannot have additional tags$/,
    );
  },
);

test('an image of a docker-archive has its name in the store, and one without a name that of its file', async () => {
  const image = plainImage('a');
  for (const [name, expected] of [
    [':localhost:5000/app', 'localhost:5000/app:latest'],
    ['', 'app'],
  ]) {
    const reference = parse(
      `docker-archive:${join(folder(), expected === 'app' ? 'app.tar' : 'x.tar')}${name}`,
    );
    const destination = await openDestination(reference, options());
    await storeImage(destination, image, 'reference');
    await destination.commit();
    await destination.close();
    const { source, imageName } = await openSource(reference, options());
    expect(imageName).toBe(expected);
    expect((await readImage(source)).blobs).toEqual([image.configDigest, ...image.diffIds]);
    await source.close();
  }
});

test('docker:NAME:TAG, as atomic wrote it, is the engine that an option names, or else the environment', async () => {
  const fake = await startFakeDocker(join(folder(), 's'), {
    '/images/busybox:1/get': (_, response) => void response.writeHead(404).end(),
  });
  const environment = { DOCKER_HOST: 'unix:///none', TMPDIR: folder() };
  try {
    const reference = parse('docker:busybox:1');
    await messageOfFailure(openSource(reference, options({ environment })), 'engine-unreachable');
    const opening = openSource(reference, options({ environment, daemonHost: fake.host }));
    expect(await messageOfFailure(opening, 'image-not-found')).toContain('has no image busybox:1');
    await messageOfFailure(openDestination(reference, options({ environment })), 'engine-unreachable');
  } finally {
    await fake.close();
  }
});
