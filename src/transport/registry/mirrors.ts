import { isAtomicError, messageOf } from '../../errors.ts';
import { createClient, formatImage, type RegistryClient } from './client.ts';
import type { RegistryOptions } from './options.ts';
import { readingPlaces, type NamedImage, type Place } from './places.ts';

/** The places where an image may be had, asked in their order until one gives what is wanted. */
export interface Mirrors {
  readonly name: string;
  /** From now on the place that gives it comes first. */
  findManifest<T>(ask: (client: RegistryClient, place: Place) => Promise<T>): Promise<T>;
  /** What is the same everywhere: where the manifest was found, then at the places that follow. */
  findBlob<T>(ask: (client: RegistryClient) => Promise<T>, signal: AbortSignal | undefined): Promise<T>;
  close(): Promise<void>;
}

interface Connected {
  readonly place: Place;
  readonly client: RegistryClient;
}

/**
 * Nothing is read or sent before the first call. A place that fails is reported as a notice while others follow; the
 * last one's failure, which is that of the registry itself, is thrown.
 */
export function createMirrors(image: NamedImage, options: RegistryOptions): Mirrors {
  let opened: Promise<readonly Connected[]> | undefined;
  /** The first one that is asked. */
  let first = 0;

  async function open(): Promise<readonly Connected[]> {
    const places = await readingPlaces(image, options);
    return places.map((place) => ({ place, client: createClient(place.image, 'pull', place.options) }));
  }

  async function find<T>(
    ask: (at: Connected) => Promise<T>,
    signal?: AbortSignal,
  ): Promise<{ readonly found: T; readonly at: number }> {
    opened ??= open();
    const places = await opened;
    for (let at = first; ; at++) {
      const place = places[at];
      if (place === undefined) throw new Error(`${formatImage(image)} is nowhere`);
      try {
        return { found: await ask(place), at };
      } catch (error) {
        const next = places[at + 1];
        const isOver = signal?.aborted === true || isAtomicError(error, 'interrupted');
        if (next === undefined || isOver) throw error;
        // Nobody waits again for a host that is not there.
        if (isAtomicError(error, 'registry-unreachable', 'tls')) first = Math.max(first, at + 1);
        options.report({ event: 'notice', text: `${messageOf(error)}; trying ${next.client.image}` });
      }
    }
  }

  return {
    name: formatImage(image),
    async findManifest(ask) {
      const { found, at } = await find(({ client, place }) => ask(client, place));
      first = at;
      return found;
    },
    findBlob: async (ask, signal) => (await find(({ client }) => ask(client), signal)).found,
    async close() {
      const places = await opened?.catch(() => []);
      for (const { client } of places ?? []) await client.close();
    },
  };
}
