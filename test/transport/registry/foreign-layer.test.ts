import { buffer } from 'node:stream/consumers';
import { describe, expect, it } from 'vitest';
import type { Descriptor } from '../../../src/image/descriptor.ts';
import { FOREIGN_URLS } from '../../../src/limits.ts';
import { makeCertificates } from '../../registry/certificates.ts';
import type { FakeRegistry } from '../../registry/fake-registry.ts';
import { cleanUp, failureOf, makeFolder, openSource, startRegistry, type Told } from './setup.ts';

const USER = { username: 'u', password: 'p' };
const LAYER = Buffer.from('a layer that its owner keeps');

/** A layer that `owner` has and nobody else, under the given URLs. */
function foreignLayer(owner: FakeRegistry, urls: (place: string) => string[]): Descriptor {
  const descriptor = owner.addBlob(LAYER);
  return { ...descriptor, urls: urls(`/v2/any/blobs/${descriptor.digest}`) };
}

async function read(registry: FakeRegistry, layer: Descriptor, told: Told = {}): Promise<Buffer> {
  return buffer(await openSource(`${registry.host}/app:1`, told).getBlob(layer));
}

describe('a foreign layer', () => {
  it('comes from the registry when that has it', async () => {
    const registry = await startRegistry();
    const owner = await startRegistry();
    const layer = foreignLayer(owner, (place) => [`${owner.origin}${place}`]);
    registry.addBlob(LAYER);
    expect(await read(registry, layer)).toEqual(LAYER);
    expect(owner.requests).toEqual([]);
  });

  it('comes from the first of its URLs that has it, which are shown no credentials', async () => {
    const registry = await startRegistry({ auth: { kind: 'basic', ...USER } });
    const owner = await startRegistry();
    const layer = foreignLayer(owner, (place) => [`${owner.origin}/gone`, `${owner.origin}${place}`]);
    expect(await read(registry, layer, { credentials: USER })).toEqual(LAYER);
    expect(registry.requests.at(-1)?.headers.authorization).toMatch(/^Basic /);
    expect(owner.requests.map(({ headers }) => headers.authorization)).toEqual([undefined, undefined]);
  });

  it('is not asked of the registry itself with its credentials', async () => {
    const registry = await startRegistry({ auth: { kind: 'basic', ...USER } });
    const layer = foreignLayer(await startRegistry(), () => [`${registry.origin}/elsewhere`]);
    await failureOf(read(registry, layer, { credentials: USER }));
    const elsewhere = registry.requests.filter(({ path }) => path === '/elsewhere');
    expect(elsewhere.map(({ headers }) => headers.authorization)).toEqual([undefined]);
  });

  it('comes with TLS only, when its registry has it', async () => {
    const certificates = await makeCertificates();
    cleanUp(() => certificates.remove());
    const registry = await startRegistry({ tls: certificates.server });
    const plain = await startRegistry();
    const secure = await startRegistry({ tls: certificates.server });
    const environment = { SSL_CERT_FILE: `${certificates.folder}/ca.crt`, HOME: await makeFolder() };
    const told = { plainHttp: false, environment };
    const only = foreignLayer(plain, (place) => [`${plain.origin}${place}`]);
    expect((await failureOf(read(registry, only, told))).code).toBe('registry-error');
    secure.addBlob(LAYER);
    const both = foreignLayer(plain, (place) => [`${plain.origin}${place}`, `${secure.origin}${place}`]);
    expect(await read(registry, both, told)).toEqual(LAYER);
    expect(plain.requests).toEqual([]);
  });

  it('is not fetched from an odd place, nor from many', async () => {
    const registry = await startRegistry();
    const owner = await startRegistry();
    const odd = [
      'file:///etc/passwd',
      'nonsense',
      'http://registry.example/x',
      owner.origin.replace('//', '//user:secret@'),
    ];
    const many = Array.from({ length: 20 }, (_, i) => `${owner.origin}/${i}`);
    const error = await failureOf(
      read(
        registry,
        foreignLayer(owner, () => [...odd, ...many]),
      ),
    );
    expect([error.code, error.trouble.length, owner.requests.length]).toEqual([
      'registry-error',
      FOREIGN_URLS,
      FOREIGN_URLS,
    ]);
    expect(JSON.stringify(error)).not.toContain('secret');
  });

  it('of another size is refused', async () => {
    const registry = await startRegistry();
    const owner = await startRegistry();
    const layer = foreignLayer(owner, (place) => [`${owner.origin}${place}`]);
    owner.addFault(/blobs/, { kind: 'endless' });
    expect((await failureOf(read(registry, layer))).code).toBe('size-mismatch');
  });
});
