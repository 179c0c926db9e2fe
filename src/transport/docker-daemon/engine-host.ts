import { join } from 'node:path';
import { readConfigFile } from '../../config/read-file.ts';
import { AtomicError } from '../../errors.ts';

/** Where a Docker engine listens, and how it is to be spoken to. */
export interface EngineHost {
  /** As a person knows it: `unix:///var/run/docker.sock`. */
  readonly shown: string;
  /** `http://…` or `https://…`; of a socket a name that nobody looks up. */
  readonly origin: string;
  /** For the connection, as node's net and tls take it. */
  readonly connect: {
    readonly socketPath?: string;
    readonly ca?: Buffer;
    readonly cert?: Buffer;
    readonly key?: Buffer;
    readonly rejectUnauthorized?: boolean;
  };
}

export interface EngineHostOptions {
  /** Before DOCKER_HOST. */
  readonly daemonHost?: string;
  /** With ca.pem, cert.pem and key.pem; before DOCKER_CERT_PATH. */
  readonly certDir?: string;
  /** True when not given. */
  readonly tlsVerify?: boolean;
  /** DOCKER_HOST, DOCKER_CERT_PATH, DOCKER_TLS_VERIFY, HOME. */
  readonly environment: Readonly<Record<string, string | undefined>>;
}

export const DEFAULT_ENGINE_HOST = 'unix:///var/run/docker.sock';
const PLAIN_PORT = '2375';
const TLS_PORT = '2376';
const LOOPBACK = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/;

/**
 * Reads where the engine is, as Docker's own programs do: `unix:///PATH`, `tcp://HOST[:PORT]`, `http://`, `https://`.
 * tcp:// is TLS when certificates are named. Stricter than Docker: certificates are then always checked, and an engine
 * on another host is not spoken to without TLS, since whoever is in between would be root there.
 * @throws AtomicError `usage` for what is no such place, `config-invalid` for certificates that cannot be read
 * @see docker(1), "Environment variables"; moby client, `FromEnv`
 */
export async function resolveEngineHost(options: EngineHostOptions): Promise<EngineHost> {
  const { environment } = options;
  const shown = options.daemonHost || environment['DOCKER_HOST'] || DEFAULT_ENGINE_HOST;
  const socketPath = /^unix:\/\/(\/.+)$/.exec(shown)?.[1];
  if (socketPath !== undefined) return { shown, origin: 'http://localhost', connect: { socketPath } };
  const [, scheme = '', rest = ''] = /^(tcp|https?):\/\/([^/@?#]+)\/?$/.exec(shown) ?? [];
  const folder = options.certDir ?? environment['DOCKER_CERT_PATH'];
  const asksForTls = Boolean(folder) || Boolean(environment['DOCKER_TLS_VERIFY']);
  const secure = scheme === 'https' || (scheme === 'tcp' && asksForTls);
  const url = scheme === '' ? undefined : parseUrl(`${secure ? 'https' : 'http'}://${rest}`);
  if (url === undefined) throw noSuchPlace(shown);
  if (!/:\d+$/.test(rest)) url.port = secure ? TLS_PORT : PLAIN_PORT;
  if (secure) {
    const certificates = await readCertificates(folder || join(environment['HOME'] ?? '/root', '.docker'));
    const connect = { ...certificates, rejectUnauthorized: options.tlsVerify ?? true };
    return { shown, origin: url.origin, connect };
  }
  if (LOOPBACK.test(url.hostname)) return { shown, origin: url.origin, connect: {} };
  throw new AtomicError(
    'denied',
    `The Docker engine at ${shown} is on another host and would be used without TLS`,
    {
      hint: 'Set DOCKER_TLS_VERIFY=1 and DOCKER_CERT_PATH, or forward its socket through ssh.',
    },
  );
}

function parseUrl(text: string): URL | undefined {
  return URL.canParse(text) ? new URL(text) : undefined;
}

/** What was typed may hold a password, and is not repeated. */
function noSuchPlace(shown: string): AtomicError {
  const scheme = /^[a-z]+:\/\//.exec(shown)?.[0] ?? '';
  return new AtomicError('usage', `The place of the Docker engine (${scheme}…) is none that can be used`, {
    hint: 'It is written unix:///PATH/OF/docker.sock or tcp://HOST:PORT.',
  });
}

/** Docker's names for them; what is not there is not used. */
async function readCertificates(folder: string): Promise<EngineHost['connect']> {
  const read = (name: string): Promise<Buffer | undefined> =>
    readConfigFile(join(folder, name), `the file ${join(folder, name)} for the Docker engine`);
  const [ca, cert, key] = await Promise.all([read('ca.pem'), read('cert.pem'), read('key.pem')]);
  return { ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) };
}
