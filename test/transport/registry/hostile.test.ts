/** What a registry may do to us on purpose, and what its neighbours may hope for. */
import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { buffer } from 'node:stream/consumers';
import { describe, expect, it } from 'vitest';
import { readImage, resolveManifest } from '../../../src/copy/resolve.ts';
import type { AtomicError } from '../../../src/errors.ts';
import type { ProgressEvent } from '../../../src/events.ts';
import { ERROR_BODY_BYTES } from '../../../src/limits.ts';
import { VerifyStream } from '../../../src/stream/verify.ts';
import { buildImage, buildIndex, type BuiltImage } from '../../fixtures/image-builder.ts';
import { makeCertificates } from '../../registry/certificates.ts';
import type { FakeRegistry } from '../../registry/fake-registry.ts';
import {
  cleanUp,
  failureOf,
  makeFolder,
  openDestination,
  openSource,
  QUICK,
  startRegistry,
} from './setup.ts';

const USER = { username: 'user', password: 'pass-secret' };
const BLOB = randomBytes(1_000_000);

/** Whether any request brought credentials along. */
function sawCredentials({ requests }: FakeRegistry): boolean {
  return requests.some(({ headers }) => headers.authorization !== undefined);
}

/** All that a person gets to see of an error, also with --debug. */
function shown(error: unknown): string {
  const { message, stack, cause, hint, trouble } = error as AtomicError;
  const own = [message, stack, hint, trouble].join('\n');
  return cause === undefined ? own : own + shown(cause);
}

describe('a blob from a hostile registry', () => {
  it.each([
    ['a byte less', BLOB.length - 1],
    ['a byte more', BLOB.length + 1],
  ])('that says it is %s is refused before its first byte', async (_, length) => {
    const registry = await startRegistry();
    const descriptor = registry.addBlob(BLOB);
    registry.addFault(/blobs/, { kind: 'wrong-length', length });
    const error = await failureOf(openSource(`${registry.host}/app:1`).getBlob(descriptor));
    expect([error.code, error.message]).toEqual([
      'size-mismatch',
      expect.stringContaining(`${length} bytes`),
    ]);
  });

  it('of another content is no blob, also when it was cut in between', async () => {
    const registry = await startRegistry();
    const descriptor = registry.addBlob(BLOB);
    registry.addFault(/blobs/, { kind: 'cut', after: 500_000 }, 1);
    registry.addFault(/blobs/, { kind: 'wrong-bytes' }, 1);
    const stream = await openSource(`${registry.host}/app:1`).getBlob(descriptor);
    const verified = new VerifyStream({ ...descriptor, what: 'the blob' });
    expect((await failureOf(pipeline(stream, verified, buffer))).code).toBe('digest-mismatch');
    expect(registry.count(/blobs/)).toBe(2);
  });

  it('is hashed on over a cut as if there were none', async () => {
    const registry = await startRegistry();
    const descriptor = registry.addBlob(BLOB);
    registry.addFault(/blobs/, { kind: 'cut', after: 300_000 }, 2);
    const stream = await openSource(`${registry.host}/app:1`).getBlob(descriptor);
    const verified = new VerifyStream({ ...descriptor, what: 'the blob' });
    expect((await pipeline(stream, verified, buffer)).equals(BLOB)).toBe(true);
  });
});

describe('a tag that changes while it is read', () => {
  const platform = { os: 'linux', architecture: 'amd64' };
  const image = (content: string): BuiltImage =>
    buildImage({ layers: [{ entries: [{ path: 'f', content }] }], platform });

  async function start(): Promise<{ registry: FakeRegistry; first: BuiltImage }> {
    const registry = await startRegistry();
    const first = image('first');
    const index = buildIndex([first]);
    registry.addManifest('app', index.manifest, index.mediaType, '1');
    for (const blob of first.blobs.values()) registry.addBlob(blob);
    return { registry, first };
  }

  it('to an index whose manifest is gone is an error', async () => {
    const { registry } = await start();
    const source = openSource(`${registry.host}/app:1`);
    expect((await failureOf(resolveManifest(source, platform, undefined))).code).toBe('manifest-unknown');
  });

  it('to another manifest under the digest that the index names is an error', async () => {
    const { registry, first } = await start();
    registry.addManifest('app', first.manifest, first.mediaType);
    registry.addFault(new RegExp(first.digest), { kind: 'wrong-bytes' });
    const source = openSource(`${registry.host}/app:1`);
    const error = await failureOf(resolveManifest(source, platform, undefined));
    expect(error.code).toBe('digest-mismatch');
  });

  it('after its manifest was read leaves the image that was read', async () => {
    const { registry, first } = await start();
    registry.addManifest('app', first.manifest, first.mediaType, '1');
    const source = openSource(`${registry.host}/app:1`);
    const resolved = await resolveManifest(source, platform, undefined);
    const second = image('second');
    registry.addManifest('app', second.manifest, second.mediaType, '1');
    const read = await readImage(source, resolved, platform);
    expect([resolved.digest, read.manifest.config.digest]).toEqual([first.digest, first.configDigest]);
  });
});

