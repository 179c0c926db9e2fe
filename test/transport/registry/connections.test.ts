import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { createServer, request } from 'node:http';
import { createConnection, createServer as createTcpServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { makeCertificates } from '../../registry/certificates.ts';
import { cleanUp, failureOf, openSource, startRegistry } from './setup.ts';

/** A proxy that leads every host to the given one, and tells what it was asked. */
async function startProxy(
  target: string,
): Promise<{ url: string; asked: string[]; authorizations: unknown[] }> {
  const asked: string[] = [];
  const authorizations: unknown[] = [];
  const [host = '', port = ''] = target.split(':');
  const server = createServer((incoming, outgoing) => {
    asked.push(`${incoming.method} ${incoming.url}`);
    authorizations.push(incoming.headers['proxy-authorization']);
    const path = new URL(incoming.url ?? '').pathname;
    request({ host, port, path, headers: { accept: '*/*' } }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 500, answer.headers);
      answer.pipe(outgoing);
    }).end();
  });
  server.on('connect', (incoming, socket) => {
    asked.push(`CONNECT ${incoming.url}`);
    authorizations.push(incoming.headers['proxy-authorization']);
    const tunnel = createConnection({ host, port: Number(port) }, () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
      tunnel.pipe(socket).pipe(tunnel);
    });
    for (const end of [tunnel, socket]) end.on('error', () => end.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  cleanUp(async () => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the proxy has no port');
  return { url: `http://us%40er:se%3Acret@127.0.0.1:${address.port}`, asked, authorizations };
}

/** One that speaks SOCKS5 and takes one user with a password: RFC 1928, RFC 1929. */
async function startSocksProxy(target: string): Promise<{ url: string; told: string[] }> {
  const told: string[] = [];
  const [host = '', port = ''] = target.split(':');
  const answers = [Buffer.of(5, 2), Buffer.of(1, 0), Buffer.from('05000001000000000000', 'hex')];
  const server = createTcpServer((client) => {
    let step = 0;
    const answer = (bytes: Buffer): void => {
      told.push(bytes.toString('latin1'));
      client.write(answers[step] ?? '');
      if (++step < answers.length) return;
      client.off('data', answer);
      const tunnel = createConnection({ host, port: Number(port) });
      tunnel.pipe(client).pipe(tunnel);
      for (const end of [tunnel, client]) end.on('error', () => end.destroy());
    };
    client.on('data', answer);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  cleanUp(async () => server.close());
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the proxy has no port');
  return { url: `socks5://us%40er:se%3Acret@127.0.0.1:${address.port}`, told };
}

const BASIC = `Basic ${Buffer.from('us@er:se:cret').toString('base64')}`;

describe('a proxy', () => {
  it('is asked for the URL of a plain registry', async () => {
    const registry = await startRegistry();
    registry.addImage('app', '1', []);
    const proxy = await startProxy(registry.host);
    await openSource('registry.example/app:1', { environment: { HTTP_PROXY: proxy.url } }).getManifest();
    expect(proxy.asked).toEqual(['GET http://registry.example/v2/app/manifests/1']);
    expect(proxy.authorizations).toEqual([BASIC]);
  });

  it('is asked for a tunnel to a registry with TLS, whose certificate is still checked', async () => {
    const certificates = await makeCertificates();
    cleanUp(() => certificates.remove());
    const registry = await startRegistry({ tls: certificates.server });
    registry.addImage('app', '1', []);
    const proxy = await startProxy(registry.host);
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

  it('may speak SOCKS5, and is told the name of the registry', async () => {
    const registry = await startRegistry();
    registry.addImage('app', '1', []);
    const proxy = await startSocksProxy(registry.host);
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
