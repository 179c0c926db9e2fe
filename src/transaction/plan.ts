/**
 * What a change of the host is made of: plain data, pure to compute, printed by `--dry-run`, written to the journal
 * before the first step. Each kind's way forward and way back stand side by side in steps.ts.
 */
import type { HostFile } from '../host/ports.ts';
import type { HealthGate } from './context.ts';

export type Step =
  /**
   * Nothing on the way forward. On the way back, when a service did not come up, what there is to look at is kept at
   * `to`: the tree that was `staged` (undefined when the deployment is one that stays where it is), and a report.
   */
  | {
      readonly kind: 'keep-failed';
      readonly staged: string | undefined;
      readonly to: string;
      readonly action: string;
      readonly deployment: string;
      readonly image: string;
      readonly digest: string | undefined;
    }
  /** A staged deployment takes its place. */
  | { readonly kind: 'place-deployment'; readonly from: string; readonly to: string }
  /** Something leaves its place, and is deleted once the transaction has ended well. Both paths on one file system. */
  | { readonly kind: 'set-aside'; readonly path: string; readonly to: string }
  /** Somebody's version of something leaves its place, and stays. Both paths in one folder. */
  | { readonly kind: 'keep-aside'; readonly path: string; readonly to: string }
  /** A file where none may be. */
  | { readonly kind: 'create-file'; readonly path: string; readonly mode: number; readonly content: string }
  /** What was there keeps its inode, as `aside` on the same file system, until the transaction has ended well. */
  | {
      readonly kind: 'replace-file';
      readonly path: string;
      readonly mode: number;
      readonly content: string;
      readonly aside: string;
    }
  /** A file, link or folder that an image brings to the host, where nothing may be but what is to be set aside. */
  | { readonly kind: 'create-host-file'; readonly file: HostFile; readonly aside?: string }
  /**
   * A package is installed, in place of the `former` one of its name. Files at `keep` are somebody's and stay as they
   * are; the package's other files are new on the host, or the former one's.
   */
  | {
      readonly kind: 'install-package';
      readonly package: PackageOnDisk;
      readonly former?: PackageOnDisk;
      readonly keep: readonly string[];
    }
  /** It can come back from its file. */
  | { readonly kind: 'remove-package'; readonly package: PackageOnDisk; readonly keep: readonly string[] }
  | {
      readonly kind: 'switch-link';
      readonly path: string;
      readonly target: string;
      readonly aside: string;
    }
  | { readonly kind: 'daemon-reload' }
  /** Nothing on the way forward; on the way back systemd reads its units again, once all files are as they were. */
  | { readonly kind: 'reload-when-undone' }
  | { readonly kind: 'create-tmpfiles'; readonly path: string }
  | { readonly kind: 'remove-tmpfiles'; readonly path: string }
  /** `folder` is where units are, and what enables them. */
  | { readonly kind: 'enable'; readonly unit: string; readonly folder: string }
  | { readonly kind: 'disable-now'; readonly unit: string; readonly folder: string }
  /**
   * The runtime's container of a service that is down goes. It outlives a runtime that was killed, in a cgroup of its
   * own, and a new one of that name could not start beside it. Not `ours`: before a first start, whatever has that name
   * already stays, and only what the start left behind goes on the way back.
   */
  | {
      readonly kind: 'remove-container';
      readonly runtime: string;
      readonly container: string;
      readonly ours: boolean;
    }
  /** The runtime runs the bundle in `folder` on our terminal. */
  | {
      readonly kind: 'run-attached';
      readonly runtime: string;
      readonly container: string;
      readonly folder: string;
    }
  | {
      readonly kind: 'start';
      readonly unit: string;
      readonly settleMs: number;
      readonly health?: HealthGate;
    }
  | { readonly kind: 'stop'; readonly unit: string }
  /** A ref of the image store, `path` its file in the repo, which waits at `aside`. Its objects stay. */
  | { readonly kind: 'remove-ref'; readonly ref: string; readonly path: string; readonly aside: string }
  /** A ref of the image store, `path` its file in the repo, names `commit`; what it was waits at `aside`. */
  | {
      readonly kind: 'set-ref';
      readonly ref: string;
      readonly path: string;
      readonly commit: string;
      readonly aside: string;
    }
  /** Once the transaction has ended well, objects go that no ref leads to. */
  | { readonly kind: 'collect-garbage'; readonly repository: string };

