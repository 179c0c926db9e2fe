import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { AtomicError } from '../../../src/errors.ts';
import type { Descriptor } from '../../../src/image/descriptor.ts';
import { parseRegistryImage } from '../../../src/image/reference.ts';
import { UPLOAD_KEPT_BYTES, UPLOAD_PART_BYTES } from '../../../src/limits.ts';
import { openRegistryDestination } from '../../../src/transport/registry/index.ts';
import type { ImageDestination } from '../../../src/transport/transport.ts';
import type { FakeRegistry, FakeRegistryOptions } from '../../registry/fake-registry.ts';
import { cleanUp, failureOf, openDestination, optionsFor, QUICK, startRegistry, type Told } from './setup.ts';

const MiB = 1024 * 1024;
const USER = { username: 'u', password: 'p' };
const BLOB = randomBytes(3 * UPLOAD_PART_BYTES + 100);
const SMALL = Buffer.from('small');

/** A registry that lacks the blob, and what would put it there. */
async function start(
  blob: Buffer = BLOB,
  options?: FakeRegistryOptions,
  told?: Told,
): Promise<{ registry: FakeRegistry; descriptor: Descriptor; put: () => Promise<void> }> {
  const registry = await startRegistry(options);
  const descriptor = registry.addBlob(blob);
  registry.blobs.clear();
  const destination = openDestination(`${registry.host}/app:1`, told);
  return { registry, descriptor, put: () => destination.putBlob(descriptor, Readable.from(split(blob))) };
}

function methods({ requests }: FakeRegistry): string[] {
  return requests.map(({ method }) => method);
}

describe('an upload that breaks', () => {
  it('goes on in parts from the byte that the registry has', async () => {
    const { registry, descriptor, put } = await start();
    registry.addFault(/^PUT/, { kind: 'cut-request', after: 6 * MiB }, 1);
    registry.addFault(/^PATCH/, { kind: 'cut-request', after: MiB }, 1);
    await put();
    expect(registry.blobs.get(descriptor.digest)?.equals(BLOB)).toBe(true);
    expect(methods(registry)).toEqual(['POST', 'PUT', 'GET', 'PATCH', 'GET', 'PATCH', 'PATCH', 'PUT']);
    expect(registry.requests.at(-1)?.headers['content-length']).toBe('0');
  });

  it('begins anew when the registry has lost it', async () => {
    const { registry, descriptor, put } = await start(BLOB.subarray(0, 5 * MiB));
    registry.addFault(/^PUT/, { kind: 'cut-request', after: MiB }, 1);
    registry.addFault(/^GET/, { kind: 'status', status: 404 });
    await put();
    expect(registry.blobs.has(descriptor.digest)).toBe(true);
    expect(methods(registry)).toEqual(['POST', 'PUT', 'GET', 'POST', 'PATCH', 'PATCH', 'PUT']);
  });

  it('is an error of its own when what the registry lacks is gone', async () => {
    const { registry, put } = await start(randomBytes(UPLOAD_KEPT_BYTES * 3));
    registry.addFault(/^PUT/, { kind: 'cut-request', after: UPLOAD_KEPT_BYTES * 2.5 }, 1);
    registry.addFault(/^GET/, { kind: 'status', status: 404 });
    expect((await failureOf(put())).code).toBe('upload-broken');
    expect(registry.blobs.size).toBe(0);
  });

  it('goes on when the registry takes no more of it', async () => {
    const { registry, descriptor, put } = await start(BLOB, {}, { timing: { ...QUICK, idleMs: 50 } });
    registry.addFault(/^PUT/, { kind: 'silent' }, 1);
    await put();
    expect(registry.blobs.has(descriptor.digest)).toBe(true);
    expect(methods(registry).slice(0, 3)).toEqual(['POST', 'PUT', 'GET']);
  });

  it('may break often when each try brings much', async () => {
    const { registry, descriptor, put } = await start();
    registry.addFault(/^(?:PUT|PATCH)/, { kind: 'cut-request', after: 1.5 * MiB }, 7);
    await put();
    expect(registry.blobs.has(descriptor.digest)).toBe(true);
  });

  it('is given up when it breaks again and again, and is cancelled', async () => {
    const { registry, put } = await start(SMALL);
    registry.addFault(/^(?:PUT|PATCH)/, { kind: 'reset' });
    expect((await failureOf(put())).code).toBe('upload-broken');
    expect(registry.count(/^(?:PUT|PATCH)/)).toBe(4);
    expect([methods(registry).at(-1), registry.uploads.size]).toEqual(['DELETE', 0]);
  });

  it('is given up when the registry loses again and again what it had', async () => {
    const { registry, put } = await start(BLOB.subarray(0, UPLOAD_PART_BYTES + 1));
    registry.addFault(/^(?:PUT|PATCH)/, { kind: 'reset' }, 100);
    const answer = (range: string): void => {
      registry.addFault(/^GET/, { kind: 'status', status: 204, headers: { range } }, 1);
    };
    for (let i = 0; i < 50; i++) ['0-999999', '0-0'].forEach(answer);
    expect((await failureOf(put())).code).toBe('upload-broken');
    expect(registry.count(/^(?:PUT|PATCH)/)).toBe(5);
  });

  it('goes on after 503', async () => {
    const { registry, descriptor, put } = await start(SMALL);
    registry.addFault(/^PUT/, { kind: 'status', status: 503 }, 2);
    await put();
    expect(registry.blobs.has(descriptor.digest)).toBe(true);
  });

  it('does not go on when the registry says that it has more than it was sent', async () => {
    const { registry, put } = await start();
    registry.addFault(/^PUT/, { kind: 'cut-request', after: MiB }, 1);
    registry.addFault(/^GET/, { kind: 'status', status: 204, headers: { range: '0-999999999999' } });
    await put();
    expect(methods(registry).slice(0, 4)).toEqual(['POST', 'PUT', 'GET', 'POST']);
  });
});

