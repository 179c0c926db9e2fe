import type { AtomicConf } from '../config/atomic-conf.ts';
import type { Report } from '../events.ts';
import type { Exec, HostFiles, HostIdentity, HostPaths, Locks, Selinux } from '../host/ports.ts';
import type { Templates } from '../render/own-template.ts';
import type { ImageStore } from '../store/image-store.ts';
import type { Systemd } from '../service/systemd.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

/** What a use case works with; wired once, in cli/. */
export interface App {
  readonly exec: Exec;
  readonly files: HostFiles;
  readonly selinux: Selinux;
  readonly locks: Locks;
  readonly identity: HostIdentity;
  readonly paths: HostPaths;
  readonly conf: AtomicConf;
  readonly environment: Environment;
  readonly store: ImageStore;
  readonly services: Systemd;
  readonly report: Report;
  /** Aborted by SIGINT and SIGTERM. */
  readonly signal: AbortSignal;
  /** Our own executable, as units name it. */
  readonly program: string;
  readonly userAgent: string;
  /** How long another invocation's lock is waited for. */
  readonly lockWaitMs: number;
  readonly loadTemplates: () => Promise<Templates>;
  readonly readKernelCapabilities: () => Promise<readonly string[]>;
}
