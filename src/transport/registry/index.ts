/**
 * Images in registries: the `docker://` transport, a client of the OCI distribution specification 1.1.
 *
 * The client is a stack, each layer with one job: client (which request) > retry > auth > redirect > http (undici).
 * Below it stand endpoint (TLS or not), connections (proxies, certificates) and explain (failures as sentences).
 */
export { createClient, createRegistryClient, type Call, type RegistryClient } from './client.ts';
export { checkCredentials } from './login.ts';
export { openRegistryDestination, type RegistryDestinationOptions } from './destination.ts';
export type { RegistryOptions, Timing } from './options.ts';
export { openRegistrySource } from './source.ts';
