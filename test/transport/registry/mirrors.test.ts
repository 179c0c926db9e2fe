import { once } from 'node:events';
import { buffer } from 'node:stream/consumers';
import { describe, expect, it } from 'vitest';
import type { Mirror, RegistriesConf, RegistryTable } from '../../../src/config/registries-conf/index.ts';
import type { ProgressEvent } from '../../../src/events.ts';
import { makeCertificates } from '../../registry/certificates.ts';
import type { FakeRegistry } from '../../registry/fake-registry.ts';
import { cleanUp, failureOf, openDestination, openSource, startRegistry, type Told } from './setup.ts';

const USER = { username: 'u', password: 'p' };

/** A configuration with one table, for all of a registry's images. */
function configured(table: Partial<RegistryTable> & { prefix: string }): Told['registries'] {
  const registry = { location: undefined, insecure: false, blocked: false, mirrors: [], file: '/etc/r.conf' };
  const conf: RegistriesConf = {
    searchRegistries: [],
    shortNameMode: 'permissive',
    credentialHelpers: [],
    registries: [{ ...registry, ...table }],
    aliases: new Map(),
  };
  return async () => conf;
}

function mirror(location: string, insecure = false): Mirror {
  return { location, insecure, pullFromMirror: 'all' };
}

/** Two mirrors and the registry itself, which all have the image; on loopback, none needs TLS. */
async function startAll(): Promise<{
  mirrors: [FakeRegistry, FakeRegistry];
  registry: FakeRegistry;
  told: Told & { events: ProgressEvent[] };
}> {
  const mirrors: [FakeRegistry, FakeRegistry] = [await startRegistry(), await startRegistry()];
  const registry = await startRegistry();
  const [near, far] = mirrors;
  near.addImage('cache/app', '1', [LAYER]);
  far.addImage('app', '1', [LAYER]);
  registry.addImage('app', '1', [LAYER]);
  const registries = configured({
    prefix: registry.host,
    mirrors: [mirror(`${near.host}/cache`), mirror(far.host)],
  });
  return { mirrors, registry, told: { plainHttp: false, events: [], ...(registries && { registries }) } };
}

const LAYER = Buffer.from('layer');

