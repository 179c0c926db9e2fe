import type { Credentials } from '../../config/auth-file.ts';
import { AtomicError, isAtomicError } from '../../errors.ts';
import { ERROR_BODY_BYTES } from '../../limits.ts';
import { createRegistryClient } from './client.ts';
import type { RegistryOptions } from './options.ts';

/**
 * Has a registry say whether it takes credentials: `/v2/` with basic authentication, or a token server's answer. One
 * that asks nobody for credentials takes any.
 * @throws AtomicError `unauthorized` when it does not; others as a pull has them
 * @see OCI distribution specification 1.1, "Determining Support"
 */
export async function checkCredentials(
  domain: string,
  credentials: Credentials,
  options: Omit<RegistryOptions, 'credentials' | 'plainHttp'>,
): Promise<void> {
  const client = createRegistryClient(domain, { ...options, plainHttp: false, credentials });
  try {
    const doing = `log in to ${domain}`;
    await client.fetch({ method: 'GET', at: '', accept: [200], doing, kind: 'registry' }, ERROR_BODY_BYTES);
  } catch (error) {
    if (!isAtomicError(error, 'unauthorized', 'denied')) throw error;
    throw new AtomicError('unauthorized', `${domain} does not accept the user name and password`, {
      hint: 'Check both; where a registry wants a token of its own making in place of a password, give that.',
      cause: error,
    });
  } finally {
    await client.close();
  }
}