describe('a registry that does not take a blob whole', () => {
  it('gets it in parts, as large as it takes them', async () => {
    const { registry, descriptor, put } = await start(BLOB.subarray(0, 5 * MiB), { largestBody: MiB });
    await put();
    expect(registry.blobs.has(descriptor.digest)).toBe(true);
    const parts = registry.requests.filter(({ method }) => method === 'PATCH').slice(-5);
    expect(parts.map(({ headers }) => headers['content-length'])).toEqual(Array(5).fill(String(MiB)));
    expect(parts.at(-1)?.headers['content-range']).toBe(`${4 * MiB}-${5 * MiB - 1}`);
  });

  it('may say how small a part may be, which the last one is not held to', async () => {
    const { registry, put } = await start(BLOB, { minimumPart: 5 * MiB });
    registry.addFault(/^PUT/, { kind: 'status', status: 413 }, 1);
    await put();
    const parts = registry.requests.filter(({ method }) => method === 'PATCH');
    const lengths = parts.map(({ headers }) => Number(headers['content-length']));
    expect(lengths).toEqual([5 * MiB, 5 * MiB, BLOB.length - 10 * MiB]);
  });

  it('and no part either is the error', async () => {
    const { registry, put } = await start(SMALL, { largestBody: 1 });
    expect((await failureOf(put())).message).toContain('413');
    expect([registry.count(/^PUT/), registry.uploads.size]).toEqual([1, 0]);
  });

  it('and loses a part on the way is the error', async () => {
    const { registry, put } = await start();
    registry.addFault(/^PUT/, { kind: 'status', status: 413 }, 1);
    const headers = { range: '0-9', location: '/v2/app/blobs/uploads/x' };
    registry.addFault(/^PATCH/, { kind: 'status', status: 202, headers });
    const error = await failureOf(put());
    expect([error.code, error.message]).toEqual([
      'registry-error',
      expect.stringContaining(`has 10 bytes of it, and was sent ${UPLOAD_PART_BYTES}`),
    ]);
  });
});

describe('a token that ends during an upload', () => {
  it.each([SMALL, BLOB])('is replaced, and the blob is sent with the new one', async (blob) => {
    const options = { auth: { kind: 'token', ...USER } } as const;
    const { registry, descriptor, put } = await start(blob, options, { credentials: USER });
    const challenge = { 'www-authenticate': `Bearer realm="${registry.origin}/token",service="fake"` };
    registry.addFault(/^PUT/, { kind: 'status', status: 401, headers: challenge }, 1);
    await put();
    expect(registry.blobs.has(descriptor.digest)).toBe(true);
    expect(registry.count(/token/)).toBe(2);
  });

  it('is not replaced for ever', async () => {
    const options = { auth: { kind: 'token', ...USER } } as const;
    const { registry, put } = await start(SMALL, options, { credentials: USER });
    const challenge = { 'www-authenticate': `Bearer realm="${registry.origin}/token",service="fake"` };
    registry.addFault(/^PUT/, { kind: 'status', status: 401, headers: challenge });
    expect((await failureOf(put())).code).toBe('unauthorized');
    expect(registry.count(/^PUT/)).toBe(2);
  });
});

