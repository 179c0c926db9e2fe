import { isRecord, type JsonRecord } from '../image/json.ts';

export interface NormaliseContext {
  /** Capabilities that exist: of the running kernel, or all that are named. */
  readonly capabilities: readonly string[];
  /** Whether SELinux is on; runtimes refuse a label where it is not. */
  readonly selinux: boolean;
}

export interface NormalisedSpec {
  readonly spec: JsonRecord;
  /** One for each change; empty when the configuration was good as it was. */
  readonly warnings: readonly string[];
}

type Draft = Record<string, unknown>;

/**
 * Brings a runtime configuration of the years before runtime-spec 1.0 to what runc 1.1 and crun accept. What they read
 * over themselves stays: an unused `platform`, `devices: null`, empty labels and hooks.
 * @see runtime-spec ChangeLog: capabilities as an object (1.0.0-rc5), process.rlimits and .apparmorProfile (0.5, 1.0.0-rc1),
 * seccomp syscalls[].names (1.0.0-rc5)
 */
export function normaliseSpec(spec: JsonRecord, context: NormaliseContext): NormalisedSpec {
  const draft: Draft = structuredClone(spec);
  const process: Draft = isRecord(draft['process']) ? draft['process'] : {};
  const linux: Draft = isRecord(draft['linux']) ? draft['linux'] : {};
  const { ociVersion } = spec;
  const current = typeof ociVersion === 'string' && ociVersion.startsWith('1.');
  const warnings = [
    ...(current ? [] : [...raiseVersion(draft), ...moveToProcess(linux, process)]),
    ...closeTerminal(process),
    ...expandCapabilities(process),
    ...dropUnknownCapabilities(process, context.capabilities),
    ...dropLabels(linux, process, context.selinux),
    ...repairSeccomp(linux),
  ];
  return warnings.length === 0 ? { spec, warnings } : { spec: draft, warnings };
}

/** crun refuses every version but 1.x. */
function raiseVersion(draft: Draft): string[] {
  const version = JSON.stringify(draft['ociVersion']) ?? 'none';
  draft['ociVersion'] = '1.0.2';
  return [`The runtime configuration's ociVersion is raised from ${version} to "1.0.2".`];
}

/** Settings that were linux.* before 1.0; in a newer configuration they never had an effect, and get none now. */
function moveToProcess(linux: Draft, process: Draft): string[] {
  const moves = [
    ['capabilities', 'capabilities'],
    ['rlimits', 'rlimits'],
    ['apparmorProfile', 'apparmorProfile'],
    ['selinuxProcessLabel', 'selinuxLabel'],
  ] as const;
  return moves.flatMap(([old, current]) => {
    const value = linux[old];
    if (value === undefined || value === null || value === '' || process[current] !== undefined) return [];
    process[current] = value;
    delete linux[old];
    return [`The runtime configuration's linux.${old} is moved to process.${current}.`];
  });
}

/** A service has no terminal. */
function closeTerminal(process: Draft): string[] {
  if (process['terminal'] !== true) return [];
  process['terminal'] = false;
  return ["The runtime configuration's process.terminal is turned off: a service has none."];
}

/** A plain list meant these four sets; ambient ones came later. */
function expandCapabilities(process: Draft): string[] {
  const list = process['capabilities'];
  if (!Array.isArray(list)) return [];
  process['capabilities'] = {
    bounding: [...list],
    effective: [...list],
    inheritable: [...list],
    permitted: [...list],
  };
  return ["The runtime configuration's process.capabilities is a list, and is spelled out as sets."];
}

function dropUnknownCapabilities(process: Draft, known: readonly string[]): string[] {
  const sets = process['capabilities'];
  if (!isRecord(sets)) return [];
  const unknown = new Set<string>();
  const kept = Object.entries(sets).map(([name, list]) => {
    if (!Array.isArray(list)) return [name, list];
    const all: readonly unknown[] = list;
    return [
      name,
      all.filter((capability) => {
        if (typeof capability !== 'string' || known.includes(capability)) return true;
        unknown.add(capability);
        return false;
      }),
    ];
  });
  if (unknown.size > 0) process['capabilities'] = Object.fromEntries(kept);
  return [...unknown].map(
    (name) => `The capability ${name} does not exist here; it is dropped from the runtime configuration.`,
  );
}

function dropLabels(linux: Draft, process: Draft, selinux: boolean): string[] {
  if (selinux) return [];
  const places: readonly (readonly [Draft, string, string])[] = [
    [process, 'selinuxLabel', 'process'],
    [linux, 'mountLabel', 'linux'],
  ];
  return places.flatMap(([part, key, where]) => {
    if (typeof part[key] !== 'string' || part[key] === '') return [];
    delete part[key];
    return [`The runtime configuration's ${where}.${key} is dropped: SELinux is not on.`];
  });
}

/** A filter that filters nothing goes: crun refuses it. Rules for one syscall each get their list of names. */
function repairSeccomp(linux: Draft): string[] {
  const seccomp = linux['seccomp'];
  if (!isRecord(seccomp)) return [];
  const rules: unknown[] = Array.isArray(seccomp['syscalls']) ? seccomp['syscalls'] : [];
  const action = seccomp['defaultAction'] ?? '';
  if (action === '' && rules.length === 0) {
    delete linux['seccomp'];
    return ["The runtime configuration's empty linux.seccomp is dropped."];
  }
  const isOld = (rule: unknown): rule is JsonRecord =>
    isRecord(rule) && typeof rule['name'] === 'string' && rule['names'] === undefined;
  if (!rules.some(isOld)) return [];
  const syscalls = rules.map((rule) => {
    if (!isOld(rule)) return rule;
    const { name, ...rest } = rule;
    return { names: [name], ...rest };
  });
  linux['seccomp'] = { ...seccomp, syscalls };
  return ["The runtime configuration's linux.seccomp.syscalls have their name turned into names."];
}
