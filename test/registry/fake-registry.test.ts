import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { IncomingHttpHeaders } from 'node:http';
import { afterEach, describe, expect, it } from 'vitest';
import { makeCertificates } from './certificates.ts';
import { startFakeRegistry, type FakeRegistry, type FakeRegistryOptions } from './fake-registry.ts';

const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup();
});

async function start(options?: FakeRegistryOptions): Promise<FakeRegistry> {
  const registry = await startFakeRegistry(options);
  cleanups.push(() => registry.close());
  return registry;
}

interface Got {
  status: number;
  headers: IncomingHttpHeaders;
  body: Buffer;
  broken: boolean;
}

interface Asked {
  method?: string;
  headers?: Record<string, string>;
  body?: Uint8Array;
  ca?: Buffer;
}

/** One request with Node's own client; a body that breaks off is given as far as it came. */
function get(url: string, { method = 'GET', headers = {}, body, ca }: Asked = {}): Promise<Got> {
  return new Promise((resolve, reject) => {
    const options = { method, headers, agent: false as const, ...(ca && { ca }) };
    const request = (url.startsWith('https') ? httpsRequest : httpRequest)(url, options, (response) => {
      const chunks: Buffer[] = [];
      let broken = false;
      response.on('data', (chunk: Buffer) => {
        chunks.push(chunk);
        if (chunks.length > 200) response.destroy();
      });
      response.on('error', () => (broken = true));
      response.on('close', () => {
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          body: Buffer.concat(chunks),
          broken,
        });
      });
    });
    request.on('error', reject);
    request.end(body);
  });
}

describe('the fake registry', () => {
  it('serves an image by tag and by digest, and its blobs whole and from a byte on', async () => {
    const registry = await start();
    const image = registry.addImage('app', '1', [Buffer.from('0123456789')]);
    const byTag = await get(`${registry.origin}/v2/app/manifests/1`);
    expect(byTag.body).toEqual(image.bytes);
    expect(byTag.headers['docker-content-digest']).toBe(image.digest);
    expect((await get(`${registry.origin}/v2/app/manifests/${image.digest}`)).body).toEqual(image.bytes);
    const blob = `${registry.origin}/v2/app/blobs/${image.layers[0]?.digest}`;
    expect((await get(blob)).body.toString()).toBe('0123456789');
    const rest = await get(blob, { headers: { range: 'bytes=4-' } });
    expect([rest.status, rest.headers['content-range'], rest.body.toString()]).toEqual([
      206,
      'bytes 4-9/10',
      '456789',
    ]);
    expect((await get(blob, { method: 'HEAD' })).headers['content-length']).toBe('10');
  });

  it('tells unknown names, tags and blobs apart', async () => {
    const registry = await start();
    registry.addImage('app', '1', []);
    const codes = ['app2/manifests/1', 'app/manifests/2', `app/blobs/sha256:${'0'.repeat(64)}`].map(
      async (path) => {
        const { status, body } = await get(`${registry.origin}/v2/${path}`);
        return [status, body.toString()];
      },
    );
    expect(await Promise.all(codes)).toEqual([
      [404, expect.stringContaining('NAME_UNKNOWN')],
      [404, expect.stringContaining('MANIFEST_UNKNOWN')],
      [404, expect.stringContaining('BLOB_UNKNOWN')],
    ]);
  });

  it('takes a blob in one POST and one PUT, refuses a wrong digest, and logs what it was asked', async () => {
    const registry = await start();
    const body = Buffer.from('new');
    const { digest } = (await start()).addBlob(body);
    const upload = async (as: string): Promise<number> => {
      const { headers } = await get(`${registry.origin}/v2/app/blobs/uploads/`, { method: 'POST' });
      return (await get(`${registry.origin}${headers.location}&digest=${as}`, { method: 'PUT', body }))
        .status;
    };
    expect(await upload(`sha256:${'0'.repeat(64)}`)).toBe(400);
    expect(registry.blobs.size).toBe(0);
    expect(await upload(digest)).toBe(201);
    expect(registry.blobs.get(digest)).toEqual(body);
    expect(registry.count(/^POST \/v2\/app\/blobs\/uploads\/$/)).toBe(2);
  });

  it('asks for basic credentials', async () => {
    const registry = await start({ auth: { kind: 'basic', username: 'u', password: 'p' } });
    const refused = await get(`${registry.origin}/v2/`);
    expect([refused.status, refused.headers['www-authenticate']]).toEqual([
      401,
      expect.stringMatching(/^Basic /),
    ]);
    const authorization = `Basic ${Buffer.from('u:p').toString('base64')}`;
    expect((await get(`${registry.origin}/v2/`, { headers: { authorization } })).status).toBe(200);
  });

  it('gives tokens that are good for their scope until they are revoked', async () => {
    const registry = await start({ auth: { kind: 'token' } });
    registry.addImage('app', '1', []);
    const refused = await get(`${registry.origin}/v2/app/manifests/1`);
    expect(refused.headers['www-authenticate']).toBe(
      `Bearer realm="${registry.origin}/token",service="fake",scope="repository:app:pull"`,
    );
    const ask = async (scope: string): Promise<number> => {
      const { body } = await get(`${registry.origin}/token?scope=${scope}`);
      const token = /"token":"(.+?)"/.exec(body.toString())?.[1];
      const headers = { authorization: `Bearer ${token}` };
      return (await get(`${registry.origin}/v2/app/manifests/1`, { headers })).status;
    };
    expect(await ask('repository:other:pull')).toBe(401);
    expect(await ask('repository:app:pull')).toBe(200);
    registry.revokeTokens();
    const headers = { authorization: 'Bearer token-2' };
    expect((await get(`${registry.origin}/v2/app/manifests/1`, { headers })).status).toBe(401);
  });

  it('speaks TLS with a certificate of a private authority', async () => {
    const certificates = await makeCertificates();
    cleanups.push(() => certificates.remove());
    const registry = await start({ tls: certificates.server });
    expect((await get(`${registry.origin}/v2/`, { ca: certificates.authority })).status).toBe(200);
    await expect(get(`${registry.origin}/v2/`)).rejects.toThrow(/certificate|issuer/);
  });
});

