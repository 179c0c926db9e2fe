import { AtomicError } from '../errors.ts';
import type { ImageFacts } from '../container/image-facts.ts';
import { resolveUser, type ResolvedUser } from '../container/passwd.ts';
import type { ImageConfig } from '../image/config.ts';
import type { JsonRecord } from '../image/json.ts';
import { listMounts, WRITABLE_DIRECTORIES, type Mount } from './generated-mounts.ts';
import { normaliseVolume, placeVolumes, type Volume } from './volumes.ts';

/** The parts that depend on the image; the rest is the same for all. */
export type RuntimeSpec = {
  readonly process: {
    readonly user: ResolvedUser;
    readonly args: readonly string[];
    readonly env: readonly string[];
    readonly cwd: string;
    readonly capabilities: Readonly<Record<string, readonly string[]>>;
  } & JsonRecord;
  readonly mounts: readonly Mount[];
} & JsonRecord;

export interface GeneratedSpec {
  readonly spec: RuntimeSpec;
  readonly volumes: readonly Volume[];
  readonly warnings: readonly string[];
}

export interface SpecInput {
  readonly config: ImageConfig;
  readonly facts: ImageFacts;
  readonly name: string;
  /** STATE_DIRECTORY's value: volumes live in a folder of the container's name below it. */
  readonly stateDirectory: string;
  /** Where the image's root file system lies on the host. */
  readonly rootfs: string;
  readonly sourceMissing: (path: string) => boolean;
}

const PATH = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** What podman gives a container: enough for one that starts as root, owns its folders and then drops to a user. */
const CAPABILITIES: readonly string[] = [
  'CAP_CHOWN',
  'CAP_DAC_OVERRIDE',
  'CAP_FOWNER',
  'CAP_FSETID',
  'CAP_KILL',
  'CAP_NET_BIND_SERVICE',
  'CAP_SETFCAP',
  'CAP_SETGID',
  'CAP_SETPCAP',
  'CAP_SETUID',
  'CAP_SYS_CHROOT',
];

/** The paths of an image that `generateSpec` must know of: hand them to `readImageFacts`. */
export function factPaths(config: ImageConfig): readonly string[] {
  return [...new Set([...WRITABLE_DIRECTORIES, ...config.volumes.map(normaliseVolume)])];
}

/**
 * The runtime configuration of an image without /exports/config.json: its own Entrypoint, Cmd, Env, User, WorkingDir and
 * Volumes on a read-only root, with the writable places of `WRITABLE_DIRECTORIES`.
 *
 * It shares the host's network, as atomic's default did: a system container is a service of the host. Its UTS namespace is
 * new but unnamed, so that the host's name stays and resolves.
 * @throws AtomicError `config-invalid` for an image that names no command, or a user that it does not have
 * @see runtime-spec config.md, config-linux.md; image-spec conversion.md
 */
export function generateSpec(input: SpecInput): GeneratedSpec {
  const { config, facts } = input;
  const args = [...config.entrypoint, ...config.cmd];
  if (args.length === 0) {
    throw new AtomicError(
      'config-invalid',
      'The image names no command to run: it has neither Entrypoint nor Cmd',
      {
        hint: 'Give the image a CMD, or an /exports/config.json.template.',
      },
    );
  }
  const user = resolveUser(config.user, facts.accounts);
  const { env, warnings } = environment(config.env);
  const places = { state: `${input.stateDirectory}/${input.name}`, rootfs: input.rootfs };
  const placed = placeVolumes(config.volumes, places, user, facts.directories);
  return {
    spec: {
      ociVersion: '1.0.2',
      process: {
        terminal: false,
        user,
        args,
        env,
        cwd: normaliseVolume(config.workingDir),
        capabilities: capabilitiesFor(user),
        // No rlimits: the unit's hold, so that LimitNOFILE= in a drop-in has its effect.
        noNewPrivileges: false,
      },
      root: { path: 'rootfs', readonly: true },
      mounts: listMounts(facts, placed.volumes, input.sourceMissing),
      linux: LINUX,
    },
    volumes: placed.volumes,
    warnings: [...warnings, ...placed.warnings],
  };
}

/**
 * Root has the whole set, none of it ambient: what it executes as another user starts with nothing. Another user has only
 * the right to low ports: Docker gives that to everyone by a setting of the container's own network, which there is not.
 */
function capabilitiesFor(user: ResolvedUser): Record<string, readonly string[]> {
  if (user.uid === 0) {
    return { bounding: CAPABILITIES, effective: CAPABILITIES, permitted: CAPABILITIES };
  }
  const ports = ['CAP_NET_BIND_SERVICE'];
  return { bounding: CAPABILITIES, effective: ports, permitted: ports, inheritable: ports, ambient: ports };
}

function environment(own: readonly string[]): { env: string[]; warnings: string[] } {
  const isVariable = (entry: string): boolean => /^[^=\0]+=[^\0]*$/.test(entry);
  const env = own.filter(isVariable);
  const names = new Set(env.map((entry) => entry.slice(0, entry.indexOf('='))));
  const missing = [PATH, 'TERM=xterm'].filter((entry) => !names.has(entry.slice(0, entry.indexOf('='))));
  const dropped = own.filter((entry) => !isVariable(entry));
  return {
    env: [...missing, ...env],
    warnings: dropped.map(
      (entry) => `The image's Env entry ${JSON.stringify(entry)} is left out: it has no NAME=.`,
    ),
  };
}

const LINUX = {
  resources: { devices: [{ allow: false, access: 'rwm' }] },
  namespaces: [{ type: 'pid' }, { type: 'ipc' }, { type: 'uts' }, { type: 'mount' }],
  maskedPaths: [
    '/proc/acpi',
    '/proc/asound',
    '/proc/kcore',
    '/proc/keys',
    '/proc/latency_stats',
    '/proc/timer_list',
    '/proc/timer_stats',
    '/proc/sched_debug',
    '/proc/scsi',
    '/sys/firmware',
  ],
  readonlyPaths: ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'],
};
