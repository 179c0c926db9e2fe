import { describe, expect, test } from 'vitest';
import { readWhereAllowed } from '../../src/cli/wiring.ts';
import { AtomicError } from '../../src/errors.ts';

const read = readWhereAllowed({
  readIfExists: (path) => {
    if (path.startsWith('/etc/')) throw new AtomicError('not-root', `Cannot read ${path}: permission denied`);
    throw new AtomicError('not-root', 'no way');
  },
});

describe('an atomic.conf that an ordinary user may not read', () => {
  test('is none when nobody asked for it', async () => {
    expect(await read('/etc/atomic.conf', 1024)).toBeUndefined();
  });

  test('is an error when it was named', async () => {
    await expect(read('/home/x/atomic.conf', 1024)).rejects.toMatchObject({ code: 'not-root' });
  });

  test('is an error when it is broken otherwise', async () => {
    const broken = readWhereAllowed({
      readIfExists: () => Promise.reject(new AtomicError('limit-exceeded', 'too long')),
    });
    await expect(broken('/etc/atomic.conf', 1024)).rejects.toMatchObject({ code: 'limit-exceeded' });
  });
});
