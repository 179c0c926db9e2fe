/** The steps of each change of a container: pure, from what was staged and what is there. */
import { join } from 'node:path';
import type { ContainerName } from '../container/name.ts';
import type { HostFile } from '../host/ports.ts';
import type { Step } from '../transaction/plan.ts';

/** Where everything of one container stands on the host. */
export interface Places {
  readonly name: ContainerName;
  readonly link: string;
  readonly unit: string;
  readonly tmpfiles: string;
  /** A path for something of this container that is set aside. */
  readonly trash: (what: string) => string;
}

/** What a deployment puts on the host. */
export interface HostSide {
  readonly path: string;
  /** Contents of the unit and of the tmpfiles configuration; undefined where there is none. */
  readonly unit: string | undefined;
  readonly tmpfiles: string | undefined;
  readonly hostFiles: readonly HostFile[];
  /** Whether the image's tree is only there for its host files. */
  readonly dropRootfs: boolean;
}

/** What is on the host before a change. */
export interface Present {
  /** Whether the service runs. */
  readonly active: boolean;
  readonly hasUnit: boolean;
  readonly hasTmpfiles: boolean;
  /** Host files of the deployment in use that go. */
  readonly hostFilesToRemove: readonly string[];
}

export interface InstallOptions {
  readonly staged: string;
  /** What an earlier installation left in the container's places. */
  readonly stale: readonly string[];
  readonly start: boolean;
  readonly settleMs: number;
  readonly runtime: string | undefined;
}

export function planInstall(places: Places, next: HostSide, options: InstallOptions): Step[] {
  const { name } = places;
  return [
    ...setAside(places, options.stale),
    { kind: 'place-deployment', from: options.staged, to: next.path },
    ...createHostFiles(next),
    { kind: 'reload-when-undone' },
    ...(next.unit === undefined ? [] : [createFile(places.unit, next.unit)]),
    ...(next.tmpfiles === undefined ? [] : [createFile(places.tmpfiles, next.tmpfiles)]),
    { kind: 'switch-link', path: places.link, target: next.path },
    { kind: 'daemon-reload' },
    ...(next.tmpfiles === undefined ? [] : [{ kind: 'create-tmpfiles', path: places.tmpfiles } as const]),
    ...(next.unit === undefined ? [] : [{ kind: 'enable', unit: name } as const]),
    ...(next.unit === undefined || !options.start ? [] : start(name, false, options)),
  ];
}

function start(
  name: ContainerName,
  ours: boolean,
  { settleMs, runtime }: { settleMs: number; runtime: string | undefined },
): Step[] {
  return [...removeContainer(name, ours, runtime), { kind: 'start', unit: name, settleMs }];
}

function removeContainer(name: ContainerName, ours: boolean, runtime: string | undefined): Step[] {
  return runtime === undefined ? [] : [{ kind: 'remove-container', runtime, container: name, ours }];
}

/**
 * From one deployment to another: an update, whose new deployment is staged, or a rollback, whose is there.
 * The service is down from its stop to its start and no longer; what was stopped before stays so.
 */
export function planSwitch(
  places: Places,
  present: Present,
  next: HostSide,
  options: {
    readonly staged: string | undefined;
    readonly settleMs: number;
    readonly runtime: string | undefined;
  },
): Step[] {
  const { name } = places;
  const starts = present.active && next.unit !== undefined;
  return [
    ...(present.active ? [{ kind: 'stop', unit: name } as const] : []),
    { kind: 'reload-when-undone' },
    ...(present.hasTmpfiles ? [{ kind: 'remove-tmpfiles', path: places.tmpfiles } as const] : []),
    ...(options.staged === undefined
      ? []
      : [
          { kind: 'set-aside', path: next.path, to: places.trash('deployment') } as const,
          { kind: 'place-deployment', from: options.staged, to: next.path } as const,
        ]),
    ...removeHostFiles(present.hostFilesToRemove),
    ...createHostFiles(next),
    ...replaceOrRemove(places.unit, next.unit, present.hasUnit),
    ...replaceOrRemove(places.tmpfiles, next.tmpfiles, present.hasTmpfiles),
    { kind: 'switch-link', path: places.link, target: next.path },
    { kind: 'daemon-reload' },
    ...(next.tmpfiles === undefined ? [] : [{ kind: 'create-tmpfiles', path: places.tmpfiles } as const]),
    ...(next.unit !== undefined && !present.hasUnit ? [{ kind: 'enable', unit: name } as const] : []),
    ...(starts ? start(name, true, options) : []),
  ];
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
          { kind: 'disable-now', unit: name } as const,
          ...removeContainer(name, true, runtime),
          { kind: 'reload-when-undone' } as const,
          { kind: 'remove-file', path: places.unit } as const,
        ]
      : []),
    { kind: 'daemon-reload' },
    ...(present.hasTmpfiles
      ? [
          { kind: 'remove-tmpfiles', path: places.tmpfiles } as const,
          { kind: 'remove-file', path: places.tmpfiles } as const,
        ]
      : []),
    ...removeHostFiles(present.hostFilesToRemove),
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

function replaceOrRemove(path: string, content: string | undefined, isThere: boolean): Step[] {
  if (content !== undefined) return [{ kind: 'replace-file', path, mode: 0o644, content }];
  return isThere ? [{ kind: 'remove-file', path }] : [];
}

function createHostFiles(next: HostSide): Step[] {
  const created = next.hostFiles.map((file): Step => ({ kind: 'create-host-file', file }));
  // The tree goes last, and to where it can come back from: its files are what the host's are made of.
  if (next.dropRootfs)
    created.push({ kind: 'set-aside', path: join(next.path, 'rootfs'), to: `${next.path}.rootfs` });
  return created;
}

/** A host file waits beside its place, on its own file system, until the change has ended well. */
function removeHostFiles(paths: readonly string[]): Step[] {
  return paths.map((path): Step => {
    const slash = path.lastIndexOf('/');
    return { kind: 'set-aside', path, to: `${path.slice(0, slash)}/.${path.slice(slash + 1)}.atomic-old` };
  });
}
