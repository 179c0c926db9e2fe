import { randomBytes } from 'node:crypto';
import { Readable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { AtomicError } from '../../../src/errors.ts';
import { OCI_MANIFEST } from '../../../src/image/media-type.ts';
import { failureOf, openDestination, startRegistry } from './setup.ts';

const USER = { username: 'u', password: 'p' };
const BLOB = randomBytes(3_000_000);

describe('a blob', () => {
  it('is stored whole, streamed in one request with its length', async () => {
    const registry = await startRegistry();
    const descriptor = registry.addBlob(BLOB);
    registry.blobs.clear();
    const destination = openDestination(`${registry.host}/app:1`);
    expect(await destination.hasBlob(descriptor)).toBe(false);
    await destination.putBlob(descriptor, Readable.from(split(BLOB)));
    expect(registry.blobs.get(descriptor.digest)?.equals(BLOB)).toBe(true);
    expect(await destination.hasBlob(descriptor)).toBe(true);
    const put = registry.requests.find(({ method }) => method === 'PUT');
    expect(put?.headers).toMatchObject({
      'content-length': '3000000',
      'content-type': 'application/octet-stream',
    });
  });

  it('may be empty', async () => {
    const registry = await startRegistry();
    const descriptor = registry.addBlob(Buffer.alloc(0));
    registry.blobs.clear();
    await openDestination(`${registry.host}/app:1`).putBlob(descriptor, Readable.from([]));
    expect(registry.blobs.has(descriptor.digest)).toBe(true);
  });

  it('needs a token that allows to push', async () => {
    const registry = await startRegistry({ auth: { kind: 'token', ...USER } });
    const descriptor = registry.addBlob(BLOB);
    registry.blobs.clear();
    const destination = openDestination(`${registry.host}/app:1`, { credentials: USER });
    expect(await destination.hasBlob(descriptor)).toBe(false);
    await destination.putBlob(descriptor, Readable.from(split(BLOB)));
    expect(registry.count(/token/)).toBe(1);
    expect(registry.requests.find(({ path }) => path.startsWith('/token'))?.path).toContain('pull%2Cpush');
  });

  it('may be wanted at another host, which is sent no credentials', async () => {
    const storage = await startRegistry();
    const registry = await startRegistry({ auth: { kind: 'basic', ...USER } });
    const descriptor = registry.addBlob(BLOB);
    storage.addFault(/^PUT/, { kind: 'status', status: 201 });
    const destination = openDestination(`${registry.host}/app:1`, { credentials: USER });
    await destination.hasBlob(descriptor);
    const location = `${storage.origin}/put?sig=a%2Bb~`;
    registry.addFault(/uploads/, { kind: 'status', status: 202, headers: { location } });
    await destination.putBlob(descriptor, Readable.from(split(BLOB)));
    expect(storage.requests.map(({ path, headers }) => [path, headers.authorization])).toEqual([
      [`/put?sig=a%2Bb~&digest=${descriptor.digest}`, undefined],
    ]);
  });

  it('whose stream fails keeps that error, and its stream is destroyed', async () => {
    const registry = await startRegistry();
    const descriptor = registry.addBlob(BLOB);
    registry.blobs.clear();
    const wrong = new AtomicError('digest-mismatch', 'it is another one');
    const bytes = Readable.from(failAfter(BLOB.subarray(0, 1000), wrong));
    expect(await failureOf(openDestination(`${registry.host}/app:1`).putBlob(descriptor, bytes))).toBe(wrong);
    expect([bytes.destroyed, registry.blobs.size]).toEqual([true, 0]);
  });

  it('whose stream has failed already does not begin', async () => {
    const registry = await startRegistry();
    const descriptor = registry.addBlob(BLOB);
    const wrong = new AtomicError('size-mismatch', 'it is too short');
    const bytes = new Readable({ read() {} });
    bytes.destroy(wrong);
    expect(await failureOf(openDestination(`${registry.host}/app:1`).putBlob(descriptor, bytes))).toBe(wrong);
    expect(registry.count(/PUT/)).toBe(0);
  });

  it.each([
    [403, 'denied'],
    [404, 'image-not-found'],
    [400, 'registry-error'],
  ])('that is refused with %i is the error %s, and is not sent again', async (status, code) => {
    const registry = await startRegistry();
    registry.addFault(/^PUT/, { kind: 'status', status });
    const bytes = Readable.from([Buffer.from('small')]);
    const destination = openDestination(`${registry.host}/app:1`);
    const descriptor = registry.addBlob(Buffer.from('small'));
    const error = await failureOf(destination.putBlob(descriptor, bytes));
    expect([error.code, error.message]).toEqual([code, expect.stringContaining(descriptor.digest)]);
    expect([registry.count(/^PUT/), bytes.destroyed]).toEqual([1, true]);
  });

  it('whose upload cannot begin leaves no stream behind', async () => {
    const registry = await startRegistry();
    registry.addFault(/^POST/, { kind: 'status', status: 403 });
    const bytes = Readable.from(split(BLOB));
    const descriptor = registry.addBlob(BLOB);
    expect((await failureOf(openDestination(`${registry.host}/app:1`).putBlob(descriptor, bytes))).code).toBe(
      'denied',
    );
    expect(bytes.destroyed).toBe(true);
  });

  it('that the registry stored under another digest is an error', async () => {
    const registry = await startRegistry();
    const descriptor = registry.addBlob(BLOB);
    registry.addFault(/^PUT/, { kind: 'wrong-digest' });
    const putting = openDestination(`${registry.host}/app:1`).putBlob(descriptor, Readable.from(split(BLOB)));
    expect((await failureOf(putting)).code).toBe('digest-mismatch');
  });
});

describe('a manifest', () => {
  const manifest = { bytes: Buffer.from('{"schemaVersion":2}'), mediaType: OCI_MANIFEST };

  it('is stored under the tag of the reference, and as an entry under its digest', async () => {
    const registry = await startRegistry();
    const digest = registry.addManifest('elsewhere', manifest.bytes, OCI_MANIFEST);
    const destination = openDestination(`${registry.host}/app:1`);
    await destination.putManifest(manifest, digest, 'entry');
    expect(registry.manifest('app', '1')).toBeUndefined();
    await destination.putManifest(manifest, digest, 'reference');
    expect(registry.manifest('app', '1')).toEqual(manifest);
    expect(registry.requests.map(({ path }) => path)).toEqual([
      `/v2/app/manifests/${digest}`,
      '/v2/app/manifests/1',
    ]);
  });

  it('is sent again after 503', async () => {
    const registry = await startRegistry();
    const digest = registry.addManifest('elsewhere', manifest.bytes, OCI_MANIFEST);
    registry.addFault(/^PUT/, { kind: 'status', status: 503 }, 2);
    await openDestination(`${registry.host}/app:1`).putManifest(manifest, digest, 'reference');
    expect(registry.count(/^PUT/)).toBe(3);
  });

  it.each([
    [400, 'MANIFEST_INVALID'],
    [400, 'TAG_INVALID'],
    [405, 'UNSUPPORTED'],
    [415, ''],
  ])('that the registry refuses for its type with %i %s is an error of its own', async (status, code) => {
    const registry = await startRegistry();
    const digest = registry.addManifest('elsewhere', manifest.bytes, OCI_MANIFEST);
    const body = JSON.stringify({ errors: [{ code, message: 'not this one' }] });
    registry.addFault(/^PUT/, { kind: 'status', status, body });
    const putting = openDestination(`${registry.host}/app:1`).putManifest(manifest, digest, 'reference');
    const error = await failureOf(putting);
    expect([error.code, error.message]).toEqual([
      'manifest-refused',
      expect.stringContaining('does not take a manifest of this kind'),
    ]);
  });

  it.each([
    [400, 'DIGEST_INVALID', 'registry-error'],
    [404, 'MANIFEST_BLOB_UNKNOWN', 'registry-error'],
    [404, 'NAME_UNKNOWN', 'image-not-found'],
    [403, 'DENIED', 'denied'],
  ])('that is refused with %i %s is the error %s', async (status, code, expected) => {
    const registry = await startRegistry();
    const digest = registry.addManifest('elsewhere', manifest.bytes, OCI_MANIFEST);
    registry.addFault(/^PUT/, { kind: 'status', status, body: JSON.stringify({ errors: [{ code }] }) });
    const putting = openDestination(`${registry.host}/app:1`).putManifest(manifest, digest, 'reference');
    expect((await failureOf(putting)).code).toBe(expected);
  });

  it('is not stored under a digest that is another one', async () => {
    const registry = await startRegistry();
    const digest = registry.addManifest('elsewhere', manifest.bytes, OCI_MANIFEST);
    const other = `sha256:${'0'.repeat(64)}`;
    const put = (name: string): Promise<void> =>
      openDestination(name).putManifest(manifest, digest, 'reference');
    expect(await failureOf(put(`${registry.host}/app@${other}`))).toMatchObject({
      code: 'digest-mismatch',
      hint: expect.stringContaining('Leave the digest out'),
    });
    expect(registry.requests).toEqual([]);
    registry.addFault(/^PUT/, { kind: 'wrong-digest' });
    expect((await failureOf(put(`${registry.host}/app:1`))).code).toBe('digest-mismatch');
  });
});

function* split(bytes: Buffer): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += 65_536) yield bytes.subarray(at, at + 65_536);
}

function* failAfter(bytes: Buffer, error: Error): Generator<Buffer> {
  yield bytes;
  throw error;
}
