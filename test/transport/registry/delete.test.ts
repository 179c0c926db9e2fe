import { describe, expect, it } from 'vitest';
import { parseRegistryImage } from '../../../src/image/reference.ts';
import { findDeletable } from '../../../src/transport/registry/delete.ts';
import type { FakeRegistry } from '../../registry/fake-registry.ts';
import { failureOf, optionsFor, startRegistry, type Told } from './setup.ts';

const USER = { username: 'user', password: 'secret' };

async function remove({ host }: FakeRegistry, reference: string, told: Told = {}): Promise<string> {
  const found = await findDeletable(parseRegistryImage(`${host}/${reference}`), optionsFor(told));
  try {
    await found.delete();
    return found.digest;
  } finally {
    await found.close();
  }
}

describe('an image in a registry', () => {
  it('is deleted by the digest that its tag stands for', async () => {
    const registry = await startRegistry();
    const { digest } = registry.addImage('app', '1', []);
    const other = registry.addImage('app', '2', [Buffer.from('x')]);
    expect(await remove(registry, 'app:1')).toBe(digest);
    expect(registry.requests.map(({ method, path }) => `${method} ${path}`)).toEqual([
      'HEAD /v2/app/manifests/1',
      `DELETE /v2/app/manifests/${digest}`,
    ]);
    expect(registry.manifest('app', '1')).toBeUndefined();
    expect(registry.manifest('app', other.digest)).toBeDefined();
  });

  it('is deleted by the digest in its name, with a token for everything', async () => {
    const registry = await startRegistry({ auth: { kind: 'token', ...USER } });
    const { digest } = registry.addImage('app', '1', []);
    expect(await remove(registry, `app@${digest}`, { credentials: USER })).toBe(digest);
    expect(registry.requests.find(({ path }) => path.startsWith('/token'))?.path).toContain(
      `scope=${encodeURIComponent('repository:app:*')}`,
    );
  });

  it('that is not there is none to delete', async () => {
    const registry = await startRegistry();
    registry.addImage('app', '1', []);
    expect((await failureOf(remove(registry, 'app:2'))).code).toBe('manifest-unknown');
    expect(registry.count(/DELETE/)).toBe(0);
  });

  it('is not deleted by a registry that is told not to, and how to allow it is said', async () => {
    const registry = await startRegistry();
    registry.addImage('app', '1', []);
    registry.addFault(/DELETE/, { kind: 'status', status: 405, body: '{"errors":[{"code":"UNSUPPORTED"}]}' });
    const error = await failureOf(remove(registry, 'app:1'));
    expect([error.code, error.message, error.hint]).toEqual([
      'unsupported',
      `Cannot delete ${registry.host}/app:1: its registry does not delete images`,
      expect.stringContaining('storage.delete.enabled'),
    ]);
  });

  it('is not deleted by who may not', async () => {
    const registry = await startRegistry();
    registry.addImage('app', '1', []);
    registry.addFault(/DELETE/, { kind: 'status', status: 403, body: '{"errors":[{"code":"DENIED"}]}' });
    expect((await failureOf(remove(registry, 'app:1'))).code).toBe('denied');
  });

  it('whose digest the registry does not tell has to be named by it', async () => {
    const registry = await startRegistry();
    registry.addFault(/HEAD/, { kind: 'status', status: 200 });
    const error = await failureOf(remove(registry, 'app:1'));
    expect([error.code, error.hint]).toEqual(['registry-error', expect.stringContaining('digest')]);
  });
});
