/** The built program through proxies: what it takes of undici is chosen when it is built. */
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { runWell } from '../fixtures/built-program.ts';
import { buildImage, writeDirTransport } from '../fixtures/image-builder.ts';
import { useTempFolder } from '../fixtures/temp-folder.ts';
import { startProxy, startSocksProxy } from '../registry/proxies.ts';
import { makeCertificates, type TestCertificates } from '../registry/certificates.ts';
import { startRealRegistry, type RealRegistryOptions } from '../registry/real-registry.ts';

const folder = useTempFolder();
const IMAGE = buildImage({ layers: [{ entries: [{ path: 'a', content: 'x' }] }] });

beforeEach(() => writeDirTransport(join(folder(), 'image'), IMAGE));

/** Puts an image into a registry, and asks for it through a proxy by a name that nobody else knows. */
async function throughProxy<T extends { readonly url: string; close(): void }>(
  start: (target: string) => Promise<T>,
  options: RealRegistryOptions = {},
): Promise<{ readonly digest: string; readonly proxy: T }> {
  const registry = await startRealRegistry(options);
  const proxy = await start(registry.host);
  try {
    const direct = { environment: { HOME: folder() } };
    await runWell(
      ['copy', '--dest-tls-verify=false', `dir:${folder()}/image`, `docker://${registry.host}/app:1`],
      direct,
    );
    const proxied = { environment: { HOME: folder(), HTTP_PROXY: proxy.url, HTTPS_PROXY: proxy.url } };
    const inspect = ['inspect', '--tls-verify=false', '--format', '{{.Digest}}'];
    const printed = await runWell([...inspect, 'docker://registry.example/app:1'], proxied);
    return { digest: printed.trim(), proxy };
  } finally {
    proxy.close();
    await registry.close();
  }
}

test('a plain registry', async () => {
  const { digest, proxy } = await throughProxy(startProxy);
  expect(digest).toBe(IMAGE.digest);
  expect(proxy.asked).toContain('GET http://registry.example/v2/app/manifests/1');
});

describe('a registry with TLS', () => {
  let certificates: TestCertificates;
  let tls: NonNullable<RealRegistryOptions['tls']>;
  beforeAll(async () => {
    certificates = await makeCertificates();
    const [certificate, key] = ['server.crt', 'server.key'].map((name) => join(certificates.folder, name));
    tls = { certificate: certificate ?? '', key: key ?? '' };
  });
  afterAll(() => certificates.remove());

  test('in a tunnel', async () => {
    const { digest, proxy } = await throughProxy(startProxy, { tls });
    expect(digest).toBe(IMAGE.digest);
    expect(new Set(proxy.asked)).toEqual(new Set(['CONNECT registry.example:443']));
  });

  test('by SOCKS5', async () => {
    const { digest, proxy } = await throughProxy(startSocksProxy, { tls });
    expect(digest).toBe(IMAGE.digest);
    expect(proxy.told.join()).toContain('registry.example\u0001\u00bb');
  });
});

test('a plain registry by SOCKS5', async () => {
  const { digest, proxy } = await throughProxy(startSocksProxy);
  expect(digest).toBe(IMAGE.digest);
  expect(proxy.told.join()).toContain('registry.example\u0000P');
});
