import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { AtomicError, isAtomicError } from '../../src/errors.ts';
import { parseReference } from '../../src/image/reference.ts';
import { openSource } from '../../src/transport/open.ts';
import { adviseTransport } from '../../src/transport/wrong-transport.ts';
import {
  writeDirTransport,
  writeDockerArchive,
  writeOciArchive,
  writeOciLayout,
} from '../fixtures/image-builder.ts';
import { useTempFolder } from '../fixtures/temp-folder.ts';
import { smallImage } from './images.ts';
import { optionsFor } from './registry/setup.ts';

const folder = useTempFolder();

/** What is advised of an image that is there under another transport, or not at all. */
async function hintOf(transport: string, name: string): Promise<string | undefined> {
  const reference = parseReference(`${transport}:${join(folder(), name)}`, () => true);
  const error: unknown = await openSource(reference, optionsFor({})).then(
    () => undefined,
    (error: unknown) => adviseTransport(reference, error),
  );
  return isAtomicError(error) ? error.hint : undefined;
}

describe('an image that is not what its transport says', () => {
  test.each([
    ['oci', 'dir'],
    ['oci', 'docker-archive'],
    ['dir', 'oci'],
    ['dir', 'oci-archive'],
    ['docker-archive', 'oci-archive'],
    ['docker-archive', 'oci'],
    ['oci-archive', 'docker-archive'],
    ['oci-archive', 'dir'],
  ])('is found when it is written %s: and is %s:', async (written, real) => {
    const image = smallImage('x', 'v2s2');
    writeOciLayout(join(folder(), 'oci'), [{ image, tag: 'v1' }]);
    writeDirTransport(join(folder(), 'dir'), image);
    writeOciArchive(join(folder(), 'oci-archive'), [{ image, tag: 'v1' }]);
    writeDockerArchive(join(folder(), 'docker-archive'), [{ image, names: ['a:1'] }]);
    expect(await hintOf(written, real)).toBe(
      `There is an image of another kind: write it ${real}:${join(folder(), real)}`,
    );
  });

  test.each(['oci', 'dir', 'oci-archive', 'docker-archive'])(
    '%s: may be nothing at all',
    async (transport) => {
      expect(await hintOf(transport, 'none')).toBe('Nothing is there: check the path.');
    },
  );

  test('may be no image of any kind', async () => {
    mkdirSync(join(folder(), 'empty'));
    writeFileSync(join(folder(), 'text'), 'no tar');
    expect(await hintOf('dir', 'empty')).toBe('What is there is no image of any kind: check the path.');
    expect(await hintOf('docker-archive', 'text')).toBeUndefined();
  });

  test('leaves other errors alone', async () => {
    const error = new AtomicError('tls', 'x');
    expect(
      await adviseTransport(
        parseReference('dir:/x', () => true),
        error,
      ),
    ).toBe(error);
    const missing = new AtomicError('image-not-found', 'x');
    expect(
      await adviseTransport(
        parseReference('docker://x', () => true),
        missing,
      ),
    ).toBe(missing);
  });
});
