/** Describes a tree on disk so that two can be compared: everything but times, link counts and inode numbers. */
import { isUtf8 } from 'node:buffer';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { lstatSync, readdirSync, readFileSync, readlinkSync, type Stats } from 'node:fs';
import { join } from 'node:path';

/**
 * A line for each path (the root is `.`): type, mode, owner, then a link's target or a file's digest, then xattrs.
 * What is no UTF-8 is shown as `\xHH`.
 */
export function describeTree(root: string): Record<string, string> {
  const xattrs = readXattrs(root);
  const lines: Record<string, string> = {};
  const visit = (path: Buffer, shown: string): void => {
    const stats = lstatSync(path);
    const attributes = xattrs.get(path.toString('latin1')) ?? [];
    lines[shown] = [describe(path, stats), ...attributes.sort()].join(' ');
    if (!stats.isDirectory()) return;
    for (const name of readdirSync(path, { encoding: 'buffer' }).sort((a, b) => a.compare(b))) {
      visit(
        Buffer.concat([path, Buffer.from('/'), name]),
        shown === '.' ? showBytes(name) : `${shown}/${showBytes(name)}`,
      );
    }
  };
  visit(Buffer.from(root), '.');
  return lines;
}

/** Bytes as text that tells them apart. */
export function showBytes(bytes: Buffer): string {
  if (isUtf8(bytes)) return bytes.toString('utf8');
  return bytes
    .toString('latin1')
    .replaceAll(/[\x80-\xff]/g, (char) => `\\x${char.charCodeAt(0).toString(16)}`);
}

function describe(path: Buffer, stats: Stats): string {
  const mode = (stats.mode & 0o7777).toString(8).padStart(4, '0');
  const owner = `${stats.uid}:${stats.gid}`;
  // A symlink's mode means nothing.
  if (stats.isSymbolicLink())
    return `link ${owner} -> ${showBytes(readlinkSync(path, { encoding: 'buffer' }))}`;
  if (stats.isDirectory()) return `dir ${mode} ${owner}`;
  if (!stats.isFile()) return `special ${mode} ${owner}`;
  const digest = createHash('sha256').update(readFileSync(path)).digest('hex').slice(0, 12);
  return `file ${mode} ${owner} ${stats.size} ${digest}`;
}

/** Every xattr by absolute path (latin1, one character a byte), links not followed. */
function readXattrs(root: string): Map<string, string[]> {
  const text = execFileSync(
    'getfattr',
    ['-R', '-P', '-h', '-d', '-m', '-', '-e', 'hex', '--absolute-names', root],
    {
      encoding: 'latin1',
      maxBuffer: 64 * 1024 * 1024,
    },
  );
  const found = new Map<string, string[]>();
  for (const block of text.split('\n\n')) {
    const [first, ...values] = block.trim().split('\n');
    if (first?.startsWith('# file: ') === true)
      found.set(unescapeName(first.slice('# file: '.length)), values);
  }
  return found;
}

/** getfattr writes odd bytes as `\ooo`. */
function unescapeName(name: string): string {
  return name.replace(/\\([0-7]{3})/g, (_match, octal: string) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  );
}

/** The numbers of the groups of paths that are one file, for comparing hard links. */
export function hardLinkGroups(root: string, paths: readonly string[]): number[] {
  const inodes = paths.map((path) => lstatSync(join(root, path)).ino);
  return inodes.map((inode) => inodes.indexOf(inode));
}