describe('a token server', () => {
  it('that sends us on is not followed with credentials', async () => {
    const elsewhere = await startRegistry();
    const registry = await startRegistry({ auth: { kind: 'token', ...USER } });
    registry.addFault(/^GET \/token/, { kind: 'redirect', to: `${elsewhere.origin}/token` });
    elsewhere.addFault(/token/, { kind: 'status', status: 200, body: '{"token":"of-nobody"}' });
    const error = await failureOf(openSource(`${registry.host}/app:1`, { credentials: USER }).getManifest());
    expect([error.code, elsewhere.requests.length, sawCredentials(elsewhere)]).toEqual([
      'unauthorized',
      1,
      false,
    ]);
  });

  it('that names yet another one is not listened to', async () => {
    const elsewhere = await startRegistry({ auth: { kind: 'token' } });
    const registry = await startRegistry({ auth: { kind: 'token', ...USER } });
    const challenge = `Bearer realm="${elsewhere.origin}/token",service="x"`;
    const refusal = { kind: 'status', status: 401, headers: { 'www-authenticate': challenge } } as const;
    registry.addFault(/^GET \/token/, refusal);
    const error = await failureOf(openSource(`${registry.host}/app:1`, { credentials: USER }).getManifest());
    expect([error.code, elsewhere.requests]).toEqual(['unauthorized', []]);
  });

  it('without TLS is not asked by a client of a registry with TLS, with credentials or without', async () => {
    const certificates = await makeCertificates();
    cleanUp(() => certificates.remove());
    const plain = await startRegistry({ auth: { kind: 'token' } });
    const auth = { kind: 'token', realm: `${plain.origin}/token` } as const;
    const registry = await startRegistry({ tls: certificates.server, auth });
    const environment = { SSL_CERT_FILE: `${certificates.folder}/ca.crt`, HOME: await makeFolder() };
    for (const credentials of [undefined, USER]) {
      const told = { plainHttp: false, environment, ...(credentials && { credentials }) };
      const error = await failureOf(openSource(`${registry.host}/app:1`, told).getManifest());
      expect([error.code, plain.requests]).toEqual(['tls', []]);
    }
  });

  it.each(['nonsense', '{}', '{"token":""}', '{"token":{"a":1}}', '[]', '{"token":"a b"}'])(
    'that answers %s is the error',
    async (body) => {
      const registry = await startRegistry({ auth: { kind: 'token' } });
      registry.addFault(/token/, { kind: 'status', status: 200, body });
      const error = await failureOf(openSource(`${registry.host}/app:1`).getManifest());
      expect([error.code, error.message]).toEqual([
        'registry-error',
        expect.stringContaining(`token server http://${registry.host}/token `),
      ]);
    },
  );

  it('that trickles is given up', async () => {
    const registry = await startRegistry({ auth: { kind: 'token' } });
    registry.addFault(/token/, { kind: 'trickle', after: 1 });
    const timing = { ...QUICK, wholeMs: 50 };
    expect((await failureOf(openSource(`${registry.host}/app:1`, { timing }).getManifest())).code).toBe(
      'registry-unreachable',
    );
  });
});

