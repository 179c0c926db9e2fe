import type { RegistryImage } from '../../image/reference.ts';
import { createClient, formatImage, type RegistryClient } from './client.ts';
import type { RegistryOptions } from './options.ts';

/** The places where an image may be had: its registry's mirrors, then the registry itself. */
export interface Mirrors {
  readonly name: string;
  attempt<T>(ask: (client: RegistryClient) => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

export function createMirrors(image: RegistryImage, options: RegistryOptions): Mirrors {
  const client = createClient(image, 'pull', options);
  return { name: formatImage(image), attempt: (ask) => ask(client), close: () => client.close() };
}
