import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { AtomicError, messageOf, systemCodeOf } from '../errors.ts';
import { readConfigFile } from './read-file.ts';

/** What a certs.d folder holds for one registry, in PEM. */
export interface RegistryCertificates {
  readonly authorities: readonly Buffer[];
  /** Shown to a registry that asks who we are. */
  readonly client: { readonly certificate: Buffer; readonly key: Buffer } | undefined;
}

/** Where the distributions keep the authorities that the host trusts: Debian, Fedora, openSUSE, Alpine. */
const SYSTEM_BUNDLES: readonly string[] = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/ca-bundle.pem',
  '/etc/ssl/cert.pem',
];

/** The folders that may hold certificates for a registry (`host[:port]`); the first that exists counts. */
export function certificateFolders(
  domain: string,
  environment: Readonly<Record<string, string | undefined>>,
): string[] {
  const home = environment['HOME'];
  return [
    ...(home ? [join(home, '.config/containers/certs.d')] : []),
    '/etc/containers/certs.d',
    '/etc/docker/certs.d',
  ].map((folder) => join(folder, domain));
}

/**
 * Reads the first folder that exists: `*.crt` are authorities, `NAME.cert` with `NAME.key` is our own certificate.
 * @throws AtomicError `config-invalid` when a certificate or key lacks its counterpart or a file cannot be read
 * @see containers-certs.d(5)
 */
export async function readCertificates(folders: readonly string[]): Promise<RegistryCertificates> {
  for (const folder of folders) {
    const names = await listFolder(folder);
    if (names !== undefined) return readFolder(folder, names);
  }
  return { authorities: [], client: undefined };
}

/**
 * The authorities that the host trusts, as SSL_CERT_FILE or the distribution names them; undefined when there is
 * no such file, and Node's own list has to do. Node built elsewhere would not know an authority added by the host's admin.
 */
export async function readSystemAuthorities(
  environment: Readonly<Record<string, string | undefined>>,
): Promise<Buffer | undefined> {
  const named = environment['SSL_CERT_FILE'];
  for (const path of named ? [named] : SYSTEM_BUNDLES) {
    const bytes = await readConfigFile(path, `the certificate file ${path}`);
    if (bytes !== undefined) return bytes;
  }
  return undefined;
}

async function listFolder(folder: string): Promise<string[] | undefined> {
  try {
    return (await readdir(folder)).sort();
  } catch (error) {
    if (systemCodeOf(error) === 'ENOENT') return undefined;
    const sentence = `the certificate folder ${folder} cannot be read: ${messageOf(error)}`;
    throw new AtomicError('config-invalid', sentence, { cause: error });
  }
}

async function readFolder(folder: string, names: readonly string[]): Promise<RegistryCertificates> {
  const read = async (name: string): Promise<Buffer> => {
    const path = join(folder, name);
    const bytes = await readConfigFile(path, `the certificate file ${path}`);
    if (bytes === undefined) throw new AtomicError('config-invalid', `${path} is needed and does not exist`);
    return bytes;
  };
  const authorities: Buffer[] = [];
  for (const name of names.filter((name) => name.endsWith('.crt'))) authorities.push(await read(name));
  const own = names.find((name) => name.endsWith('.cert') || name.endsWith('.key'));
  if (own === undefined) return { authorities, client: undefined };
  const stem = own.replace(/\.(?:cert|key)$/, '');
  return {
    authorities,
    client: { certificate: await read(`${stem}.cert`), key: await read(`${stem}.key`) },
  };
}
