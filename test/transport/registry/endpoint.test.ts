import { copyFile, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { messageOf } from '../../../src/errors.ts';
import { parseRegistryImage } from '../../../src/image/reference.ts';
import { findEndpoint } from '../../../src/transport/registry/endpoint.ts';
import { ConnectionFailure } from '../../../src/transport/registry/failure.ts';
import { makeCertificates, type TestCertificates } from '../../registry/certificates.ts';
import { failureOf, makeFolder, openSource, startRegistry } from './setup.ts';

let certificates: TestCertificates;
beforeAll(async () => {
  certificates = await makeCertificates();
});
afterAll(() => certificates.remove());

async function certDir(...files: [from: string, to: string][]): Promise<string> {
  const folder = await makeFolder();
  for (const [from, to] of files) await copyFile(join(certificates.folder, from), join(folder, to));
  return folder;
}

describe('the endpoint of a registry', () => {
  const find = (name: string, plainHttp = false): Promise<URL> =>
    findEndpoint(
      parseRegistryImage(name).domain,
      { plainHttp, userAgent: '', report: () => undefined, environment: {} },
      () => expect.unreachable('nothing is asked'),
    );

  it('has TLS and is not asked for, for any name that is not the machine itself', async () => {
    expect((await find('r.example:5000/app')).href).toBe('https://r.example:5000/');
    expect((await find('busybox')).href).toBe('https://registry-1.docker.io/');
    expect((await find('index.docker.io/library/busybox')).href).toBe('https://registry-1.docker.io/');
  });

  it.each([
    ['ETIMEDOUT', 'http://r.example/'],
    ['ECONNREFUSED', 'http://r.example/'],
    ['ERR_SSL_WRONG_VERSION_NUMBER', 'http://r.example/'],
    ['CERT_HAS_EXPIRED', 'CERT_HAS_EXPIRED'],
    ['ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED', 'ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED'],
  ])('without checks is plain HTTP where nothing speaks TLS: %s', async (code, found) => {
    const unchecked = {
      plainHttp: false,
      tlsVerify: false,
      userAgent: '',
      report: () => undefined,
      environment: {},
    };
    const endpoint = findEndpoint('r.example', unchecked, ({ url }) => {
      return Promise.reject(new ConnectionFailure(url, Object.assign(new Error(code), { code })));
    });
    expect(await endpoint.then(({ href }) => href, messageOf)).toBe(found);
  });

  it('is plain HTTP when that was asked for', async () => {
    expect((await find('r.example:5000/app', true)).href).toBe('http://r.example:5000/');
  });
});

describe('a registry on the machine itself', () => {
  it('is asked for TLS first, and taken without when it has none, decided once', async () => {
    const registry = await startRegistry();
    registry.addImage('app', '1', []);
    const source = openSource(`${registry.host}/app:1`, { plainHttp: false });
    await source.getManifest();
    await source.getManifest();
    // What was no HTTP at all did not become a request.
    expect(registry.requests.map(({ path }) => path)).toEqual(['/v2/app/manifests/1', '/v2/app/manifests/1']);
  });

  it('with a certificate that is not trusted is not taken', async () => {
    const registry = await startRegistry({ tls: certificates.server });
    const error = await failureOf(openSource(`${registry.host}/app:1`, { plainHttp: false }).getManifest());
    expect([error.code, error.hint, registry.requests]).toEqual([
      'tls',
      expect.stringContaining(`/etc/containers/certs.d/${registry.host}/ca.crt`),
      [],
    ]);
  });

  it('with TLS is not spoken to in plain HTTP', async () => {
    const registry = await startRegistry({ tls: certificates.server });
    const error = await failureOf(openSource(`${registry.host}/app:1`, { plainHttp: true }).getManifest());
    expect([error.code, registry.requests]).toEqual(['registry-unreachable', []]);
  });
});

describe('TLS', () => {
  it('trusts the authority in the certificate folder', async () => {
    const registry = await startRegistry({ tls: certificates.server });
    registry.addImage('app', '1', []);
    const told = { plainHttp: false, certDir: await certDir(['ca.crt', 'ca.crt']) };
    await openSource(`${registry.host}/app:1`, told).getManifest();
    expect(registry.count(/manifests/)).toBe(1);
  });

  it('finds the folder of the registry below the home', async () => {
    const registry = await startRegistry({ tls: certificates.server });
    registry.addImage('app', '1', []);
    const HOME = await makeFolder();
    const folder = join(HOME, '.config/containers/certs.d', registry.host);
    await mkdir(folder, { recursive: true });
    await copyFile(join(certificates.folder, 'ca.crt'), join(folder, 'private.crt'));
    await openSource(`${registry.host}/app:1`, { plainHttp: false, environment: { HOME } }).getManifest();
    expect(registry.count(/manifests/)).toBe(1);
  });

  it('trusts the authorities of the host, which SSL_CERT_FILE may name', async () => {
    const registry = await startRegistry({ tls: certificates.server });
    registry.addImage('app', '1', []);
    const environment = { SSL_CERT_FILE: join(certificates.folder, 'ca.crt') };
    await openSource(`${registry.host}/app:1`, { plainHttp: false, environment }).getManifest();
    expect(registry.count(/manifests/)).toBe(1);
  });

  it('shows our certificate to the registry', async () => {
    const registry = await startRegistry({ tls: { ...certificates.server, ca: certificates.authority } });
    registry.addImage('app', '1', []);
    const without = { plainHttp: false, certDir: await certDir(['ca.crt', 'ca.crt']) };
    await failureOf(openSource(`${registry.host}/app:1`, without).getManifest());
    const withOne = {
      plainHttp: false,
      certDir: await certDir(['ca.crt', 'ca.crt'], ['client.crt', 'me.cert'], ['client.key', 'me.key']),
    };
    await openSource(`${registry.host}/app:1`, withOne).getManifest();
    expect(registry.count(/manifests/)).toBe(1);
  });

  it('shows our certificate to no other host', async () => {
    const other = await startRegistry({ tls: { ...certificates.server, ca: certificates.authority } });
    const registry = await startRegistry({ tls: certificates.server });
    registry.addFault(/manifests/, { kind: 'redirect', to: `${other.origin}/v2/app/manifests/1` });
    const told = {
      plainHttp: false,
      certDir: await certDir(['ca.crt', 'ca.crt'], ['client.crt', 'me.cert'], ['client.key', 'me.key']),
    };
    await failureOf(openSource(`${registry.host}/app:1`, told).getManifest());
    expect([registry.count(/manifests/) > 0, other.requests]).toEqual([true, []]);
  });

  it('is not checked when that was asked for, and not needed either', async () => {
    const secure = await startRegistry({ tls: certificates.server });
    const plain = await startRegistry();
    for (const registry of [secure, plain]) {
      registry.addImage('app', '1', []);
      await openSource(`${registry.host}/app:1`, { plainHttp: false, tlsVerify: false }).getManifest();
      expect(registry.count(/manifests/)).toBe(1);
    }
  });

  it('is not given up by a redirect', async () => {
    const plain = await startRegistry();
    const registry = await startRegistry({ tls: certificates.server });
    registry.addFault(/manifests/, { kind: 'redirect', to: `${plain.origin}/v2/app/manifests/1` });
    const error = await failureOf(
      openSource(`${registry.host}/app:1`, { plainHttp: false, tlsVerify: false }).getManifest(),
    );
    expect([error.code, plain.requests]).toEqual(['registry-error', []]);
  });
});
