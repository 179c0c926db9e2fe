/**
 * What the rest of the program may ask of the host: types only. The implementations stand beside this file
 * and are wired in cli/main.ts.
 */
import type { Duplex, Readable } from 'node:stream';
import type { Cap } from '../limits.ts';

export interface RunOptions {
  readonly input?: string | Uint8Array;
  /** Streamed to the program's standard input instead of `input`; its error kills the program and is rethrown. */
  readonly inputStream?: Readable;
  readonly cwd?: string;
  /** Added to the environment; `undefined` removes a variable. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Exit statuses that are an answer and not a failure; [0] when not given. */
  readonly accept?: readonly number[];
  readonly timeoutMs?: number;
  /** How much of the standard output is kept; CHILD_OUTPUT_BYTES when not given. */
  readonly outputBytes?: number;
  readonly signal?: AbortSignal;
  /**
   * Whether it is killed when we die, where setpriv(1) can see to that: for a program that only waits for what another
   * one does, and would hold our locks meanwhile. Costs about a millisecond. Not together with `accept`.
   */
  readonly endWithUs?: boolean;
}

export interface AttachOptions extends Pick<RunOptions, 'cwd' | 'env'> {
  /** A text that it can read as /proc/self/fd/3, and that nobody else sees: it is in a file without a name. */
  readonly document?: string;
  /** Whether its standard streams are nobody's instead: for one that leaves a process behind, which would keep ours. */
  readonly silent?: boolean;
}

export interface RunResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs other programs: no shell, arguments as a list, output capped at CHILD_OUTPUT_BYTES. */
export interface Exec {
  /**
   * Runs a program to its end.
   * @throws AtomicError `tool-missing` when there is no such program, `command-failed` on an exit status that is not accepted.
   */
  run(program: string, args: readonly string[], options?: RunOptions): Promise<RunResult>;
  /** Runs a program on our own terminal and resolves with its exit status (128+n for a signal). */
  attach(program: string, args: readonly string[], options?: AttachOptions): Promise<number>;
  /**
   * A program as a stream: what is written goes to its standard input, what is read is its standard output.
   * Errors with `tool-missing` or `command-failed`; destroying it ends the program.
   */
  filter(program: string, args: readonly string[]): Duplex;
  /** The absolute path of a program, looked up in PATH and the sbin folders; undefined when there is none. */
  find(program: string): Promise<string | undefined>;
}

/** A lock that dies with our process and those that it has started. */
export interface HeldLock {
  release(): Promise<void>;
}

export interface LockRequest {
  readonly path: string;
  readonly mode: 'shared' | 'exclusive';
  /** What it is taken for, behind "Cannot": `change the container spc`. */
  readonly purpose: string;
  /** How long it is waited for; 0: not at all; Infinity: until it is free. */
  readonly waitMs: number;
  /** How long it is waited for, on top of that, where who took it has died and its children are still at work; default: 0. */
  readonly orphanWaitMs?: number;
  /** Ends the wait. */
  readonly signal?: AbortSignal;
  /** Whether it is ours alone, and for a while: programs that we run do not keep it, and its file goes with its release. */
  readonly passing?: boolean;
}

export interface Locks {
  /**
   * Takes a lock file. Programs that are run while it is held keep it, should we die before them; not a passing one.
   * @throws AtomicError `busy`, which tells whose it is, when it cannot be had in time; the signal's reason
   */
  acquire(request: LockRequest): Promise<HeldLock>;
}

/** The labels of SELinux; where it is off, nothing is done and everything agrees. */
export interface Selinux {
  readonly isOn: boolean;
  /** Looks for the programs of the others, before anything is changed. @throws AtomicError `tool-missing` */
  requireTools(): Promise<void>;
  /**
   * Gives files the labels that the host's policy has for their paths.
   * @throws AtomicError `tool-missing` (restorecon), `command-failed`
   */
  restoreLabels(paths: readonly string[]): Promise<void>;
  /** Whether a regular file has the label already that the policy has for `place`: then a hard link will do there. */
  hasLabelFor(file: string, place: string): Promise<boolean>;
  /**
   * The label of files that every container may read; undefined where SELinux is off.
   * @throws AtomicError `host-file` where the policy names none
   */
  sharedLabel(): Promise<string | undefined>;
}

