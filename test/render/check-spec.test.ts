import { describe, expect, it } from 'vitest';
import { checkSpec } from '../../src/render/check-spec.ts';

const good = {
  process: { args: ['/bin/x'], env: ['A=b'], cwd: '/' },
  root: { path: 'rootfs', readonly: true },
  mounts: [{ destination: '/proc', type: 'proc', source: 'proc', options: ['ro'] }],
  linux: { namespaces: [{ type: 'pid' }, { type: 'mount' }] },
};

describe('checkSpec', () => {
  it('accepts a good configuration, and null lists', () => {
    expect(() => checkSpec(good, 'P', false)).not.toThrow();
    const sparse = { ...good, mounts: null, process: { ...good.process, env: null } };
    expect(() => checkSpec(sparse, 'P', false)).not.toThrow();
  });

  it.each([
    ['no root', { ...good, root: undefined }],
    ['no readonly', { ...good, root: { path: 'rootfs' } }],
    ['a writable root', { ...good, root: { path: 'rootfs', readonly: false } }],
    ['an empty configuration', {}],
  ])('refuses %s in atomic’s words', (_, spec) => {
    expect(() => checkSpec(spec, 'P', false)).toThrow(
      expect.objectContaining({
        code: 'spec-invalid',
        message: 'Invalid configuration file.  Only readonly images are supported',
      }),
    );
  });

  it('wants the root at rootfs, unless it is a remote one', () => {
    const spec = { ...good, root: { path: '/', readonly: true } };
    expect(() => checkSpec(spec, 'P', false)).toThrow("Invalid configuration file.  Path must be 'rootfs'");
    expect(() => checkSpec(spec, 'P', true)).not.toThrow();
  });

  it.each([
    [null, 'is not a JSON object'],
    [[], 'is not a JSON object'],
    [{ ...good, process: undefined }, 'has no process'],
    [{ ...good, process: { ...good.process, args: [] } }, 'process.args'],
    [{ ...good, process: { ...good.process, args: 'x' } }, 'process.args'],
    [{ ...good, process: { ...good.process, args: [1] } }, 'process.args'],
    [{ ...good, process: { ...good.process, env: { A: 'b' } } }, 'process.env'],
    [{ ...good, process: { ...good.process, cwd: 'tmp' } }, 'process.cwd'],
    [{ ...good, process: { args: ['x'] } }, 'process.cwd'],
    [{ ...good, mounts: {} }, 'mounts that are not a list'],
    [{ ...good, mounts: [null] }, 'mounts[0] that'],
    [{ ...good, mounts: [...good.mounts, { type: 'bind' }] }, 'mounts[1].destination'],
    [{ ...good, mounts: [{ destination: '/a', type: 1 }] }, 'mounts[0].type'],
    [{ ...good, mounts: [{ destination: '/a', source: 1 }] }, 'mounts[0].source'],
    [{ ...good, mounts: [{ destination: '/a', options: 'ro' }] }, 'mounts[0].options'],
    [{ ...good, linux: [] }, 'linux that is not an object'],
    [{ ...good, linux: null }, 'linux that is not an object'],
    [{ ...good, linux: {} }, 'linux.namespaces without a mount namespace'],
    [{ ...good, linux: { namespaces: [{ type: 'pid' }] } }, 'linux.namespaces without a mount namespace'],
  ])('refuses %j and names the field', (spec, found) => {
    expect(() => checkSpec(spec, 'P', false)).toThrow(
      expect.objectContaining({ code: 'spec-invalid', message: expect.stringContaining(found) }),
    );
  });
});
