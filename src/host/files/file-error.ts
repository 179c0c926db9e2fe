import { AtomicError, FREE_SPACE_HINT, messageOf, systemCodeOf, type ErrorCode } from '../../errors.ts';

interface Explanation {
  readonly code: ErrorCode;
  readonly found: string;
  readonly hint?: string;
}

const EXPLANATIONS: Readonly<Record<string, Explanation>> = {
  ENOSPC: {
    code: 'disk-full',
    found: 'no space is left on the disk',
    hint: FREE_SPACE_HINT,
  },
  EDQUOT: { code: 'disk-full', found: 'the disk quota is used up', hint: FREE_SPACE_HINT },
  EROFS: { code: 'host-file', found: 'the file system is read-only' },
  ENOENT: { code: 'host-file', found: 'there is no such file or folder' },
  ENOTDIR: { code: 'host-file', found: 'a part of the path is no folder' },
  EISDIR: { code: 'host-file', found: 'it is a folder' },
  EEXIST: { code: 'file-exists', found: 'it is there already' },
  ENOTEMPTY: { code: 'file-exists', found: 'the folder is not empty' },
  ELOOP: { code: 'host-file', found: 'it is a symbolic link' },
};

/** A system error in a sentence: `Cannot WHAT: FOUND`. An error of ours is given back as it is. */
export function fileError(error: unknown, what: string): AtomicError {
  if (error instanceof AtomicError) return error;
  const { code, found, hint } = explain(error);
  return new AtomicError(code, `Cannot ${what}: ${found}`, {
    cause: error,
    ...(hint === undefined ? {} : { hint }),
  });
}

function explain(error: unknown): Explanation {
  const systemCode = systemCodeOf(error) ?? '';
  // Root gets EPERM for immutable files and from SELinux: there "run it as root" would be wrong.
  if (systemCode === 'EPERM' || systemCode === 'EACCES') {
    const found = systemCode === 'EPERM' ? 'operation not permitted' : 'permission denied';
    return process.getuid?.() === 0
      ? {
          code: 'host-file',
          found,
          hint: 'See whether it is immutable (lsattr) or SELinux forbids it (ausearch).',
        }
      : { code: 'not-root', found, hint: 'Run it as root.' };
  }
  return EXPLANATIONS[systemCode] ?? { code: 'host-file', found: messageOf(error) };
}