/** What is true of the machine and of us; cheap to know. */
export interface HostIdentity {
  readonly uid: number;
  readonly gid: number;
  /** GOARCH spelling: amd64, arm64… */
  readonly architecture: string;
  /** GOARM-like variant (v7, v8) where it matters. */
  readonly variant: string | undefined;
}

/** A file, link or folder that an image brings to the host. */
export interface HostFile {
  readonly path: string;
  readonly kind: 'file' | 'symlink' | 'directory';
  /** Permission bits; a symlink has none. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Where a file's bytes come from, unless `content` gives them. */
  readonly source?: string;
  readonly content?: string;
  /** A symlink's. */
  readonly target?: string;
  /** Whether a hard link to `source` will do, where both are on one file system. */
  readonly link: boolean;
}

/** A mount, as the kernel tells of it. */
export interface MountPoint {
  /** Absolute path that it stands on. */
  readonly place: string;
  /** `MAJOR:MINOR` of the file system: a bind mount has its source's. */
  readonly device: string;
  /** ext4, overlay… */
  readonly type: string;
  /** The device, or whatever mount(8) was told for one. */
  readonly source: string;
}

/** A file that only grows; a line that was appended is on the disk. */
export interface JournalFile {
  append(line: string): Promise<void>;
  close(): Promise<void>;
}

export interface WriteOptions {
  /** Whether the bytes are on the disk when the call returns; true when not given. */
  readonly fsync?: boolean;
}

/**
 * Files of the host. Errors are AtomicErrors that name the path: `disk-full`, `not-root` (permission denied),
 * `file-exists`, `host-file` (anything else).
 */
export interface HostFiles {
  /** Puts a whole file at a path in one step: readers see the old one or the new one. */
  writeFileAtomic(
    path: string,
    content: string | Uint8Array,
    mode: number,
    options?: WriteOptions,
  ): Promise<void>;
  /** Writes a new file; its bytes are on the disk when the call returns, its name is not. @throws AtomicError `file-exists` */
  createFile(path: string, content: string | Uint8Array, mode: number): Promise<void>;
  /** @throws AtomicError `file-exists` */
  createSymlink(path: string, target: string): Promise<void>;
  /** Gives what stands at `from`, a symbolic link included, a second name. @throws AtomicError `file-exists` */
  link(from: string, to: string): Promise<void>;
  /** Gives a file the label that the policy has for its path, where SELinux is on: it was made under another name. */
  label(path: string): Promise<void>;
  /** Whether two paths are names of one file; links are not followed, and nothing is not the same as nothing. */
  isSame(a: string, b: string): Promise<boolean>;
  /** A file's bytes, or undefined when there is none. @throws AtomicError `limit-exceeded` above the cap. */
  readIfExists(path: string, cap: Cap): Promise<Buffer | undefined>;
  /** Whether anything stands at a path, a broken link included. */
  exists(path: string): Promise<boolean>;
  /** Whether any process of this host has the file open. */
  isOpen(path: string): Promise<boolean>;
  /** The same, links followed, for a caller that cannot wait. */
  standsNow(path: string): boolean;
  /** Whether a folder stands at a path, or a link to one. */
  isDirectory(path: string): Promise<boolean>;
  /** Names in a folder, sorted; empty when there is none. */
  list(path: string): Promise<string[]>;
  /** Where a symbolic link points; undefined when the path is none. */
  readLink(path: string): Promise<string | undefined>;
  realpath(path: string): Promise<string>;
  /**
   * What `info` keeps of an installed file: the sha256 of its bytes (of the file that a link points to), "0" for
   * folders and for links that lead nowhere, undefined when nothing is there.
   */
  checksum(path: string): Promise<string | undefined>;
  /** Creates a folder and those above it; false when it was there. `mode` is for new folders. */
  makeDirectory(path: string, mode?: number): Promise<boolean>;
  rename(from: string, to: string): Promise<void>;
  /**
   * Puts an image's file, link or folder where nothing is, whole or not at all, with the folders above it (root's,
   * 0755); all of it is on the disk when the call returns. `temporary` is beside the path. A file or link is made there
   * first and keeps that name as a second one, which is the caller's to remove; a folder is not.
   * @throws AtomicError `file-exists`; `host-file` when a folder above it is a link that neither root nor we own.
   */
  install(file: HostFile, temporary: string): Promise<void>;
  /**
   * What stands at a path, told as an image's file; the path itself is its source. Undefined when nothing does.
   * @throws AtomicError `host-file` for a device, a pipe or a socket
   */
  describe(path: string): Promise<HostFile | undefined>;
  /**
   * Makes what `install` would make at another path, below a folder of ours where nobody looks yet: no label is given,
   * nothing is synced. @throws AtomicError `file-exists`
   */
  reproduce(file: HostFile, path: string): Promise<void>;
  /** The folders above a path that are not there, outermost first. */
  missingParents(path: string): Promise<string[]>;
  /** @throws AtomicError `file-exists` */
  createJournal(path: string): Promise<JournalFile>;
  /** Removes a file, a link or an empty folder; false when nothing was there, or the folder was not empty. */
  remove(path: string): Promise<boolean>;
  /**
   * Removes a tree without following links or entering another file system; no error when it is absent.
   * @throws AtomicError `busy` when something is mounted in it.
   */
  removeTree(path: string): Promise<void>;
  /** Makes a folder's entries durable: after a rename, before the next step is told to be done. */
  syncDirectory(path: string): Promise<void>;
  /** Makes everything on the path's file system durable. */
  syncFilesystem(path: string): Promise<void>;
  /** Bytes that we may still write where a path stands or would stand. */
  freeBytes(path: string): Promise<number>;
  /** Whether two paths stand, or would stand, on one file system. */
  sameFilesystem(a: string, b: string): Promise<boolean>;
  /** The number that a file has in its file system, for as long as it is there or in use; links are not followed. */
  inode(path: string): Promise<string | undefined>;
  /** What is mounted in our mount namespace. Of several on one place, the last one is what is seen there. */
  mounts(): Promise<MountPoint[]>;
}

