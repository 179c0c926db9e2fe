import type { Report } from '../events.ts';
import type { HostFiles } from '../host/ports.ts';
import type { HealthCheck } from '../image/health-check.ts';
import type { Failure } from './failure.ts';

/** How a start went: see service/settle.ts. */
export type StartVerdict =
  { readonly ok: true } | { readonly ok: false; readonly reason: string; readonly journal: string };

/** What a service has to do to count as started. */
export interface Settling {
  /** How long it has to stay up. */
  readonly settleMs: number;
  /** That it has to pass as well. */
  readonly health?: HealthGate;
  readonly signal?: AbortSignal;
}

/** A check, and who runs it. */
export interface HealthGate {
  readonly runtime: string;
  readonly container: string;
  readonly check: HealthCheck;
}

/** What a transaction asks of systemd; units are named without their suffix. */
export interface ServiceManager {
  daemonReload(): Promise<void>;
  enable(unit: string): Promise<void>;
  disable(unit: string): Promise<void>;
  disableNow(unit: string): Promise<void>;
  /** Aborted, it leaves the unit on its way up. */
  start(unit: string, signal?: AbortSignal): Promise<void>;
  stop(unit: string): Promise<void>;
  /** Forgets a failure, so that the unit can be started at once and is not listed as failed. */
  resetFailed(unit: string): Promise<void>;
  state(unit: string): Promise<{ readonly active: boolean; readonly enabled: boolean }>;
  /** Watches a unit that was started until it has settled, or has failed. */
  waitSettled(unit: string, settling: Settling): Promise<StartVerdict>;
  tmpfilesCreate(path: string): Promise<void>;
  tmpfilesRemove(path: string): Promise<void>;
}

/** What a transaction asks of OCI runtimes, which are named by their path. */
export interface RuntimeContainers {
  exists(runtime: string, container: string): Promise<boolean>;
  /** Ends it, and removes what the runtime knows of it; one that is not there is no error. */
  remove(runtime: string, container: string): Promise<void>;
  /** Runs the bundle in a folder on our terminal, to its end, whatever that is. */
  run(runtime: string, container: string, folder: string): Promise<void>;
}

/** What a transaction asks of the host's rpm; a package is known by its name. */
export interface PackageManager {
  /** Which package of that name is installed; undefined for none. */
  installed(name: string): Promise<string | undefined>;
  /** Puts the package in a file there, in place of any of its name; one that is there is made whole. */
  upgrade(file: string): Promise<void>;
  erase(name: string): Promise<void>;
  /** Paths of an installed package that are missing, or not as it brought them in whatever respect. */
  listAltered(name: string): Promise<readonly string[]>;
  /** The folder of the database. */
  database(): Promise<string>;
}

/** What a transaction asks of the image store. */
export interface StoreKeeper {
  /** Removes what no ref of a repo leads to. */
  collectGarbage(repository: string): Promise<void>;
}

/** What a step may touch. */
export interface StepContext {
  readonly files: HostFiles;
  readonly services: ServiceManager;
  readonly containers: RuntimeContainers;
  readonly store: StoreKeeper;
  readonly packages: PackageManager;
  readonly report: Report;
  /** Ends the way forward between two steps and in a wait; the way back is not interrupted. */
  readonly signal: AbortSignal;
  /** Why all is being undone, when it is because a service did not come up. */
  readonly failure?: Failure | undefined;
}
