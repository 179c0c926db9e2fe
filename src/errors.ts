import { dirname } from 'node:path';

/**
 * What went wrong, as a stable word that scripts may match (`--json` prints it as `code`).
 * One table in cli/exit-codes.ts maps each to an exit status.
 */
export type ErrorCode =
  | 'usage'
  | 'not-root'
  | 'tool-missing'
  | 'command-failed'
  | 'reference-invalid'
  | 'name-invalid'
  | 'image-not-found'
  | 'image-in-use'
  | 'manifest-unknown'
  | 'manifest-invalid'
  | 'manifest-refused'
  | 'config-invalid'
  | 'platform-missing'
  | 'unauthorized'
  | 'denied'
  | 'rate-limited'
  | 'registry-error'
  | 'registry-unreachable'
  | 'engine-error'
  | 'engine-unreachable'
  | 'tls'
  | 'size-mismatch'
  | 'digest-mismatch'
  | 'digest-changes'
  | 'limit-exceeded'
  | 'compression-unsupported'
  | 'stream-broken'
  | 'upload-broken'
  | 'archive-invalid'
  | 'layer-invalid'
  | 'unsupported'
  | 'store-invalid'
  | 'store-race'
  | 'disk-full'
  | 'template-invalid'
  | 'variable-unset'
  | 'value-invalid'
  | 'exports-invalid'
  | 'spec-invalid'
  | 'unit-invalid'
  | 'file-exists'
  | 'host-file'
  | 'not-mounted'
  | 'container-not-found'
  | 'container-in-use'
  | 'container-preinstalled'
  | 'rootfs-missing'
  | 'deployment-missing'
  | 'not-running'
  | 'service-failed'
  | 'update-failed'
  | 'busy'
  | 'journal-open'
  | 'interrupted'
  | 'internal';

export interface ErrorOptions {
  /** What to do about it: one sentence, shown on a line of its own. */
  readonly hint?: string;
  readonly cause?: unknown;
  /** Long output that helps to understand (journal lines, stderr of a program): shown below the message. */
  readonly details?: string;
}

/**
 * The one error class. `message` is a single sentence: what was tried on what, and what was found.
 * Trouble met while cleaning up is appended with `addTrouble`; it never replaces the first error.
 */
export class AtomicError extends Error {
  override readonly name = 'AtomicError';
  readonly code: ErrorCode;
  readonly hint: string | undefined;
  readonly details: string | undefined;
  readonly trouble: string[] = [];

  constructor(code: ErrorCode, message: string, options: ErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.hint = options.hint;
    this.details = options.details;
  }

  addTrouble(sentence: string): void {
    this.trouble.push(sentence);
  }
}

/** Whether `error` is ours with one of the given codes (any code when none is given). */
export function isAtomicError(error: unknown, ...codes: ErrorCode[]): error is AtomicError {
  return error instanceof AtomicError && (codes.length === 0 || codes.includes(error.code));
}

/** The message of anything that was thrown, for use inside another sentence. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The `code` of a system error (`ENOENT`…), or undefined. */
export function systemCodeOf(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined;
  return typeof error.code === 'string' ? error.code : undefined;
}

/** What a file operation found, for people; errors of other kinds are no fault of whoever typed a path. */
const FILE_PROBLEMS: Readonly<Record<string, string>> = {
  EACCES: 'permission denied',
  EPERM: 'operation not permitted',
  EROFS: 'the file system is read-only',
  EEXIST: 'it is there already',
  EISDIR: 'it is a folder',
  ENOTDIR: 'a part of the path is no folder',
  ENOENT: 'there is no such file or folder',
  ENAMETOOLONG: 'a name in it is too long',
  ELOOP: 'its symbolic links lead in a circle',
};

/** What a failed file operation found, in words; the error's own message where there are none. */
export function fileProblemOf(error: unknown): string {
  return FILE_PROBLEMS[systemCodeOf(error) ?? ''] ?? messageOf(error);
}

/** A file operation that failed where nobody had a sentence for it, in a sentence; everything else unchanged. */
export function describeFileProblem(error: unknown): unknown {
  const found = FILE_PROBLEMS[systemCodeOf(error) ?? ''];
  const { path, syscall } = Object(error) as { readonly path?: unknown; readonly syscall?: unknown };
  if (found === undefined || typeof path !== 'string') return error;
  // A name that we made up ourselves tells nobody anything.
  const doing =
    syscall === 'mkdtemp'
      ? `write in ${dirname(path)}`
      : `${syscall === 'mkdir' ? 'make the folder' : 'use'} ${path}`;
  const is = syscall === 'mkdir' && systemCodeOf(error) === 'EEXIST' ? 'a file has that name' : found;
  return new AtomicError('host-file', `Cannot ${doing}: ${is}`, {
    cause: error,
    hint: 'Name another place, or see who owns this one.',
  });
}

/** What to do about a full disk, where nothing better is known. */
export const FREE_SPACE_HINT = 'Free some space and try again.';
/** The same where only temp files are. */
export const TEMP_SPACE_HINT = 'Free some space there, or name another folder in TMPDIR.';

/**
 * A failed write as an error of ours when it found the disk full or a quota used up; everything else unchanged.
 * @param path what was written, unless the system's own error names it
 */
export function describeDiskFull(error: unknown, path: string, hint = FREE_SPACE_HINT): unknown {
  const code = systemCodeOf(error);
  if (code !== 'ENOSPC' && code !== 'EDQUOT') return error;
  const { path: named } = error as { readonly path?: unknown };
  const found = code === 'ENOSPC' ? 'no space is left on the disk' : 'the disk quota is used up';
  return new AtomicError('disk-full', `Cannot write ${typeof named === 'string' ? named : path}: ${found}`, {
    cause: error,
    hint,
  });
}
