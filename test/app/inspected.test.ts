import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { fullName } from '../../src/app/image-info.ts';
import { findInspected, type InspectedKind } from '../../src/app/inspected.ts';
import { digestFromHex, type Digest } from '../../src/image/digest.ts';
import type { StoredImage } from '../../src/store/image-store.ts';
import { useTempFolder } from '../fixtures/temp-folder.ts';
import {
  createListHost,
  writeBlob,
  writeContainer,
  writeDeployment,
  writeImage,
  type ListHost,
} from './list-host.ts';

const folder = useTempFolder();
const digest = (start: string): Digest => digestFromHex('sha256', start.padEnd(64, '0'));

function createHost(): ListHost {
  const host = createListHost(folder());
  const { repository, checkouts, preinstalled } = host.app.paths;
  const image = { config: digest('c'), layers: [{ digest: digest('1a'), size: 1 }] };
  writeBlob(repository, digest('1a'));
  writeImage(repository, { ...image, name: 'hello:latest', digest: digest('abcdef012') });
  writeImage(repository, { ...image, name: 'docker.io/web:v2', digest: digest('beef') });
  writeContainer(checkouts, 'hello', { image: 'docker.io/web:v2', revision: digest('beef').slice(7) });
  writeContainer(checkouts, 'gone', { image: 'docker.io/gone' });
  writeContainer(checkouts, 'abcdef0', { image: 'hello', revision: digest('abcdef012').slice(7) });
  writeDeployment(join(preinstalled, 'brought'), { image: 'hello', revision: digest('abcdef012').slice(7) });
  return host;
}

const found = async (host: ListHost, text: string, kind: InspectedKind): Promise<string> => {
  const { image, container } = await findInspected(host.app, text, kind);
  return `${container === undefined ? '' : `${container.name} of `}${image?.name ?? 'no image'}`;
};

describe('a name on the command line', () => {
  it.each([
    ['hello', 'any', 'hello:latest'],
    ['hello', 'image', 'hello:latest'],
    ['hello', 'container', 'hello of docker.io/web:v2'],
    ['docker://docker.io/web:v2', 'any', 'docker.io/web:v2'],
    ['gone', 'any', 'gone of no image'],
    ['brought', 'any', 'brought of hello:latest'],
    ['brought', 'container', 'brought of hello:latest'],
    // A container's name goes before the beginning of an id, and no image has that name.
    ['abcdef0', 'any', 'abcdef0 of hello:latest'],
    ['abcdef0', 'image', 'hello:latest'],
    ['abcdef012', 'any', 'hello:latest'],
  ] as const)('%s, taken for %s, is %s', async (text, kind, expected) => {
    expect(await found(createHost(), text, kind)).toBe(expected);
  });

  it.each([
    ['web', 'any', 'image-not-found', 'Unable to find web in the ostree backend'],
    ['gone', 'image', 'image-not-found', 'Unable to find gone in the ostree backend'],
    ['web', 'container', 'container-not-found', "System container 'web' is not installed"],
    ['a/b', 'container', 'name-invalid', '"a/b" cannot name a container'],
    ['A B', 'any', 'image-not-found', 'Unable to find A B in the ostree backend'],
  ] as const)('%s, taken for %s, is an error of the kind %s%s', async (text, kind, code, message) => {
    await expect(found(createHost(), text, kind)).rejects.toMatchObject({
      code,
      message: expect.stringContaining(message),
    });
  });
});

describe('the full name of an image', () => {
  const name = (given: string, source?: string): string =>
    fullName({ name: given, source } as unknown as StoredImage);

  it.each([
    ['docker.io/hello:latest', undefined, 'docker.io/library/hello:latest'],
    ['docker.io/hello:v2', undefined, 'docker.io/library/hello:v2'],
    ['quay.io/a/b:latest', undefined, 'quay.io/a/b:latest'],
    ['atomic-test-system-update:latest', undefined, 'atomic-test-system-update'],
    ['busybox:latest', 'docker://busybox', 'docker.io/library/busybox:latest'],
    ['saved:latest', 'docker-archive:/x.tar', 'saved'],
    ['IMG:latest', undefined, 'IMG'],
    [
      `docker.io/hello@sha256:${'a'.repeat(64)}`,
      undefined,
      `docker.io/library/hello@sha256:${'a'.repeat(64)}`,
    ],
  ])('%s, from %s, is %s', (given, source, expected) => {
    expect(name(given, source)).toBe(expected);
  });
});
