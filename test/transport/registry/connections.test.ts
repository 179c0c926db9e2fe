import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { inspect } from 'node:util';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { makeCertificates } from '../../registry/certificates.ts';
import { startProxy, startSocksProxy } from '../../registry/proxies.ts';
import { QUICK, cleanUp, failureOf, openSource, startRegistry } from './setup.ts';

/** One that ends with the test. */
async function proxied<T extends { close(): void }>(
  start: (host: string) => Promise<T>,
  host: string,
): Promise<T> {
  const proxy = await start(host);
  cleanUp(async () => proxy.close());
  return proxy;
}

const BASIC = `Basic ${Buffer.from('us@er:se:cret').toString('base64')}`;

describe('a proxy', () => {
  it('is asked for the URL of a plain registry', async () => {
    const registry = await startRegistry();
    registry.addImage('app', '1', []);
    const proxy = await proxied(startProxy, registry.host);
    await openSource('registry.example/app:1', { environment: { HTTP_PROXY: proxy.url } }).getManifest();
    expect(proxy.asked).toEqual(['GET http://registry.example/v2/app/manifests/1']);
    expect(proxy.authorizations).toEqual([BASIC]);
  });

  it('is asked for a tunnel to a registry with TLS, whose certificate is still checked', async () => {
    const certificates = await makeCertificates();
    cleanUp(() => certificates.remove());
    const registry = await startRegistry({ tls: certificates.server });
    registry.addImage('app', '1', []);
    const proxy = await proxied(startProxy, registry.host);
    const told = {
      plainHttp: false,
      environment: { HTTPS_PROXY: proxy.url, SSL_CERT_FILE: `${certificates.folder}/ca.crt` },
    };
    const error = await failureOf(openSource('registry.example/app:1', told).getManifest());
    expect([error.code, registry.requests]).toEqual(['tls', []]);
    await openSource('registry.example/app:1', { ...told, tlsVerify: false }).getManifest();
    expect(new Set(proxy.asked)).toEqual(new Set(['CONNECT registry.example:443']));
    expect(proxy.authorizations[0]).toBe(BASIC);
    expect(registry.count(/manifests/)).toBe(1);
  });

  it.each([
    ['falls silent', () => undefined, 'timed out'],
    ['wants another way to log in', (client: Socket) => void client.write(Buffer.of(5, 255)), 'no accepted'],
    ['goes away', (client: Socket) => void client.destroy(), 'closed'],
  ])('that speaks SOCKS5 and %s is an error soon', async (_what, answer, told) => {
    const server = createServer((client) =>
      client.on('error', () => undefined).on('data', () => answer(client)),
    );
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    cleanUp(async () => server.close());
    const timing = { ...QUICK, connectMs: 200 };
    const { port } = server.address() as AddressInfo;
    const environment = { HTTP_PROXY: `socks5://us%40er:se%3Acret@127.0.0.1:${port}` };
    const error = await failureOf(
      openSource('registry.example/app:1', { environment, timing }).getManifest(),
    );
    expect(error).toMatchObject({ code: 'registry-unreachable', message: expect.stringContaining(told) });
    expect(inspect(error, { depth: 10 })).not.toContain('cret');
  });

  it('may speak SOCKS5, and is told the name of the registry', async () => {
    const registry = await startRegistry();
    registry.addImage('app', '1', []);
    const proxy = await proxied(startSocksProxy, registry.host);
    const environment = { HTTP_PROXY: proxy.url };
    await openSource('registry.example:5000/app:1', { environment }).getManifest();
    expect(proxy.told.slice(1)).toEqual([
      '\u0001\u0005us@er\u0007se:cret',
      '\u0005\u0001\u0000\u0003\u0010registry.example\u0013\u0088',
    ]);
  });
});

describe('the authorities of the system', () => {
  it('are read only where a certificate is verified by them', async () => {
    const certificates = await makeCertificates();
    cleanUp(() => certificates.remove());
    const registry = await startRegistry({ tls: certificates.server });
    registry.addImage('app', '1', []);
    // The registry's own take longer to read than those of the system take to fail.
    const certDir = join(certificates.folder, 'many');
    await mkdir(certDir);
    for (let i = 0; i < 100; i++) await writeFile(join(certDir, `${i}.crt`), certificates.authority);
    const read = (host: string, more: { tlsVerify?: boolean; HTTPS_PROXY?: string }): Promise<unknown> => {
      const { tlsVerify = true, ...proxy } = more;
      // A folder: reading it fails.
      const environment = { SSL_CERT_FILE: certificates.folder, ...proxy };
      return openSource(`${host}/app:1`, { plainHttp: false, tlsVerify, certDir, environment }).getManifest();
    };
    await read(registry.host, { tlsVerify: false });
    expect((await failureOf(read(registry.host, {}))).code).toBe('config-invalid');
    const proxied = { tlsVerify: false, HTTPS_PROXY: 'https://localhost:1' };
    expect((await failureOf(read('registry.example', proxied))).code).toBe('config-invalid');
    expect(registry.count(/manifests/)).toBe(1);
  });
});
