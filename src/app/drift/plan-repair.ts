/** The steps that put a container right: pure. What is as it should be is not touched. */
import type { HostFile } from '../../host/ports.ts';
import type { Step } from '../../transaction/plan.ts';
import { besideOld } from '../../transaction/beside.ts';
import {
  changePackage,
  enable,
  start,
  type PackageSide,
  type Places,
  type Settling,
} from '../plan-change.ts';

export interface Repair {
  /** The deployment, made again: where it is staged, and where it belongs. */
  readonly deployment: { readonly staged: string; readonly path: string } | undefined;
  /** Contents that are to stand on the host again. */
  readonly unit: string | undefined;
  readonly tmpfiles: string | undefined;
  readonly hostFiles: readonly RepairedFile[];
  readonly package: RepairedPackage | undefined;
  readonly enable: boolean;
  /** Whether it does not run and is to. */
  readonly start: boolean;
  /** Whether its service runs now. */
  readonly active: boolean;
  readonly settling: Settling;
}

export interface RepairedFile {
  readonly file: HostFile;
  /** Where what stands there now is kept; undefined when nothing does. */
  readonly keep: string | undefined;
}

export interface RepairedPackage {
  readonly side: PackageSide;
  /** Files that somebody has changed, and where they are kept. */
  readonly changed: readonly { readonly path: string; readonly keep: string }[];
}

/** A service whose deployment or unit changes is stopped for that, and started again when it ran. */
export function planRepair(places: Places, repair: Repair): Step[] {
  const { name } = places;
  const { deployment, unit, tmpfiles, hostFiles, active } = repair;
  const stops = active && (deployment !== undefined || unit !== undefined);
  return [
    ...(stops ? [{ kind: 'stop', unit: name } as const] : []),
    ...(unit === undefined ? [] : [{ kind: 'reload-when-undone' } as const]),
    ...(deployment === undefined
      ? []
      : [
          { kind: 'set-aside', path: deployment.path, to: places.trash('deployment') } as const,
          { kind: 'place-deployment', from: deployment.staged, to: deployment.path } as const,
        ]),
    ...hostFiles.flatMap(({ file, keep }): Step[] => [
      ...(keep === undefined ? [] : [{ kind: 'keep-aside', path: file.path, to: keep } as const]),
      { kind: 'create-host-file', file },
    ]),
    ...(repair.package === undefined
      ? []
      : [
          ...repair.package.changed.map(({ path, keep }): Step => ({ kind: 'keep-aside', path, to: keep })),
          ...changePackage(repair.package.side, repair.package.side),
        ]),
    ...(unit === undefined ? [] : [replaceFile(places.unit, unit), { kind: 'daemon-reload' } as const]),
    ...(tmpfiles === undefined
      ? []
      : [
          replaceFile(places.tmpfiles, tmpfiles),
          { kind: 'create-tmpfiles', path: places.tmpfiles } as const,
        ]),
    ...(repair.enable ? [enable(places)] : []),
    ...(stops || repair.start ? start(name, true, repair.settling) : []),
  ];
}

function replaceFile(path: string, content: string): Step {
  return { kind: 'replace-file', path, mode: 0o644, content, aside: besideOld(path) };
}
