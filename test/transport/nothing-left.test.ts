import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { openDestination } from '../../src/transport/open.ts';
import type { ImageReference } from '../../src/image/reference.ts';
import { useTempFolder } from '../fixtures/temp-folder.ts';

const folder = useTempFolder();
const options = {} as Parameters<typeof openDestination>[1];

describe('a destination that is opened and gets no image', () => {
  test.each([
    ['dir', (path: string): ImageReference => ({ transport: 'dir', path })],
    ['oci', (path: string): ImageReference => ({ transport: 'oci', path, tag: 'v1' })],
    ['oci-archive', (path: string): ImageReference => ({ transport: 'oci-archive', path, tag: 'v1' })],
    [
      'docker-archive',
      (path: string): ImageReference => ({ transport: 'docker-archive', path, image: 'a:1' }),
    ],
  ])('leaves nothing where nothing was: %s', async (_name, referenceTo) => {
    const destination = await openDestination(referenceTo(join(folder(), 'new', 'place')), options);
    expect(readdirSync(folder())).toEqual(['new']);
    await destination.close();
    expect(readdirSync(folder())).toEqual([]);
  });
});