describe('its faults', () => {
  async function struck(fault: Parameters<FakeRegistry['addFault']>[1], headers = {}): Promise<Got> {
    const registry = await start();
    const { digest } = registry.addBlob(Buffer.from('0123456789'));
    registry.addFault(/blobs/, fault);
    return get(`${registry.origin}/v2/app/blobs/${digest}`, { headers });
  }

  it('strikes as often as it was told, and not other requests', async () => {
    const registry = await start();
    registry.addImage('app', '1', []);
    registry.addFault(/manifests/, { kind: 'status', status: 503 }, 2);
    const statuses: number[] = [];
    for (const path of ['app/manifests/1', '', 'app/manifests/1', 'app/manifests/1']) {
      statuses.push((await get(`${registry.origin}/v2/${path}`)).status);
    }
    expect(statuses).toEqual([503, 200, 503, 200]);
  });

  it('stops when it is taken away', async () => {
    const registry = await start();
    const stop = registry.addFault(/./, { kind: 'status', status: 500 });
    expect((await get(`${registry.origin}/v2/`)).status).toBe(500);
    stop();
    expect((await get(`${registry.origin}/v2/`)).status).toBe(200);
  });

  it('cuts a body short of its Content-Length', async () => {
    const { headers, body, broken } = await struck({ kind: 'cut', after: 4 });
    expect([headers['content-length'], body.toString(), broken]).toEqual(['10', '0123', true]);
  });

  it('ends a body early and cleanly', async () => {
    const { headers, body, broken } = await struck({ kind: 'short', after: 4 });
    expect([headers['content-length'], body.toString(), broken]).toEqual([undefined, '0123', false]);
  });

  it('says a wrong Content-Length', async () => {
    const { headers, body } = await struck({ kind: 'wrong-length', length: 12 });
    expect([headers['content-length'], body.length]).toEqual(['12', 12]);
  });

  it('never stops sending', async () => {
    expect((await struck({ kind: 'endless' })).body.length).toBeGreaterThan(1_000_000);
  });

  it('changes a byte, or the digest it says', async () => {
    expect((await struck({ kind: 'wrong-bytes' })).body.toString()).toBe('0123456788');
    expect((await struck({ kind: 'wrong-digest' })).headers['docker-content-digest']).toMatch(/^sha256:0+$/);
  });

  it('ignores a range, or answers another one', async () => {
    const range = { range: 'bytes=4-' };
    expect((await struck({ kind: 'ignore-range' }, range)).status).toBe(200);
    expect((await struck({ kind: 'wrong-range' }, range)).headers['content-range']).toBe('bytes 5-9/10');
  });

  it('redirects', async () => {
    const { status, headers } = await struck({ kind: 'redirect', to: 'http://elsewhere/x' });
    expect([status, headers.location]).toEqual([307, 'http://elsewhere/x']);
  });

  it('cuts the connection before an answer', async () => {
    await expect(struck({ kind: 'reset' })).rejects.toThrow(/hang up|ECONNRESET/);
  });

  it('keeps silent, and in the middle of a body', async () => {
    const registry = await start();
    const { digest } = registry.addBlob(Buffer.from('0123456789'));
    registry.addFault(/blobs/, { kind: 'stall', after: 4 });
    registry.addFault(/manifests/, { kind: 'silent' });
    const firstBytes = new Promise((resolve) => {
      httpRequest(`${registry.origin}/v2/app/blobs/${digest}`, (response) => {
        response.on('error', () => undefined);
        response.on('data', (chunk: Buffer) => resolve(chunk.toString()));
      }).end();
    });
    expect(await firstBytes).toBe('0123');
    const silent = get(`${registry.origin}/v2/app/manifests/1`);
    await expect.poll(() => registry.count(/manifests/)).toBe(1);
    await Promise.all([registry.close(), expect(silent).rejects.toThrow(/hang up|ECONNRESET/)]);
    cleanups.pop();
  });
});
