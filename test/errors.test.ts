import { describe, expect, it } from 'vitest';
import { AtomicError, describeDiskFull, describeFileProblem, TEMP_SPACE_HINT } from '../src/errors.ts';

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
    expect(describeDiskFull(systemError('ENOSPC'), '/var/tmp', TEMP_SPACE_HINT)).toMatchObject({
      hint: expect.stringContaining('TMPDIR'),
    });
  });

  it('of any other kind stays what it is', () => {
    const [other, ours] = [systemError('EACCES'), new AtomicError('internal', 'x')];
    expect(describeDiskFull(other, '/x')).toBe(other);
    expect(describeDiskFull(ours, '/x')).toBe(ours);
  });
});

describe('a path that cannot be used', () => {
  const failure = (code: string, syscall: string): Error =>
    Object.assign(new Error('failed'), { code, syscall, path: '/x' });

  it.each([
    ['EACCES', 'mkdir', 'Cannot make the folder /x: permission denied'],
    ['EEXIST', 'mkdir', 'Cannot make the folder /x: a file has that name'],
    ['ENAMETOOLONG', 'mkdir', 'Cannot make the folder /x: a name in it is too long'],
    ['EROFS', 'mkdtemp', 'Cannot write in /: the file system is read-only'],
    ['EACCES', 'open', 'Cannot use /x: permission denied'],
    ['ENOTDIR', 'open', 'Cannot use /x: a part of the path is no folder'],
  ])('by %s of %s is told in a sentence', (code, syscall, message) => {
    expect(describeFileProblem(failure(code, syscall))).toMatchObject({ code: 'host-file', message });
  });

  it('is no matter of other errors', () => {
    for (const error of [
      failure('EBADF', 'read'),
      systemError('EACCES'),
      new AtomicError('tls', 'x'),
      undefined,
    ])
      expect(describeFileProblem(error)).toBe(error);
  });
});
