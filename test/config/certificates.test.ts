import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  certificateFolders,
  readCertificates,
  readSystemAuthorities,
} from '../../src/config/certificates.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'atomic-test-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function write(...names: string[]): Promise<void> {
  for (const name of names) await writeFile(join(folder, name), `content of ${name}`);
}

describe('the certificates of a registry', () => {
  it('are every .crt, and the one .cert with its .key', async () => {
    await write('b.crt', 'a.crt', 'me.cert', 'me.key', 'README');
    const { authorities, client } = await readCertificates([folder]);
    expect(authorities.map(String)).toEqual(['content of a.crt', 'content of b.crt']);
    expect([String(client?.certificate), String(client?.key)]).toEqual([
      'content of me.cert',
      'content of me.key',
    ]);
  });

  it('are those of the first folder that exists', async () => {
    await write('a.crt');
    await mkdir(join(folder, 'empty'));
    const none = { authorities: [], client: undefined };
    expect(await readCertificates([join(folder, 'empty'), folder])).toEqual(none);
    expect((await readCertificates([join(folder, 'missing'), folder])).authorities).toHaveLength(1);
    expect(await readCertificates([join(folder, 'missing')])).toEqual(none);
  });

  it('are refused when a certificate lacks its key, or a key its certificate', async () => {
    await write('me.cert');
    await expect(readCertificates([folder])).rejects.toThrow('me.key is needed');
    await rm(join(folder, 'me.cert'));
    await write('you.key');
    await expect(readCertificates([folder])).rejects.toMatchObject({ code: 'config-invalid' });
  });

  it('are refused when the folder is a file', async () => {
    await write('a.crt');
    await expect(readCertificates([join(folder, 'a.crt')])).rejects.toMatchObject({ code: 'config-invalid' });
  });
});

it('looks for the folder of a registry where containers-certs.d(5) says', () => {
  expect(certificateFolders('r.example:5000', { HOME: '/h' })).toEqual([
    '/h/.config/containers/certs.d/r.example:5000',
    '/etc/containers/certs.d/r.example:5000',
    '/etc/docker/certs.d/r.example:5000',
  ]);
  expect(certificateFolders('r.example', {})).toHaveLength(2);
});

it('reads the authorities of the host from the file that SSL_CERT_FILE names', async () => {
  await write('bundle.pem');
  const bytes = await readSystemAuthorities({ SSL_CERT_FILE: join(folder, 'bundle.pem') });
  expect(String(bytes)).toBe('content of bundle.pem');
  expect(await readSystemAuthorities({ SSL_CERT_FILE: join(folder, 'missing.pem') })).toBeUndefined();
});
