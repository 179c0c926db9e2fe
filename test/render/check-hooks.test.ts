import { describe, expect, it } from 'vitest';
import { checkHooks } from '../../src/render/check-hooks.ts';

const HOST = new Set(['/bin/sh', '/usr/libexec/hook']);
const check = (hooks: unknown): Promise<void> => checkHooks({ hooks }, (path) => HOST.has(path));

describe('checkHooks', () => {
  it('takes hooks that the host has, and none at all', async () => {
    await expect(check({ prestart: [{ path: '/bin/sh' }], poststop: null })).resolves.toBeUndefined();
    await expect(check(undefined)).resolves.toBeUndefined();
    await expect(check({})).resolves.toBeUndefined();
  });

  it('leaves hooks that run in the container to it', async () => {
    await expect(check({ startContainer: [{ path: '/only/there' }] })).resolves.toBeUndefined();
  });

  it.each([
    [{ poststop: [{ path: '/bin/sh' }, { path: '/no/such' }] }, 'hooks.poststop[1].path "/no/such"'],
    [{ createRuntime: [{ args: ['x'] }] }, 'hooks.createRuntime[0].path that is missing'],
    [{ prestart: ['/bin/sh'] }, 'hooks.prestart[0].path that is missing'],
  ])('names the hook that is missing in %j', async (hooks, found) => {
    await expect(check(hooks)).rejects.toMatchObject({
      code: 'spec-invalid',
      message: expect.stringContaining(found),
    });
  });
});
