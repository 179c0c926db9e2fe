/** What the drift of a container is told as: a part for each thing that was recorded, and what would put it right. */
import type { DamagedObject } from '../../store/verify-objects.ts';
import type { PackageSide } from '../plan-change.ts';

export type PartName =
  'change' | 'unit' | 'tmpfiles' | 'config' | 'host-files' | 'package' | 'rootfs' | 'enabled' | 'started';

export interface Part {
  readonly name: PartName;
  /** `not recorded`: there is nothing to compare with, or not all of it; what could be compared is as it should be. */
  readonly status: 'ok' | 'drift' | 'not recorded';
  /** One line. */
  readonly found: string;
  /** One line for each thing that differs; empty where `found` says all. */
  readonly details: readonly string[];
}

/** A host file that is not as it was made. */
export interface DriftedFile {
  readonly path: string;
  readonly state: 'missing' | 'changed';
}

/** What a repair has to see to. */
export interface Remedies {
  /** The file on the host, from the deployment's own copy. */
  readonly unit: boolean;
  readonly tmpfiles: boolean;
  /** The deployment itself, from its image. */
  readonly deployment: boolean;
  /** Objects of the store, from where the image came from. */
  readonly damaged: readonly DamagedObject[];
  readonly hostFiles: readonly DriftedFile[];
  /** The package, from the deployment's copy; what was changed of its files is kept. */
  readonly package: { readonly side: PackageSide; readonly changed: readonly string[] } | undefined;
  readonly enable: boolean;
  readonly start: boolean;
}

export interface Judgement {
  readonly part: Part;
  readonly remedies: Partial<Remedies>;
}

export function ok(name: PartName, found: string): Judgement {
  return { part: { name, status: 'ok', found, details: [] }, remedies: {} };
}

export function notRecorded(name: PartName, found: string): Judgement {
  return { part: { name, status: 'not recorded', found, details: [] }, remedies: {} };
}

export function drift(
  name: PartName,
  found: string,
  remedies: Partial<Remedies>,
  details: readonly string[] = [],
): Judgement {
  return { part: { name, status: 'drift', found, details }, remedies };
}

/** All that judgements ask for. */
export function joinRemedies(judgements: readonly Judgement[]): Remedies {
  const all = judgements.map(({ remedies }) => remedies);
  const any = (key: 'unit' | 'tmpfiles' | 'deployment' | 'enable' | 'start'): boolean =>
    all.some((remedies) => remedies[key] === true);
  return {
    unit: any('unit'),
    tmpfiles: any('tmpfiles'),
    deployment: any('deployment'),
    damaged: all.flatMap(({ damaged = [] }) => damaged),
    hostFiles: all.flatMap(({ hostFiles = [] }) => hostFiles),
    package: all.find((remedies) => remedies.package !== undefined)?.package,
    enable: any('enable'),
    start: any('start'),
  };
}
