import { AtomicError } from '../errors.ts';
import { parseRegistryImage } from '../image/reference.ts';

/** What one logs in to: a registry, or a namespace of it. */
export interface LoginTarget {
  /** Registry host and port: `docker.io`. */
  readonly domain: string;
  /** Empty for the registry as a whole. */
  readonly namespace: string;
  /** Both, as auth files have it. */
  readonly key: string;
}

/**
 * Reads `REGISTRY[/NAMESPACE]`; a scheme before it, as in Docker's own files, is left away.
 * @throws AtomicError `usage`
 */
export function parseLoginTarget(text: string): LoginTarget {
  const plain = text.replace(/^https?:\/\//, '').replace(/\/+$/, '');
  // What Docker calls Docker Hub, with the version that it has for a path.
  const key = plain.replace(/^index\.docker\.io(?:\/v[12])?(?=\/|$)/, 'docker.io');
  const [domain = '', ...namespace] = key.split('/');
  if (isNamespace(key)) return { domain, namespace: namespace.join('/'), key };
  // Somebody may have written a password before the host, as in a URL.
  throw new AtomicError('usage', `"${text.replace(/^.*@/s, '…@')}" is no registry`, {
    hint: 'A registry is written HOST[:PORT], with a dot, a port or the name localhost; /NAMESPACE may follow.',
  });
}

/** Whether there can be images below it. */
function isNamespace(key: string): boolean {
  try {
    return parseRegistryImage(`${key}/image:tag`).qualified;
  } catch {
    return false;
  }
}
