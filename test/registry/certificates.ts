import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** A private authority, and what it signed: a server on the loopback addresses, and a client. All in PEM. */
export interface TestCertificates {
  readonly folder: string;
  readonly authority: Buffer;
  readonly server: { readonly cert: Buffer; readonly key: Buffer };
  readonly client: { readonly cert: Buffer; readonly key: Buffer };
  remove(): Promise<void>;
}

/** Makes certificates with the openssl program: ca.crt, server.crt, server.key, client.crt, client.key in a temp folder. */
export async function makeCertificates(): Promise<TestCertificates> {
  const folder = await mkdtemp(join(tmpdir(), 'atomic-certificates-'));
  const openssl = async (...args: string[]): Promise<void> => {
    await run('openssl', args, { cwd: folder });
  };
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  const sign = async (name: string, extension: string): Promise<{ cert: Buffer; key: Buffer }> => {
    await writeFile(join(folder, `${name}.ext`), extension);
    await openssl(
      'req',
      ...newKey,
      '-keyout',
      `${name}.key`,
      '-out',
      `${name}.csr`,
      '-subj',
      `/CN=test ${name}`,
    );
    const csr = ['-in', `${name}.csr`, '-extfile', `${name}.ext`];
    const issuer = ['-CA', 'ca.crt', '-CAkey', 'ca.key', '-CAcreateserial'];
    await openssl('x509', '-req', ...csr, ...issuer, '-out', `${name}.crt`, '-days', '2');
    return {
      cert: await readFile(join(folder, `${name}.crt`)),
      key: await readFile(join(folder, `${name}.key`)),
    };
  };
  try {
    await openssl(
      'req',
      '-x509',
      ...newKey,
      '-keyout',
      'ca.key',
      '-out',
      'ca.crt',
      '-days',
      '2',
      '-subj',
      '/CN=test CA',
    );
    const server = await sign('server', 'subjectAltName=IP:127.0.0.1,IP:::1,DNS:localhost\n');
    const client = await sign('client', 'extendedKeyUsage=clientAuth\n');
    const authority = await readFile(join(folder, 'ca.crt'));
    return { folder, authority, server, client, remove: () => rm(folder, { recursive: true, force: true }) };
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
}
