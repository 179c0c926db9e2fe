/** The steps of each change of a container: pure, from what was staged and what is there. */
import { dirname } from 'node:path';
import type { ContainerName } from '../container/name.ts';
import type { HostFile } from '../host/ports.ts';
import type { HealthCheck } from '../image/health-check.ts';
import { besideOld } from '../transaction/beside.ts';
import type { PackageOnDisk, Step } from '../transaction/plan.ts';

/** Where everything of one container stands on the host. */
export interface Places {
  readonly name: ContainerName;
  readonly link: string;
  readonly unit: string;
  readonly tmpfiles: string;
  /** A path for something of this container that is set aside. */
  readonly trash: (what: string) => string;
  /** Where a deployment that did not come up is kept for a look. */
  readonly failed: string;
}

/** What a deployment puts on the host. */
export interface HostSide {
  readonly path: string;
  /** Contents of the unit and of the tmpfiles configuration; undefined where there is none. */
  readonly unit: string | undefined;
  readonly tmpfiles: string | undefined;
  readonly hostFiles: readonly HostFile[];
  /** What brings them instead. */
  readonly package: PackageSide | undefined;
}

/** A container's package, as a deployment keeps it. */
export interface PackageSide {
  readonly onDisk: PackageOnDisk;
  /** Those of its files where somebody's version stands, which stays. */
  readonly keep: readonly string[];
}

/** What is on the host before a change. */
export interface Present {
  /** Whether the service runs. */
  readonly active: boolean;
  readonly hasUnit: boolean;
  readonly hasTmpfiles: boolean;
  /** Host files of the deployment in use that go. */
  readonly hostFilesToRemove: readonly string[];
  /** The package of the deployment in use. */
  readonly package: PackageSide | undefined;
  /** Whether something is kept of an update that failed. */
  readonly hasFailed: boolean;
}

export interface InstallOptions {
  readonly staged: string;
  /** What an earlier installation left in the container's places. */
  readonly stale: readonly string[];
  readonly start: boolean;
  readonly settling: Settling;
}

/** What the service of a deployment has to do to count as started, and by what it is run. */
export interface Settling {
  readonly settleMs: number;
  readonly runtime: string | undefined;
  /** Without a command: none. */
  readonly check: HealthCheck | undefined;
}

/** What a change is to: for the report, should it fail. */
export interface Goal {
  readonly action: string;
  readonly image: string;
  readonly digest: string | undefined;
}

export function planInstall(places: Places, next: HostSide, options: InstallOptions): Step[] {
  const { name } = places;
  return [
    ...setAside(places, options.stale),
    { kind: 'place-deployment', from: options.staged, to: next.path },
    ...changeHostFiles([], undefined, next),
    { kind: 'reload-when-undone' },
    ...(next.unit === undefined ? [] : [createFile(places.unit, next.unit)]),
    ...(next.tmpfiles === undefined ? [] : [createFile(places.tmpfiles, next.tmpfiles)]),
    { kind: 'switch-link', path: places.link, target: next.path, aside: places.trash('link') },
    { kind: 'daemon-reload' },
    ...(next.tmpfiles === undefined ? [] : [{ kind: 'create-tmpfiles', path: places.tmpfiles } as const]),
    ...(next.unit === undefined ? [] : [enable(places)]),
    ...(next.unit === undefined || !options.start ? [] : start(name, false, options.settling)),
  ];
}

/** By the unit that stands there. */
export function enable(places: Places): Step {
  return { kind: 'enable', unit: places.name, folder: dirname(places.unit) };
}

/** `ours`: what the runtime has of that name goes first. */
export function start(name: ContainerName, ours: boolean, { settleMs, runtime, check }: Settling): Step[] {
  const health =
    runtime === undefined || check === undefined || check.command.length === 0
      ? {}
      : { health: { runtime, container: name, check } };
  return [...removeContainer(name, ours, runtime), { kind: 'start', unit: name, settleMs, ...health }];
}

function removeContainer(name: string, ours: boolean, runtime: string | undefined): Step[] {
  return runtime === undefined ? [] : [{ kind: 'remove-container', runtime, container: name, ours }];
}

export interface SwitchOptions {
  readonly staged: string | undefined;
  readonly settling: Settling;
  readonly goal: Goal;
  /** Whether its service is to be started even where none runs now. */
  readonly starts?: boolean;
}

/**
 * From one deployment to another: an update, whose new deployment is staged, or a rollback, whose is there.
 * The service is down from its stop to its start and no longer; what was stopped before stays so.
 */
export function planSwitch(places: Places, present: Present, next: HostSide, options: SwitchOptions): Step[] {
  const { name } = places;
  const { staged, settling, goal, starts: isToStart = false } = options;
  const starts = (present.active || isToStart) && next.unit !== undefined;
  return [
    // Undone last: what is kept for a look is there when the service that ran before runs again.
    ...(starts
      ? [{ kind: 'keep-failed', staged, to: places.failed, deployment: next.path, ...goal } as const]
      : []),
    ...dropFailed(places, present),
    ...stop(places, present, next, settling),
    { kind: 'reload-when-undone' },
    ...(present.hasTmpfiles ? [{ kind: 'remove-tmpfiles', path: places.tmpfiles } as const] : []),
    ...(staged === undefined
      ? []
      : [
          { kind: 'set-aside', path: next.path, to: places.trash('deployment') } as const,
          { kind: 'place-deployment', from: staged, to: next.path } as const,
        ]),
    ...changeHostFiles(present.hostFilesToRemove, present.package, next),
    ...changeFile(places.unit, next.unit, present.hasUnit),
    ...changeFile(places.tmpfiles, next.tmpfiles, present.hasTmpfiles),
    { kind: 'switch-link', path: places.link, target: next.path, aside: places.trash('link') },
    { kind: 'daemon-reload' },
    ...(next.tmpfiles === undefined ? [] : [{ kind: 'create-tmpfiles', path: places.tmpfiles } as const]),
    ...(next.unit !== undefined && !present.hasUnit ? [enable(places)] : []),
    ...(starts ? start(name, true, settling) : []),
  ];
}

