/** What a package file says of itself. It may be an image's: its header is foreign, and read by rpm. */
import { AtomicError } from '../errors.ts';
import type { Exec } from '../host/ports.ts';
import { limitExceeded, limitOf } from '../limits.ts';
import { runRpm } from './program.ts';

export interface PackageFile {
  readonly path: string;
  readonly kind: 'file' | 'symlink' | 'directory' | 'other';
  /** As `info` keeps it of host files: sha256; "0" for folders and what is no file; "" for links, and when it is not known. */
  readonly checksum: string;
  readonly user: string;
  readonly group: string;
}

export interface PackageContent {
  readonly name: string;
  /** `name-version-release.arch` */
  readonly label: string;
  readonly files: readonly PackageFile[];
  /** What it would have run on the host, and what it would take from it: lines as rpm prints them. */
  readonly scriptlets: readonly string[];
  readonly obsoletes: readonly string[];
  readonly provides: readonly string[];
}

/** Its digests are looked at, its signature is not: whose it is, is known by the image that it came from. */
const QUERY = ['--query', '--nosignature'];
const SHA256 = '8';
const FILE_LINE =
  /^(\d{1,7}) ([0-7]{1,11}) "([0-9a-f]*)" "([^"\s]*)" "([^"\s]*)" (\/[^\u0000-\u001f\u007f]*)$/;

/**
 * @throws AtomicError `exports-invalid` when it is no package, or one with names that nobody would give to files;
 * `tool-missing`
 */
export async function readPackage(exec: Exec, path: string): Promise<PackageContent> {
  const query = async (...args: string[]): Promise<string> =>
    (await runRpm(exec, [...QUERY, ...args, '--package', '--', path])).stdout;
  try {
    const head = await query('--queryformat', '%{NAME}\\n%{NEVRA}\\n%{FILEDIGESTALGO}\\n');
    const [name = '', label = '', algorithm = ''] = head.split('\n');
    if (!/^[\w.+~^-]+$/.test(name) || !/^[\w.+~^:-]+$/.test(label))
      throw damaged(path, 'its name is not one');
    const scripts = await query('--scripts', '--triggers', '--filetriggers');
    const obsoletes = await query('--obsoletes');
    return {
      name,
      label,
      files: await readFiles(query, path, algorithm === SHA256),
      scriptlets: linesOf(scripts),
      obsoletes: linesOf(obsoletes),
      provides: linesOf(await query('--provides')),
    };
  } catch (error) {
    if (!(error instanceof AtomicError) || error.code !== 'command-failed') throw error;
    throw damaged(path, 'rpm cannot read it', error);
  }
}

async function readFiles(
  query: (...args: string[]) => Promise<string>,
  path: string,
  isSha256: boolean,
): Promise<PackageFile[]> {
  const format =
    '[%{FILENAMES:arraysize} %{FILEMODES:octal} "%{FILEDIGESTS}" "%{FILEUSERNAME}" "%{FILEGROUPNAME}" %{FILENAMES}\\n]';
  const lines = linesOf(await query('--queryformat', format));
  const limit = limitOf('host-files');
  if (lines.length > limit)
    throw limitExceeded('host-files', `The package ${path} has more than ${limit} files`, lines.length);
  const files = lines.map((line) => {
    const [, count, mode = '', digest = '', user = '', group = '', name = ''] = FILE_LINE.exec(line) ?? [];
    if (Number(count) !== lines.length || name.split('/').includes('..'))
      throw damaged(path, 'the names of its files are not those of files');
    const kind = kindOf(Number.parseInt(mode, 8));
    const checksum = kind === 'file' ? (isSha256 ? digest : '') : kind === 'symlink' ? '' : '0';
    return { path: name, kind, checksum, user, group };
  });
  return files;
}

/** The format part of a mode, as stat(2) has it. */
function kindOf(mode: number): PackageFile['kind'] {
  const format = mode & 0o170000;
  if (format === 0o100000) return 'file';
  if (format === 0o120000) return 'symlink';
  return format === 0o040000 ? 'directory' : 'other';
}

function linesOf(text: string): string[] {
  return text.split('\n').filter((line) => line !== '');
}

function damaged(path: string, found: string, cause?: unknown): AtomicError {
  return new AtomicError('exports-invalid', `Cannot use the package ${path}: ${found}`, {
    ...(cause instanceof AtomicError && cause.details !== undefined ? { details: cause.details } : {}),
    cause,
    hint: 'Install without a package: --system-package=no.',
  });
}
