import { describe, expect, it } from 'vitest';
import { AtomicError, describeDiskFull } from '../src/errors.ts';

const systemError = (code: string, path?: string): Error =>
  Object.assign(new Error('write failed'), { code }, path === undefined ? {} : { path });

describe('a failed write', () => {
  it('that found the disk full says where, and what to do', () => {
    expect(describeDiskFull(systemError('ENOSPC'), '/x')).toMatchObject({
      code: 'disk-full',
      message: 'Cannot write /x: no space is left on the disk',
      hint: 'Free some space and try again.',
    });
    expect(describeDiskFull(systemError('EDQUOT', '/x/named'), '/x')).toMatchObject({
      code: 'disk-full',
      message: 'Cannot write /x/named: the disk quota is used up',
    });
  });

  it('of any other kind stays what it is', () => {
    const [other, ours] = [systemError('EACCES'), new AtomicError('internal', 'x')];
    expect(describeDiskFull(other, '/x')).toBe(other);
    expect(describeDiskFull(ours, '/x')).toBe(ours);
  });
});