describe('an upload that fails', () => {
  it('is cancelled when its stream is wrong, in parts too before the last request', async () => {
    const { registry, descriptor } = await start();
    const wrong = new AtomicError('digest-mismatch', 'it is another one');
    registry.addFault(/^PUT/, { kind: 'status', status: 413 }, 1);
    const bytes = Readable.from(
      (function* () {
        yield* split(BLOB);
        throw wrong;
      })(),
    );
    const destination = openDestination(`${registry.host}/app:1`);
    expect(await failureOf(destination.putBlob(descriptor, bytes))).toBe(wrong);
    expect([registry.count(/^PUT/), registry.uploads.size, registry.blobs.size]).toEqual([1, 0, 0]);
  });

  it('is cancelled with a token that allows it', async () => {
    const options = { auth: { kind: 'token', ...USER } } as const;
    const { registry, put } = await start(SMALL, options, { credentials: USER });
    registry.addFault(/^PUT/, { kind: 'status', status: 400 });
    expect((await failureOf(put())).code).toBe('registry-error');
    expect(registry.uploads.size).toBe(0);
  });

  it('is cancelled when it is interrupted', async () => {
    const control = new AbortController();
    const { registry, put } = await start(BLOB, {}, { signal: control.signal });
    registry.addFault(/^PUT/, { kind: 'silent' });
    const putting = failureOf(put());
    await expect.poll(() => registry.count(/^PUT/)).toBe(1);
    control.abort();
    expect([(await putting).code, registry.uploads.size]).toEqual(['interrupted', 0]);
  });
});

describe('a blob that a neighbour has', () => {
  function open(registry: FakeRegistry, from: string, told: Told = {}): ImageDestination {
    const destination = openRegistryDestination(parseRegistryImage(`${registry.host}/app:1`), {
      ...optionsFor(told),
      mountFrom: parseRegistryImage(from),
    });
    cleanUp(() => destination.close());
    return destination;
  }

  it('is mounted with a token for both repositories', async () => {
    const { registry, descriptor } = await start(SMALL, { auth: { kind: 'token', ...USER } });
    registry.addMountable('team/base', descriptor);
    const destination = open(registry, `${registry.host}/team/base:1`, { credentials: USER });
    expect(await destination.hasBlob(descriptor)).toBe(true);
    const mount = registry.requests.findLast(({ method }) => method === 'POST');
    expect(mount?.path).toBe(
      `/v2/app/blobs/uploads/?mount=${encodeURIComponent(descriptor.digest)}&from=team%2Fbase`,
    );
    const scopes = registry.requests
      .filter(({ path }) => path.startsWith('/token'))
      .map(({ path }) => new URL(path, registry.origin).searchParams.getAll('scope'));
    expect(scopes.at(-1)).toEqual(['repository:app:pull,push', 'repository:team/base:pull']);
  });

  it('is uploaded where the registry opened an upload instead', async () => {
    const { registry, descriptor } = await start(SMALL);
    const destination = open(registry, `${registry.host}/team/base`);
    expect(await destination.hasBlob(descriptor)).toBe(false);
    expect(await destination.hasBlob(descriptor)).toBe(false);
    await destination.putBlob(descriptor, Readable.from([SMALL]));
    expect([registry.count(/^POST/), registry.blobs.has(descriptor.digest)]).toEqual([1, true]);
  });

  it('leaves no upload behind that nobody used', async () => {
    const { registry, descriptor } = await start(SMALL);
    const destination = open(registry, `${registry.host}/team/base`);
    await destination.hasBlob(descriptor);
    expect(registry.uploads.size).toBe(1);
    await destination.close();
    expect(registry.uploads.size).toBe(0);
  });

  it('is uploaded when mounting is refused', async () => {
    const { registry, descriptor } = await start(SMALL);
    registry.addFault(/mount=/, { kind: 'status', status: 403 });
    const destination = open(registry, `${registry.host}/team/base`);
    expect(await destination.hasBlob(descriptor)).toBe(false);
    await destination.putBlob(descriptor, Readable.from([SMALL]));
    expect(registry.blobs.has(descriptor.digest)).toBe(true);
  });

  it('is not asked for from itself or another registry', async () => {
    const { registry, descriptor } = await start(SMALL);
    for (const from of [`${registry.host}/app:2`, 'other.example/team/base']) {
      expect(await open(registry, from).hasBlob(descriptor)).toBe(false);
    }
    expect(registry.count(/^POST/)).toBe(0);
  });
});

function* split(bytes: Buffer): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += 65_536) yield bytes.subarray(at, at + 65_536);
}
