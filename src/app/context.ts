import type { AtomicConf } from '../config/atomic-conf.ts';
import type { Report } from '../events.ts';
import type { Exec, HostFiles, HostIdentity, HostPaths, Locks, Selinux } from '../host/ports.ts';
import type { Templates } from '../render/own-template.ts';
import type { ImageStore } from '../store/image-store.ts';
import type { Systemd } from '../service/systemd.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * What moves images between places and looks at them there: as any user, and where this host has no store, no systemd
 * and no folder to write in.
 */
export interface TransferApp {
  /** For credential helpers, and for ostree. */
  readonly exec: Exec;
  readonly files: Pick<HostFiles, 'freeBytes'>;
  /** Of blobs that are being written, in the folder they go to. */
  readonly locks: Locks;
  readonly identity: HostIdentity;
  readonly environment: Environment;
  readonly report: Report;
  /** Aborted by SIGINT and SIGTERM. */
  readonly signal: AbortSignal;
  readonly userAgent: string;
  /** Where the repo of the local storage is; nobody looks for it before it is asked for. */
  readonly findRepository: () => Promise<string>;
  /** All of the program, for the local storage that `ostree:NAME` means. */
  readonly openLocal: () => Promise<App>;
}

/** What logs in to registries: it changes files of the user, as any user. */
export interface LoginApp extends TransferApp {
  readonly files: Pick<HostFiles, 'exists' | 'freeBytes' | 'makeDirectory' | 'realpath' | 'writeFileAtomic'>;
  /** How long another invocation's lock is waited for. */
  readonly lockWaitMs: number;
}

/** What a use case works with; wired once, in cli/. */
export interface App extends TransferApp {
  readonly files: HostFiles;
  readonly selinux: Selinux;
  readonly paths: HostPaths;
  readonly conf: AtomicConf;
  readonly store: ImageStore;
  readonly services: Systemd;
  /** Our own executable, as units name it. */
  readonly program: string;
  /** How long another invocation's lock is waited for. */
  readonly lockWaitMs: number;
  readonly loadTemplates: () => Promise<Templates>;
  readonly readKernelCapabilities: () => Promise<readonly string[]>;
}
