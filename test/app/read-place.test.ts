import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readDestination, readPlace } from '../../src/app/read-place.ts';

describe('an image that is copied', () => {
  it.each([
    ['oci:new:tag', { transport: 'oci', path: resolve('new'), tag: 'tag' }],
    ['oci:new/folder', { transport: 'oci', path: resolve('new/folder'), tag: undefined }],
    ['dir:new', { transport: 'dir', path: resolve('new') }],
  ])('is in a folder, or will be: %s', (text, reference) => {
    expect(readPlace(text)).toEqual(reference);
    expect(readDestination(text)).toEqual(reference);
  });

  it('is nobody’s standard output', () => {
    expect(() => readPlace('docker-archive:-')).toThrow(/would be a stream/);
    expect(() => readPlace('dir:-')).toThrow(
      expect.objectContaining({ hint: expect.stringContaining('dir:./-') }),
    );
    expect(readPlace('dir:./-')).toEqual({ transport: 'dir', path: resolve('-') });
  });

  it('is not at a path that could not be read', () => {
    expect(() => readPlace('dir:caf\uFFFD')).toThrow(/not UTF-8/);
  });

  it.each(['busybox', 'localhost:5000/app:1', 'd9:x'])(
    'does not go to a registry that is only guessed: %s',
    (text) => {
      expect(readPlace(text)).toMatchObject({ transport: 'docker' });
      expect(() => readDestination(text)).toThrow(
        expect.objectContaining({ code: 'usage', hint: expect.stringContaining(`docker://${text}`) }),
      );
    },
  );

  it.each(['docker://busybox', 'http:localhost:5000/app'])(
    'goes to the registry that is named: %s',
    (text) => {
      expect(readDestination(text)).toMatchObject({ transport: 'docker' });
    },
  );

  it.each(['dockre://a/b', 'dri:/a/b'])('has no transport that there is not: %s', (text) => {
    expect(() => readPlace(text)).toThrow(
      expect.objectContaining({ code: 'reference-invalid', message: expect.stringMatching(/no transport/) }),
    );
  });
});
