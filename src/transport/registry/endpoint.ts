import { ConnectionFailure, isTlsFailure, isWithoutTls } from './failure.ts';
import { discardBody, type Send } from './http.ts';
import type { RegistryOptions } from './options.ts';
import { isLoopback } from './proxy.ts';

/** docker.io is a name and not a host. */
const DOCKER_HUB = 'registry-1.docker.io';

/**
 * The URL of a registry. It is https, unless plain HTTP was asked for. On the machine itself, or when
 * certificates are not checked, https is tried first and plain HTTP taken when nothing there speaks TLS, as skopeo does it.
 * @throws ConnectionFailure when neither answers, or TLS answers and fails
 */
export async function findEndpoint(
  domain: string,
  { plainHttp, tlsVerify = true, signal }: RegistryOptions,
  send: Send,
): Promise<URL> {
  const host = domain === 'docker.io' || domain === 'index.docker.io' ? DOCKER_HUB : domain;
  const plain = new URL(`http://${host}/`);
  if (plainHttp) return plain;
  const secure = new URL(`https://${host}/`);
  if (tlsVerify && !isLoopback(secure)) return secure;
  try {
    await discardBody(await send({ method: 'GET', url: new URL('/v2/', secure), headers: {}, signal }));
    return secure;
  } catch (error) {
    if (!(error instanceof ConnectionFailure) || signal?.aborted === true) throw error;
    // Without a port in the name, plain HTTP is on another port, and has a proxy of its own: nothing need be here.
    if (isTlsFailure(error) && !isWithoutTls(error)) throw error;
    return plain;
  }
}
