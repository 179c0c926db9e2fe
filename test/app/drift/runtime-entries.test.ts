import { describe, expect, it } from 'vitest';
import { runtimeEntriesOf } from '../../../src/app/drift/judge-rootfs.ts';

describe('what a runtime makes in a tree', () => {
  it('is what something is mounted on, and where the program begins', () => {
    const spec = {
      process: { cwd: '/work' },
      mounts: [
        { destination: '/proc' },
        { destination: '/dev/' },
        { source: 'x' },
        'odd',
        { destination: 7 },
      ],
      linux: { devices: [{ path: '/dev/kvm' }] },
    };
    expect(runtimeEntriesOf(spec)).toEqual({
      places: ['/proc', '/dev/', '/work'],
      devices: false,
      deviceNames: ['/dev/kvm'],
    });
  });

  it('are devices too, where nothing is mounted on /dev', () => {
    expect(runtimeEntriesOf({ mounts: [{ destination: '/dev/pts' }] }).devices).toBe(true);
    expect(runtimeEntriesOf({ mounts: 'odd', process: [], linux: null })).toEqual({
      places: [],
      devices: true,
      deviceNames: [],
    });
  });
});
