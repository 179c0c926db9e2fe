import { describe, expect, it } from 'vitest';
import { listMounts, parseMounts } from '../../src/host/files/mounts.ts';

const TABLE = `22 1 254:0 / / rw,relatime shared:1 master:2 - ext4 /dev/vda rw,discard
263 22 254:0 /checkouts/a\\040b/rootfs /mnt/m ro,nosuid,nodev - ext4 /dev/vda rw
264 22 0:74 / /mnt/with\\134backslash\\012line ro - overlay /store/1 ro,lowerdir=hold:empty
265 22 0:75 /gone//deleted /mnt/gone rw - tmpfs
`;

describe('the table of mounts', () => {
  it('is read as the kernel writes it', () => {
    expect(parseMounts(TABLE)).toEqual([
      { place: '/', device: '254:0', type: 'ext4', source: '/dev/vda' },
      { place: '/mnt/m', device: '254:0', type: 'ext4', source: '/dev/vda' },
      {
        place: '/mnt/with\\backslash\nline',
        device: '0:74',
        type: 'overlay',
        source: '/store/1',
      },
      { place: '/mnt/gone', device: '0:75', type: 'tmpfs', source: '' },
    ]);
  });

  it('is this machine’s', async () => {
    const proc = (await listMounts()).find(({ place }) => place === '/proc');
    expect(proc?.type).toBe('proc');
  });
});
