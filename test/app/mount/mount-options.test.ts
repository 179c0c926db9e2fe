import { describe, expect, it } from 'vitest';
import { mountOptions } from '../../../src/app/mount/mount-options.ts';

describe('mount options', () => {
  it.each([
    ['', 'ro,nosuid,nodev'],
    ['ro', 'ro,nosuid,nodev'],
    ['noexec', 'ro,nosuid,nodev,noexec'],
    [',noatime,,noexec,noatime', 'ro,nosuid,nodev,noatime,noexec'],
    ['suid', 'ro,nodev'],
    ['dev,suid', 'ro'],
    ['suid,nosuid', 'ro,nosuid,nodev'],
  ])('%j gives %s', (text, expected) => {
    expect(mountOptions(text).join(',')).toBe(expected);
  });

  it('cannot make the tree writable: its files are those of the store', () => {
    expect(() => mountOptions('noexec,rw')).toThrow(
      'A tree cannot be mounted with the option rw: it is read-only',
    );
  });

  it.each(['context=x', 'remount', 'upperdir=/etc', 'loop', 'toString', 'bind'])(
    '%s is refused',
    (option) => {
      expect(() => mountOptions(option)).toThrow(`A tree cannot be mounted with the option "${option}"`);
    },
  );
});
