import { createSecureContext, rootCertificates, type SecureContext } from 'node:tls';
import type { Agent, Dispatcher } from 'undici';
import {
  certificateFolders,
  readCertificates,
  readSystemAuthorities,
  type RegistryCertificates,
} from '../../config/certificates.ts';
import { AtomicError, messageOf } from '../../errors.ts';
import { TIMING, type RegistryOptions } from './options.ts';
import { chooseProxy } from './proxy.ts';

/** Certificates, one or many in each. */
type Authorities = readonly (string | Buffer)[];

/** The kept-alive connections of one source or destination: through proxies and TLS as the options ask. */
export interface Connections {
  /** What sends a request to this URL. */
  to(url: URL): Promise<Dispatcher>;
  /** Breaks off whatever is under way. */
  close(): Promise<void>;
}

/**
 * @param domain the registry; only it is shown our client certificate. Its authorities are trusted for every host it
 * sends us to, because a private registry's token server and storage are signed by the same one.
 */
export function createConnections(domain: string, options: RegistryOptions): Connections {
  const dispatchers = new Map<string, Promise<Dispatcher>>();
  const registryHost = new URL(`https://${domain}`).host;
  let certificates: Promise<RegistryCertificates> | undefined;
  let system: Promise<Authorities> | undefined;

  async function secureContext(ownHost: boolean, verifies: boolean): Promise<SecureContext> {
    const { certDir, environment } = options;
    certificates ??= readCertificates(
      certDir === undefined ? certificateFolders(domain, environment) : [certDir],
    );
    // Reading them takes longer than all else before the first byte.
    if (verifies) system ??= readSystem(environment);
    // At the same time, so that a failure of one is awaited while the other is read.
    const [own, ofSystem] = await Promise.all([certificates, system ?? []]);
    return buildContext(own, ofSystem, ownHost);
  }

  return {
    to(url) {
      const proxy = chooseProxy(url, options.environment);
      const ownHost = url.host === registryHost;
      const key = `${url.protocol} ${ownHost} ${proxy?.href}`;
      let dispatcher = dispatchers.get(key);
      if (dispatcher === undefined) {
        const secure = url.protocol === 'https:' || proxy?.protocol === 'https:';
        const verifies = options.tlsVerify !== false || proxy?.protocol === 'https:';
        dispatcher = (secure ? secureContext(ownHost, verifies) : Promise.resolve(undefined)).then(
          (context) => createDispatcher(context, proxy, options),
        );
        dispatchers.set(key, dispatcher);
      }
      return dispatcher;
    },
    async close() {
      for (const opened of await Promise.allSettled(dispatchers.values())) {
        if (opened.status === 'fulfilled') await opened.value.destroy();
      }
    },
  };
}

async function readSystem(environment: RegistryOptions['environment']): Promise<Authorities> {
  const bundle = await readSystemAuthorities(environment);
  return bundle === undefined ? rootCertificates : [bundle];
}

function buildContext(
  { authorities, client }: RegistryCertificates,
  system: Authorities,
  ownHost: boolean,
): SecureContext {
  try {
    return createSecureContext({
      ca: [...system, ...authorities],
      ...(client === undefined || !ownHost ? {} : { cert: client.certificate, key: client.key }),
    });
  } catch (error) {
    throw new AtomicError('tls', `The certificates for the registry cannot be used: ${messageOf(error)}`, {
      cause: error,
      hint: 'Certificates and keys are PEM files: *.crt, *.cert and *.key below certs.d/HOST.',
    });
  }
}

async function createDispatcher(
  secureContext: SecureContext | undefined,
  proxy: URL | undefined,
  { timing = TIMING, tlsVerify = true }: RegistryOptions,
): Promise<Dispatcher> {
  const undici = await import('./undici.ts');
  const trust = secureContext === undefined ? {} : { secureContext };
  const connect = { ...trust, rejectUnauthorized: tlsVerify, timeout: timing.connectMs };
  const common: Agent.Options = { connect };
  if (proxy === undefined) return new undici.Agent(common);
  if (proxy.protocol === 'socks5:') {
    const { connectBySocks } = await import('./socks.ts');
    return new undici.Agent({ connect: connectBySocks(proxy, connect) });
  }
  return new undici.ProxyAgent({
    ...common,
    uri: proxy.href,
    requestTls: connect,
    proxyTls: { ...trust, timeout: timing.connectMs },
    // A proxy reads plain requests itself; many tunnel to port 443 only.
    proxyTunnel: false,
  });
}