export interface PackageOnDisk {
  readonly name: string;
  readonly file: string;
  /** What it brings, but for folders. */
  readonly paths: readonly string[];
}

export interface Plan {
  /** `install`, `prune of the image store`: how a message about the journal calls it. */
  readonly action: string;
  /** Undefined for a change of the image store. */
  readonly container: string | undefined;
  readonly steps: readonly Step[];
}

/** `update of spc` */
export function nameChange({ action, container }: Plan): string {
  return container === undefined ? action : `${action} of ${container}`;
}

/** Kinds that a plan does nothing for on its way forward, and nobody wants to read of. */
const SILENT: ReadonlySet<Step['kind']> = new Set(['reload-when-undone', 'keep-failed']);

/** The steps of a plan as `--dry-run` prints them. */
export function describeSteps(steps: readonly Step[]): string[] {
  return steps.filter(({ kind }) => !SILENT.has(kind)).map(describeStep);
}

/** A step in words. */
export function describeStep(step: Step): string {
  switch (step.kind) {
    case 'keep-failed':
      return `keep what did not start in ${step.to} (only if the change has to be undone)`;
    case 'run-attached':
      return `${step.runtime} run ${step.container}`;
    case 'place-deployment':
      return `place the deployment ${step.to}`;
    case 'set-aside':
      return `remove ${step.path}`;
    case 'keep-aside':
      return `keep ${step.path} as ${step.to}`;
    case 'create-file':
    case 'replace-file':
      return `write ${step.path}`;
    case 'create-host-file':
      return `create ${step.file.path}`;
    case 'switch-link':
      return `point ${step.path} at ${step.target}`;
    case 'remove-container':
      return `${step.runtime} delete --force ${step.container}${step.ours ? '' : ' (only if the change has to be undone)'}`;
    case 'reload-when-undone':
      return 'systemctl daemon-reload (only if the change has to be undone)';
    case 'set-ref':
      return `ref ${step.ref} names ${step.commit}`;
    case 'collect-garbage':
      return `ostree --repo=${step.repository} prune --refs-only`;
    case 'daemon-reload':
    case 'create-tmpfiles':
    case 'remove-tmpfiles':
    case 'enable':
    case 'disable-now':
    case 'start':
    case 'stop':
    case 'remove-ref':
    case 'install-package':
    case 'remove-package':
      return announceStep(step) ?? step.kind;
  }
}

/** The line that people see when a step is taken, in atomic's words; undefined for those it did in silence. */
export function announceStep(step: Step): string | undefined {
  switch (step.kind) {
    case 'create-host-file':
      return `Created file ${step.file.path}`;
    case 'keep-aside':
      return `Kept ${step.path} as ${step.to}`;
    case 'daemon-reload':
      return 'systemctl daemon-reload';
    case 'create-tmpfiles':
      return `systemd-tmpfiles --create ${step.path}`;
    case 'remove-tmpfiles':
      return `systemd-tmpfiles --remove ${step.path}`;
    case 'enable':
      return `systemctl enable ${step.unit}`;
    case 'disable-now':
      return `systemctl disable --now ${step.unit}`;
    case 'start':
      return `systemctl start ${step.unit}`;
    case 'stop':
      return `systemctl stop ${step.unit}`;
    case 'remove-ref':
      return `Deleting ${step.ref}`;
    case 'install-package':
      return `rpm --upgrade ${step.package.file}`;
    case 'remove-package':
      return `rpm --erase ${step.package.name}`;
    case 'keep-failed':
    case 'run-attached':
    case 'place-deployment':
    case 'set-aside':
    case 'create-file':
    case 'replace-file':
    case 'switch-link':
    case 'remove-container':
    case 'reload-when-undone':
    case 'set-ref':
    case 'collect-garbage':
      return undefined;
  }
}
