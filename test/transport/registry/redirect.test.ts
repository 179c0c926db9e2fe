import { describe, expect, it } from 'vitest';
import { resolveLocation } from '../../../src/transport/registry/redirect.ts';
import { failureOf, openSource, startRegistry } from './setup.ts';

const USER = { username: 'u', password: 'p' };

describe('a redirect', () => {
  it('to another host is followed without credentials', async () => {
    const storage = await startRegistry();
    const registry = await startRegistry({ auth: { kind: 'basic', ...USER } });
    const descriptor = registry.addBlob(Buffer.from('content'));
    storage.addBlob(Buffer.from('content'));
    registry.addImage('app', '1', []);
    const source = openSource(`${registry.host}/app:1`, { credentials: USER });
    await source.getManifest();
    registry.addFault(/blobs/, {
      kind: 'redirect',
      to: `${storage.origin}/v2/any/blobs/${descriptor.digest}?sig=1`,
    });
    const stream = await source.getBlob(descriptor);
    expect(String((await stream.toArray())[0])).toBe('content');
    expect(registry.requests.at(-1)?.headers.authorization).toMatch(/^Basic /);
    expect(storage.requests.map(({ path, headers }) => [path, headers.authorization])).toEqual([
      [`/v2/any/blobs/${descriptor.digest}?sig=1`, undefined],
    ]);
  });

  it('on the same host keeps them', async () => {
    const registry = await startRegistry({ auth: { kind: 'basic', ...USER } });
    registry.addImage('app', '1', []);
    registry.addFault(/manifests\/old/, { kind: 'redirect', to: '1' });
    await openSource(`${registry.host}/app:old`, { credentials: USER }).getManifest();
    expect(registry.requests.map(({ path, headers }) => [path, headers.authorization !== undefined])).toEqual(
      [
        ['/v2/app/manifests/old', false],
        ['/v2/app/manifests/1', false],
        ['/v2/app/manifests/old', true],
        ['/v2/app/manifests/1', true],
      ],
    );
  });

  it('to another host that asks for credentials does not get them', async () => {
    const storage = await startRegistry({ auth: { kind: 'basic', ...USER } });
    const registry = await startRegistry();
    registry.addFault(/manifests/, { kind: 'redirect', to: `${storage.origin}/v2/app/manifests/1` });
    const error = await failureOf(openSource(`${registry.host}/app:1`, { credentials: USER }).getManifest());
    expect([error.code, storage.requests.length, storage.requests[0]?.headers.authorization]).toEqual([
      'unauthorized',
      1,
      undefined,
    ]);
  });

  it('in a circle ends', async () => {
    const registry = await startRegistry();
    registry.addFault(/manifests/, { kind: 'redirect', to: '/v2/app/manifests/1' });
    const error = await failureOf(openSource(`${registry.host}/app:1`).getManifest());
    expect([error.code, registry.requests.length]).toEqual(['registry-error', 6]);
  });
});

describe('a location', () => {
  const asked = new URL('https://r.example/v2/app/blobs/uploads/?secret=1');

  it('may be relative', () => {
    expect(resolveLocation('/v2/x?y=z', asked).href).toBe('https://r.example/v2/x?y=z');
    expect(resolveLocation('uuid', asked).href).toBe('https://r.example/v2/app/blobs/uploads/uuid');
    expect(resolveLocation('https://s.example/x', asked).href).toBe('https://s.example/x');
  });

  it('never leads from TLS to plain HTTP, and is shown without its query', () => {
    expect(() => resolveLocation('http://r.example/x?sig=hidden', asked)).toThrow(
      'https://r.example/v2/app/blobs/uploads/?… sends us on from TLS to plain HTTP at http://r.example/x?…',
    );
    expect(resolveLocation('http://s.example/x', new URL('http://r.example/')).href).toBe(
      'http://s.example/x',
    );
  });

  it('never leads nearer to this machine than the registry is', () => {
    const plain = new URL('http://r.example/v2/');
    for (const near of [
      'localhost:9',
      '127.1.2.3',
      '[::1]',
      '0.0.0.0',
      '169.254.169.254',
      'a.localhost',
      '2852039166',
    ]) {
      expect(() => resolveLocation(`http://${near}/x`, plain)).toThrow(/only this machine can reach/);
      expect(() => resolveLocation(`https://${near}/x`, asked)).toThrow(/only this machine can reach/);
    }
    const local = new URL('http://127.0.0.1:5000/v2/');
    expect(resolveLocation('http://localhost:9000/x', local).href).toBe('http://localhost:9000/x');
    expect(() => resolveLocation('http://169.254.169.254/x', local)).toThrow(/only this machine/);
    expect(resolveLocation('http://10.0.0.1/x', plain).href).toBe('http://10.0.0.1/x');
  });

  it('has to be an HTTP URL', () => {
    for (const location of ['file:///etc/passwd', 'http://[', '', undefined]) {
      expect(() => resolveLocation(location, asked)).toThrow(/sends us on to/);
    }
  });
});
