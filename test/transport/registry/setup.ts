import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect } from 'vitest';
import { AtomicError } from '../../../src/errors.ts';
import type { ProgressEvent } from '../../../src/events.ts';
import { parseRegistryImage } from '../../../src/image/reference.ts';
import { openRegistryDestination, openRegistrySource } from '../../../src/transport/registry/index.ts';
import type { RegistryOptions, Timing } from '../../../src/transport/registry/index.ts';
import type { ImageDestination, ImageSource } from '../../../src/transport/transport.ts';
import {
  startFakeRegistry,
  type FakeRegistry,
  type FakeRegistryOptions,
} from '../../registry/fake-registry.ts';

const cleanups: (() => Promise<unknown>)[] = [];

/** Run after the test, the last one first, whether it passed or not. */
export function cleanUp(cleanup: () => Promise<unknown>): void {
  cleanups.push(cleanup);
}

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

export async function startRegistry(options?: FakeRegistryOptions): Promise<FakeRegistry> {
  const registry = await startFakeRegistry(options);
  cleanUp(() => registry.close());
  return registry;
}

export async function makeFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'atomic-test-'));
  cleanUp(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** Real timeouts that nothing here should reach, and waits that do not wait. */
export const QUICK: Timing = {
  connectMs: 10_000,
  answerMs: 10_000,
  idleMs: 10_000,
  slowMs: 10_000,
  wholeMs: 10_000,
  storeMs: 10_000,
  pause: async (_, signal) => signal?.throwIfAborted(),
};

export type Told = Partial<RegistryOptions> & { events?: ProgressEvent[] };

export function optionsFor({ events, ...told }: Told): RegistryOptions {
  return {
    plainHttp: true,
    userAgent: 'test/1',
    report: (event) => events?.push(event),
    // A file that is not there: no credentials of whoever runs the tests.
    environment: { REGISTRY_AUTH_FILE: '/nonexistent/auth.json' },
    timing: QUICK,
    ...told,
  };
}

/** Closed after the test. `name` as on the command line. */
export function openSource(name: string, told: Told = {}): ImageSource {
  const source = openRegistrySource(parseRegistryImage(name), optionsFor(told));
  cleanUp(() => source.close());
  return source;
}

export function openDestination(name: string, told: Told = {}): ImageDestination {
  const destination = openRegistryDestination(parseRegistryImage(name), optionsFor(told));
  cleanUp(() => destination.close());
  return destination;
}

/** The AtomicError that a promise fails with. */
export async function failureOf(promise: Promise<unknown>): Promise<AtomicError> {
  const error: unknown = await promise.then(
    () => undefined,
    (error: unknown) => error,
  );
  expect(error).toBeInstanceOf(AtomicError);
  if (!(error instanceof AtomicError)) throw error;
  return error;
}
