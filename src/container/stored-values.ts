import { FORCED_VARIABLES, pidFileIn, type Value, type ValueSource } from './variables.ts';

/** The values of the deployment that is updated, as its `info` has them. */
export interface StoredValues {
  readonly values: Readonly<Record<string, Value>>;
  /** Where each came from; atomic did not record it. */
  readonly sources?: Readonly<Record<string, ValueSource>>;
  /** defaultValues of the image of that deployment, when its /exports is still there to be read. */
  readonly manifestDefaults?: Readonly<Record<string, string>>;
}

export interface KeptValues {
  /** The user's: they go before everything but a new --set. */
  readonly set: ReadonlyMap<string, Value>;
  readonly generated: ReadonlyMap<string, Value>;
  /** Defaults of the old image: only for what the new image no longer has a default for, as atomic keeps them. */
  readonly defaults: ReadonlyMap<string, Value>;
}

/** What is true now, to compare with. */
interface Present {
  readonly name: string;
  /** What this host gives. */
  readonly host: Readonly<Record<string, string>>;
  /** defaultValues of the image that is installed. */
  readonly defaults: Readonly<Record<string, string>>;
}

/** Variables that follow the host however they were stored: the runtime is chosen with --runtime, the program is us. */
const FOLLOWS_HOST: ReadonlySet<string> = new Set(['RUNTIME', 'ATOMIC']);

/**
 * What an update keeps. Where a value's source is recorded, it decides. For a container made by atomic it is inferred:
 *
 * - the runtime and the program follow the host; the other variables that the host gives do too, unless the stored value
 *   is not what the host gave (kernels only ever add capabilities): then the user set it;
 * - a UUID was generated;
 * - the rest equals the old image's default (or, when that is not known, the new one's): it is a default. Else it counts
 *   as set, as atomic itself treats it: forgetting what a user set is worse than holding on to an old default.
 */
export function keepStored(stored: StoredValues | undefined, present: Present): KeptValues {
  const kept = {
    set: new Map<string, Value>(),
    generated: new Map<string, Value>(),
    defaults: new Map<string, Value>(),
  };
  if (stored === undefined) return kept;
  for (const [name, value] of Object.entries(stored.values)) {
    switch (sourceOf(name, value, stored, present)) {
      case 'set':
        kept.set.set(name, value);
        break;
      case 'generated':
        kept.generated.set(name, value);
        break;
      case 'manifest':
        kept.defaults.set(name, value);
        break;
      case 'forced':
      case 'host':
        break;
    }
  }
  return kept;
}

function sourceOf(name: string, value: Value, stored: StoredValues, present: Present): ValueSource {
  if (FORCED_VARIABLES.has(name)) return 'forced';
  const recorded = own(stored.sources, name);
  if (recorded !== undefined) return recorded;
  if (FOLLOWS_HOST.has(name)) return 'host';
  if (own(present.host, name) !== undefined)
    return isHostsOwn(name, String(value), stored, present) ? 'host' : 'set';
  if (name === 'UUID') return 'generated';
  return own(stored.manifestDefaults ?? present.defaults, name) === String(value) ? 'manifest' : 'set';
}

function isHostsOwn(
  name: string,
  value: string,
  stored: StoredValues,
  { name: container, host }: Present,
): boolean {
  const given = own(host, name) ?? '';
  if (name === 'ALL_PROCESS_CAPABILITIES') {
    const [old, now] = [value.trimEnd(), given.trimEnd()];
    // Under an older or a newer kernel: one list begins with the other.
    return old !== '' && (now.startsWith(old) || old.startsWith(now));
  }
  if (name !== 'PIDFILE') return value === given;
  const storedRun = own(stored.values, 'RUN_DIRECTORY') ?? own(host, 'RUN_DIRECTORY') ?? '';
  return value === pidFileIn(String(storedRun), container);
}

function own<T>(record: Readonly<Record<string, T>> | undefined, name: string): T | undefined {
  return record !== undefined && Object.hasOwn(record, name) ? record[name] : undefined;
}