describe('an image with mirrors', () => {
  it('comes from the first of them, manifest and blobs', async () => {
    const { mirrors, registry, told } = await startAll();
    const source = openSource(`${registry.host}/app:1`, told);
    await source.getManifest();
    expect(await buffer(await source.getBlob(registry.addBlob(LAYER)))).toEqual(LAYER);
    expect(mirrors[0].requests.map(({ path }) => path.slice(0, 26))).toEqual([
      '/v2/cache/app/manifests/1',
      '/v2/cache/app/blobs/sha256',
    ]);
    expect([mirrors[1].requests, registry.requests, told.events]).toEqual([[], [], []]);
    expect(source.name).toBe(`docker://${registry.host}/app:1`);
  });

  it.each([
    ['404', { kind: 'status', status: 404 }],
    ['403', { kind: 'status', status: 403 }],
    ['no connection', { kind: 'reset' }],
    ['a manifest beyond the limit', { kind: 'endless' }],
  ] as const)('comes from the next one on %s, which is told', async (_, fault) => {
    const { mirrors, registry, told } = await startAll();
    mirrors[0].addFault(/manifests/, fault);
    const source = openSource(`${registry.host}/app:1`, told);
    await source.getManifest();
    const asked = mirrors[0].requests.length;
    await buffer(await source.getBlob(registry.addBlob(LAYER)));
    expect([mirrors[0].requests.length, mirrors[1].requests.length, registry.requests]).toEqual([
      asked,
      2,
      [],
    ]);
    expect(told.events.filter(({ event }) => event === 'notice')).toEqual([
      { event: 'notice', text: expect.stringContaining(mirrors[0].host) },
    ]);
  });

  it('is what its digest says: a mirror that sends something else is passed over', async () => {
    const { mirrors, registry, told } = await startAll();
    const { digest, bytes } = registry.addImage('app', '1', [LAYER]);
    mirrors[0].addFault(/manifests/, { kind: 'wrong-bytes' });
    const source = openSource(`${registry.host}/app@${digest}`, told);
    expect(Buffer.from((await source.getManifest()).bytes)).toEqual(bytes);
    expect(mirrors[1].requests).toHaveLength(1);
  });

  it('has a blob that its mirror lacks from the next one', async () => {
    const { mirrors, registry, told } = await startAll();
    const source = openSource(`${registry.host}/app:1`, told);
    await source.getManifest();
    mirrors[0].blobs.clear();
    expect(await buffer(await source.getBlob(registry.addBlob(LAYER)))).toEqual(LAYER);
    expect([mirrors[0].count(/blobs/), mirrors[1].count(/blobs/)]).toEqual([1, 1]);
  });

  it('does not blame a mirror for a stream that its reader gave up while it was resumed', async () => {
    const { mirrors, registry, told } = await startAll();
    const large = Buffer.alloc(3_000_000, 'x');
    const descriptor = mirrors[0].addBlob(large);
    const source = openSource(`${registry.host}/app:1`, told);
    await source.getManifest();
    mirrors[0].addFault(/blobs/, { kind: 'cut', after: 1000 }, 1);
    mirrors[0].addFault(/blobs/, { kind: 'silent' }, 1);
    const stream = await source.getBlob(descriptor);
    stream.resume();
    await expect.poll(() => mirrors[0].count(/blobs/)).toBe(2);
    stream.destroy();
    await once(stream, 'close');
    expect((await buffer(await source.getBlob(descriptor))).equals(large)).toBe(true);
    expect(told.events.filter(({ event }) => event === 'notice')).toEqual([]);
  });

  it('is not there when the registry itself says so', async () => {
    const { mirrors, registry, told } = await startAll();
    for (const each of [...mirrors, registry]) each.addFault(/manifests/, { kind: 'status', status: 404 });
    const error = await failureOf(openSource(`${registry.host}/app:1`, told).getManifest());
    expect([error.code, error.message]).toEqual(['manifest-unknown', expect.stringContaining(registry.host)]);
    expect(told.events).toHaveLength(2);
  });

  it('shows credentials that were given to its own registry and to no mirror', async () => {
    const { mirrors, registry, told } = await startAll();
    const challenge = { 'www-authenticate': 'Basic realm="mirror"' };
    for (const each of mirrors) each.addFault(/./, { kind: 'status', status: 401, headers: challenge });
    registry.addFault(/./, { kind: 'status', status: 401, headers: challenge }, 1);
    await openSource(`${registry.host}/app:1`, { ...told, credentials: USER }).getManifest();
    const shown = [...mirrors, registry].map(({ requests }) =>
      requests.some(({ headers }) => headers.authorization !== undefined),
    );
    expect(shown).toEqual([false, false, true]);
  });

  it('is written to its own registry only', async () => {
    const { mirrors, registry, told } = await startAll();
    const { digest, bytes } = registry.addImage('app', '1', [LAYER]);
    const manifest = { bytes, mediaType: 'application/vnd.oci.image.manifest.v1+json' };
    await openDestination(`${registry.host}/app:2`, told).putManifest(manifest, digest, 'reference');
    expect([registry.count(/^PUT/), mirrors[0].requests, mirrors[1].requests]).toEqual([1, [], []]);
  });
});

describe('a registry', () => {
  it('that is blocked is not asked, and the file is named', async () => {
    const registry = await startRegistry();
    const registries = configured({ prefix: registry.host, blocked: true });
    const told = registries === undefined ? {} : { registries };
    for (const asking of [
      openSource(`${registry.host}/app:1`, told).getManifest(),
      openDestination(`${registry.host}/app:1`, told).hasBlob(registry.addBlob(LAYER)),
    ]) {
      const error = await failureOf(asking);
      expect([error.code, error.message]).toEqual([
        'denied',
        `/etc/r.conf blocks the registry ${registry.host}`,
      ]);
    }
    expect(registry.requests).toEqual([]);
  });

  it('that is insecure needs no certificate that is trusted, unless TLS is insisted on', async () => {
    const certificates = await makeCertificates();
    cleanUp(() => certificates.remove());
    const registry = await startRegistry({ tls: certificates.server });
    registry.addImage('app', '1', []);
    const open = (insecure: boolean, told: Told): Promise<unknown> => {
      const registries = configured({ prefix: registry.host, insecure });
      const source = openSource(`${registry.host}/app:1`, {
        plainHttp: false,
        ...(registries && { registries }),
        ...told,
      });
      return source.getManifest();
    };
    await open(true, {});
    expect((await failureOf(open(true, { tlsVerify: true }))).code).toBe('tls');
    expect((await failureOf(open(false, {}))).code).toBe('tls');
  });

  it('at another location is asked there', async () => {
    const registry = await startRegistry();
    registry.addImage('moved/app', '1', []);
    const registries = configured({ prefix: 'old.example/team', location: `${registry.host}/moved` });
    const told = { plainHttp: false, ...(registries && { registries }) };
    await openSource('old.example/team/app:1', told).getManifest();
    expect(registry.requests.map(({ path }) => path)).toEqual(['/v2/moved/app/manifests/1']);
  });
});