/** Where everything stands on this host. Absolute paths without a slash at their end. */
export interface HostPaths {
  /** Deployments and the links to them. */
  readonly checkouts: string;
  /** The ostree repo; it may not exist yet. */
  readonly repository: string;
  readonly units: string;
  readonly tmpfiles: string;
  /** atomic.conf. */
  readonly conf: string;
  /** Containers that the operating system brings along. */
  readonly preinstalled: string;
  /** The values of RUN_DIRECTORY, STATE_DIRECTORY and CONF_DIRECTORY. */
  readonly runDirectory: string;
  readonly stateDirectory: string;
  readonly confDirectory: string;
}

/** What `doctor` tells of a host; plain data. Sizes are bytes. */
export interface HostFacts {
  readonly system: {
    readonly os: string;
    readonly kernel: string;
    readonly architecture: string;
    readonly processor: string;
    readonly cores: number;
    readonly memory: number;
    readonly memoryAvailable: number;
    readonly cgroupVersion: 1 | 2 | undefined;
    readonly selinux: 'enforcing' | 'permissive' | 'off';
  };
  /** Programs that we run; one without a path is not installed. */
  readonly tools: readonly ToolFacts[];
  readonly checkouts: PlaceFacts;
  readonly repository: PlaceFacts;
  /** Whether the repo's files can be linked into checkouts; undefined where we may not look. */
  readonly sameFilesystem: boolean | undefined;
  /** Who may map ids into which ranges: subuid(5), subgid(5). */
  readonly subordinateIds: {
    /** Whom we run as. */
    readonly user: string;
    readonly uids: readonly IdRange[];
    readonly gids: readonly IdRange[];
  };
}

export interface IdRange {
  /** A user's name or number. */
  readonly owner: string;
  readonly start: number;
  readonly count: number;
}

export interface ToolFacts {
  readonly name: string;
  readonly path: string | undefined;
  readonly version: string | undefined;
}

/** A folder; what is undefined is in a place where we may not look, or not known. */
export interface PlaceFacts {
  readonly path: string;
  readonly exists: boolean | undefined;
  /** ext4, xfs, overlay… */
  readonly filesystem: string | undefined;
  /** Of its file system, in all. */
  readonly sizeBytes: number | undefined;
  readonly freeBytes: number | undefined;
}

/** A process of this host, as proc(5) tells of it. */
export interface ProcessFacts {
  readonly pid: number;
  readonly parent: number;
  readonly uid: number;
  readonly gid: number;
  /** Processor time that it has used, in its own code and in the kernel for it. */
  readonly cpuSeconds: number;
  /** Since its start. */
  readonly ageSeconds: number;
  readonly residentBytes: number;
  /** Its words; of one that shows none, its short name in brackets. */
  readonly command: readonly string[];
  /** Its cgroup in the hierarchy of version 2, from the root that we see. */
  readonly cgroup: string | undefined;
}