/** A service that the next deployment has no more is disabled as well, while its unit is there to say how. */
function stop(places: Places, { active, hasUnit }: Present, next: HostSide, { runtime }: Settling): Step[] {
  const { name } = places;
  if (!hasUnit || next.unit !== undefined) return active ? [{ kind: 'stop', unit: name }] : [];
  return [
    { kind: 'disable-now', unit: name, folder: dirname(places.unit) },
    ...removeContainer(name, true, runtime),
  ];
}

/** What was kept of an earlier failure goes when a change ends well. */
function dropFailed(places: Places, present: Present): Step[] {
  return present.hasFailed ? [{ kind: 'set-aside', path: places.failed, to: places.trash('failed') }] : [];
}

export function planUninstall(
  places: Places,
  present: Present,
  deployments: readonly string[],
  runtime: string | undefined,
): Step[] {
  const { name } = places;
  return [
    ...(present.hasUnit
      ? [
          { kind: 'disable-now', unit: name, folder: dirname(places.unit) } as const,
          ...removeContainer(name, true, runtime),
          { kind: 'reload-when-undone' } as const,
          removeFile(places.unit),
        ]
      : []),
    { kind: 'daemon-reload' },
    ...(present.hasTmpfiles
      ? [{ kind: 'remove-tmpfiles', path: places.tmpfiles } as const, removeFile(places.tmpfiles)]
      : []),
    ...present.hostFilesToRemove.map(removeFile),
    ...changePackage(present.package, undefined),
    ...dropFailed(places, present),
    { kind: 'set-aside', path: places.link, to: places.trash('link') },
    ...setAside(places, deployments),
  ];
}

function setAside(places: Places, deployments: readonly string[]): Step[] {
  return deployments.map((path, i): Step => ({
    kind: 'set-aside',
    path,
    to: places.trash(`deployment-${i}`),
  }));
}

function createFile(path: string, content: string): Step {
  return { kind: 'create-file', path, mode: 0o644, content };
}

/** A file that waits beside its place, on its own file system, until the change has ended well. */
function removeFile(path: string): Step {
  return { kind: 'set-aside', path, to: besideOld(path) };
}

function changeFile(path: string, content: string | undefined, isThere: boolean): Step[] {
  if (content === undefined) return isThere ? [removeFile(path)] : [];
  if (!isThere) return [createFile(path, content)];
  return [{ kind: 'replace-file', path, mode: 0o644, content, aside: besideOld(path) }];
}

/** Host files of the old deployment go, those of the new one come; one that does both is one step. */
function changeHostFiles(
  old: readonly string[],
  oldPackage: PackageSide | undefined,
  next: HostSide,
): Step[] {
  const leaving = new Set(old);
  const coming = new Set(next.hostFiles.map(({ path }) => path));
  return [
    ...old.filter((path) => !coming.has(path)).map(removeFile),
    ...changePackage(oldPackage, next.package),
    ...next.hostFiles.map((file): Step => ({
      kind: 'create-host-file',
      file,
      ...(leaving.has(file.path) ? { aside: besideOld(file.path) } : {}),
    })),
  ];
}

/** One step, so that rpm goes from the one to the other by itself. */
export function changePackage(old: PackageSide | undefined, next: PackageSide | undefined): Step[] {
  const keep = [...new Set([...(old?.keep ?? []), ...(next?.keep ?? [])])];
  if (next !== undefined) {
    const former = old === undefined ? {} : { former: old.onDisk };
    return [{ kind: 'install-package', package: next.onDisk, ...former, keep }];
  }
  return old === undefined ? [] : [{ kind: 'remove-package', package: old.onDisk, keep }];
}

/** A bundle that is run once where it was staged. */
export interface OnceBundle {
  readonly path: string;
  /** What the runtime calls it. */
  readonly id: string;
  readonly tmpfiles: string | undefined;
  /** Whether they are those of an installed container, which needs them afterwards as well. */
  readonly keepTmpfiles: boolean;
}

/** What the bundle's service would need is there meanwhile. */
export function planRun({ path, id, tmpfiles, keepTmpfiles }: OnceBundle, runtime: string): Step[] {
  return [
    ...(tmpfiles === undefined ? [] : [{ kind: 'create-tmpfiles', path: tmpfiles } as const]),
    ...removeContainer(id, false, runtime),
    { kind: 'run-attached', runtime, container: id, folder: path },
    ...(tmpfiles === undefined || keepTmpfiles ? [] : [{ kind: 'remove-tmpfiles', path: tmpfiles } as const]),
  ];
}
