import { describe, expect, it } from 'vitest';
import { parseAtomicConf, readAtomicConf, type AtomicConf } from '../../src/config/atomic-conf.ts';
import { CONFIG_FILE_BYTES } from '../../src/limits.ts';

const NOTHING: AtomicConf = {
  ostreeRepository: undefined,
  checkoutPath: undefined,
  runtime: undefined,
  defaultStorage: undefined,
  httpProxy: undefined,
  httpsProxy: undefined,
  noProxy: undefined,
  limits: {},
};

/** A host whose only file is the given one. */
function hostWith(path: string, text: string) {
  return (asked: string, cap: number): Promise<Uint8Array | undefined> => {
    expect(cap).toBe(CONFIG_FILE_BYTES);
    return Promise.resolve(asked === path ? Buffer.from(text) : undefined);
  };
}
const read = (text: string): Promise<AtomicConf> => readAtomicConf({}, hostWith('/etc/atomic.conf', text));

describe('atomic.conf', () => {
  it('is empty when the file is missing, empty, or nothing but comments', async () => {
    expect(await readAtomicConf({}, hostWith('/elsewhere', ''))).toEqual(NOTHING);
    expect(await read('')).toEqual(NOTHING);
    expect(await read('# checkout_path: /x\n---\n')).toEqual(NOTHING);
  });

  it('gives the keys that we know and ignores the others', async () => {
    const text = [
      'default_scanner: openscap',
      'registry_confdir: {a: [1, 2]}',
      'ostree_repository: /srv/repo',
      'checkout_path: "/srv/containers"',
      'runtime: /usr/bin/crun',
      'default_storage: ostree',
      'http_proxy: http://p:3128',
      'https_proxy: http://p:3129 # same host',
      "no_proxy: 'localhost,.example.com'",
    ].join('\n');
    expect(await read(text)).toEqual({
      ostreeRepository: '/srv/repo',
      checkoutPath: '/srv/containers',
      runtime: '/usr/bin/crun',
      defaultStorage: 'ostree',
      httpProxy: 'http://p:3128',
      httpsProxy: 'http://p:3129',
      noProxy: 'localhost,.example.com',
      limits: {},
    });
  });

  it('moves limits, and refuses those that there are not', async () => {
    const { limits } = await read('limits:\n  layers: 600\n  layer-size: 100G\n  free-space: ignore\n');
    expect(limits).toEqual({ layers: 600, 'layer-size': 100 * 1024 ** 3, 'free-space': 0 });
    expect((await read('limits:')).limits).toEqual({});
    for (const [text, sentence] of [
      ['limits: {layer: 1}', 'limits in /etc/atomic.conf names "layer", and there is no such limit'],
      ['limits: {layers: many}', 'gives layers the value "many"'],
      ['limits: {layers: [1]}', 'gives layers the value "[1]"'],
      ['limits: [layers]', 'no mapping of names to values'],
    ] as const) {
      await expect(read(text)).rejects.toMatchObject({
        code: 'config-invalid',
        message: expect.stringContaining(sentence),
      });
    }
  });

  it('takes a key without a value for absent', async () => {
    expect(await read('runtime:\nhttp_proxy: ""\nno_proxy: ~')).toEqual(NOTHING);
  });

  it.each([
    ['runtime: [runc]', 'a value for runtime that is no text'],
    ['checkout_path: 7', 'a value for checkout_path that is no text'],
    ['- runtime', 'is not a list of "key: value" lines'],
    ['just text', 'is not a list of "key: value" lines'],
    ['a: b: c', 'is not valid YAML'],
    ['a: "\u0000', 'is not valid YAML'],
  ])('refuses %j', async (text, message) => {
    await expect(read(text)).rejects.toMatchObject({
      code: 'config-invalid',
    });
    await expect(read(text)).rejects.toThrow(message);
  });

  it('does not run out of memory on aliases of aliases', async () => {
    const levels = Array.from({ length: 30 }, (_, i) => `l${i + 1}: &l${i + 1} [${`*l${i},`.repeat(9)}]`);
    await expect(read(['l0: &l0 x', ...levels].join('\n'))).rejects.toMatchObject({ code: 'config-invalid' });
  });

  it('evaluates nothing that a tag asks for', async () => {
    await expect(read('runtime: !!js/function "function(){}"')).resolves.toMatchObject({
      runtime: 'function(){}',
    });
  });

  it('reads the file that ATOMIC_CONF names, which has to be there', async () => {
    const host = hostWith('/srv/a.conf', 'runtime: x');
    expect((await readAtomicConf({ ATOMIC_CONF: '/srv/a.conf' }, host)).runtime).toBe('x');
    await expect(readAtomicConf({ ATOMIC_CONF: '/srv/b.conf' }, host)).rejects.toThrow(
      'ATOMIC_CONF names /srv/b.conf, and there is no such file',
    );
    expect(await readAtomicConf({ ATOMIC_CONF: '' }, host)).toEqual(NOTHING);
  });

  it('is empty for no document at all', () => {
    expect(parseAtomicConf(undefined, '/x')).toEqual(NOTHING);
  });
});