describe('answers that are too much', () => {
  it('by their headers are refused', async () => {
    const registry = await startRegistry();
    const headers = { 'x-long': 'x'.repeat(200_000) };
    registry.addFault(/manifests/, { kind: 'status', status: 200, headers });
    expect((await failureOf(openSource(`${registry.host}/app:1`).getManifest())).code).toBe(
      'registry-unreachable',
    );
  });

  it('by promises of an answer are not waited for', async () => {
    const registry = await startRegistry();
    registry.addFault(/manifests/, { kind: 'promise' });
    const error = await failureOf(openSource(`${registry.host}/app:1`).getManifest());
    expect([error.code, error.message]).toEqual(['registry-unreachable', expect.stringContaining('again')]);
  });

  it('by the body of an upload are not read', async () => {
    const registry = await startRegistry();
    const descriptor = registry.addBlob(BLOB);
    for (const on of [/^POST/, /^PUT/]) registry.addFault(on, { kind: 'endless' });
    await openDestination(`${registry.host}/app:1`).putBlob(descriptor, Readable.from([BLOB]));
    await expect.poll(() => registry.connections()).toBe(0);
  });

  it('by a wait that never ends are asked again all the same', async () => {
    const registry = await startRegistry();
    registry.addImage('app', '1', []);
    const events: ProgressEvent[] = [];
    for (const after of ['9'.repeat(400), new Date(8_000_000_000_000_000 - 1).toUTCString(), '-1', '']) {
      const headers = { 'retry-after': after };
      registry.addFault(/manifests/, { kind: 'status', status: 429, headers }, 1);
      await openSource(`${registry.host}/app:1`, { events }).getManifest();
    }
    const waits = events.map((event) => (event.event === 'retry' ? event.waitMs : Number.NaN));
    expect(waits.slice(0, 2)).toEqual([60_000, 60_000]);
    for (const wait of waits.slice(2)) expect(wait).toBeLessThan(1000);
  });

  it('by the body of an error are cut, and a trickle of it is given up', async () => {
    const registry = await startRegistry();
    const body = JSON.stringify({ errors: [{ code: 'DENIED', message: 'x'.repeat(2 * ERROR_BODY_BYTES) }] });
    const stop = registry.addFault(/manifests/, { kind: 'status', status: 403, body });
    expect((await failureOf(openSource(`${registry.host}/app:1`).getManifest())).code).toBe('denied');
    stop();
    registry.addFault(/manifests/, { kind: 'trickle', after: 10 });
    const timing = { ...QUICK, wholeMs: 50 };
    const error = await failureOf(openSource(`${registry.host}/none:1`, { timing }).getManifest());
    expect(error.code).toBe('manifest-unknown');
  });
});

describe('what is shown', () => {
  it('holds no password, no token and no signature of a URL, also with --debug', async () => {
    const storage = await startRegistry();
    const registry = await startRegistry({ auth: { kind: 'token', ...USER } });
    const events: ProgressEvent[] = [];
    const told = { credentials: USER, events };
    const layer = registry.addBlob(BLOB);
    registry.addFault(/blobs/, { kind: 'redirect', to: `${storage.origin}/x?sig=sig-secret` });
    const errors: unknown[] = [];
    for (const fault of [
      { kind: 'status', status: 403 },
      { kind: 'status', status: 503 },
      { kind: 'reset' },
      { kind: 'redirect', to: 'http://[' },
    ] as const) {
      const stop = storage.addFault(/./, fault);
      errors.push(await failureOf(openSource(`${registry.host}/app:1`, told).getBlob(layer)));
      stop();
    }
    registry.addFault(/token/, { kind: 'status', status: 200, body: '{"token":"tok-secret", nonsense' });
    errors.push(await failureOf(openSource(`${registry.host}/app:1`, told).getManifest()));
    expect(errors.map(shown).join('\n') + JSON.stringify(events)).not.toContain('secret');
    expect(sawCredentials(storage)).toBe(false);
  });
});

describe('connections', () => {
  // One that has just given its last byte may not be free yet: twice as many as there are layers at a time will do.
  it('are kept for the next requests', async () => {
    const registry = await startRegistry();
    const layers = Array.from({ length: 9 }, (_, i) => registry.addBlob(Buffer.from(`layer ${i}`)));
    const source = openSource(`${registry.host}/app:1`);
    for (const layer of layers) await buffer(await source.getBlob(layer));
    expect(await registry.connections()).toBeLessThanOrEqual(2);
    for (let first = 0; first < layers.length; first += 3) {
      const streams = layers
        .slice(first, first + 3)
        .map(async (layer) => buffer(await source.getBlob(layer)));
      await Promise.all(streams);
    }
    expect(await registry.connections()).toBeLessThanOrEqual(6);
  });
});
