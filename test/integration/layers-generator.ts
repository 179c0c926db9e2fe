/** Stacks of layers by chance: few names, so that their paths meet often; see layers-differential.test.ts. */
import * as fc from 'fast-check';
import type { TarEntry } from '../fixtures/image-builder.ts';

/** VFS_CAP_REVISION_2, effective, cap_net_raw: capabilities(7). */
const CAPABILITY = Buffer.from('0100000200200000000000000000000000000000', 'hex');

const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');

const name = fc.oneof(
  { weight: 12, arbitrary: fc.constantFrom('a', 'b', 'c') },
  { weight: 2, arbitrary: fc.constantFrom('\xe9', '\xc3\xa9', '.atomic-ts-name.\xc3\xa9', '.x', '...') },
  {
    weight: 1,
    arbitrary: fc.constantFrom('n'.repeat(255), 'new\nline', '-dash', 'sp ace', '\\', 'A', 'p'.repeat(101)),
  },
);
const path = fc.array(name, { minLength: 1, maxLength: 3 }).map((parts) => parts.join('/'));
const spelling = fc.oneof(
  { weight: 8, arbitrary: fc.constant('') },
  { weight: 1, arbitrary: fc.constantFrom('/', './', '../', '/../', 'a/../', './/') },
);
const target = fc
  .tuple(
    fc.constantFrom('', '', '', '/', '../', '../../..', '/../', './'),
    fc.array(
      fc.oneof({ weight: 8, arbitrary: name }, { weight: 1, arbitrary: fc.constantFrom('..', '.', 'none') }),
      {
        minLength: 0,
        maxLength: 2,
      },
    ),
  )
  .map(([start, parts]) => `${start}${parts.join('/')}` || 'a');
const mode = fc.constantFrom(undefined, undefined, 0o755, 0o644, 0, 0o4755, 0o2711, 0o1777, 0o7777, 0o500);
const owner = fc.constantFrom(0, 0, 0, 1, 65_534, 3_000_000);
const folderXattrs = fc.constantFrom({}, {}, {}, { 'user.a': '1' }, { 'user.a': '2', 'user.b': '\xff' });
const fileXattrs = fc.constantFrom(
  {},
  {},
  {},
  { 'user.a': '1' },
  { 'user.b': Buffer.from([0, 255]), 'trusted.t': 't' },
  { 'security.capability': CAPABILITY },
);

/** Where a hard link goes: mostly to a path that some entry has put a file at. */
interface Draft extends TarEntry {
  readonly pick?: number;
}

const spelled = (more: (path: string) => Draft): fc.Arbitrary<Draft> =>
  fc.tuple(spelling, path).map(([before, rest]) => more(`${before}${rest}`));

const anyEntry: fc.Arbitrary<Draft> = fc.oneof(
  {
    weight: 7,
    arbitrary: fc
      .tuple(
        spelled((at) => ({ path: bytes(at) })),
        mode,
        owner,
        owner,
        fileXattrs,
        fc.constantFrom('', 'x', 'yy'),
      )
      .map(([entry, bits, uid, gid, xattrs, content]) =>
        withMode({ ...entry, uid, gid, xattrs, content }, bits),
      ),
  },
  {
    weight: 5,
    arbitrary: fc
      .tuple(
        spelled((at) => ({ path: bytes(at), type: 'dir' })),
        mode,
        owner,
        owner,
        folderXattrs,
      )
      .map(([entry, bits, uid, gid, xattrs]) => withMode({ ...entry, uid, gid, xattrs }, bits)),
  },
  {
    weight: 4,
    arbitrary: fc
      .tuple(
        spelled((at) => ({ path: bytes(at), type: 'symlink' })),
        target,
        owner,
        owner,
      )
      .map(([entry, to, uid, gid]) => ({ ...entry, target: bytes(to), uid, gid })),
  },
  {
    weight: 3,
    arbitrary: fc
      .tuple(
        spelled((at) => ({ path: bytes(at), type: 'hardlink' })),
        fc.nat(),
        fc.option(path, { freq: 12 }),
      )
      .map(([entry, pick, to]) => (to === null ? { ...entry, pick } : { ...entry, target: bytes(to) })),
  },
  { weight: 3, arbitrary: spelled((at) => ({ path: bytes(at), type: 'whiteout' })) },
  { weight: 1, arbitrary: spelled((at) => ({ path: bytes(at), type: 'opaque' })) },
  {
    weight: 1,
    arbitrary: fc.oneof(
      spelled((at) => ({ path: bytes(at), type: 'fifo' })),
      spelled((at) => ({ path: bytes(at), type: 'char', major: 1, minor: 3 })),
      fc
        .tuple(mode, owner, folderXattrs)
        .map(([bits, uid, xattrs]) => withMode({ path: './', type: 'dir' as const, uid, xattrs }, bits)),
    ),
  },
);

function withMode(entry: Draft, mode: number | undefined): Draft {
  return mode === undefined ? entry : { ...entry, mode };
}

/** Clean, `..` stopping at the root. */
function clean(at: TarEntry['path']): string {
  const parts: string[] = [];
  for (const part of Buffer.from(at).toString('latin1').split('/')) {
    if (part === '..') parts.pop();
    else if (part !== '' && part !== '.') parts.push(part);
  }
  return parts.join('/');
}

/**
 * Gives hard links their targets, and leaves out of each layer what would be a file or link and a folder at once, which
 * we refuse; unless that is wanted.
 */
function settle(layers: readonly (readonly Draft[])[], clashes: boolean): TarEntry[][] {
  const files: string[] = [];
  return layers.map((layer) => {
    const folders = new Set<string>();
    const others = new Set<string>();
    const settled: TarEntry[] = [];
    for (const { pick, ...entry } of layer) {
      const at = clean(entry.path);
      const isFolder = entry.type === 'dir';
      const isMark = entry.type === 'whiteout' || entry.type === 'opaque';
      const above = at.split('/').map((_part, i, parts) => parts.slice(0, i).join('/'));
      const isFolderThen = above.some((parent) => others.has(parent));
      if (at === '' && !isFolder) continue;
      if (
        !clashes &&
        (isFolderThen || (isFolder && others.has(at)) || (!isFolder && !isMark && folders.has(at)))
      )
        continue;
      const linked =
        pick === undefined ? {} : { target: bytes(files[pick % Math.max(files.length, 1)] ?? 'a') };
      settled.push({ ...entry, ...linked });
      for (const parent of above) folders.add(parent);
      if (isFolder) folders.add(at);
      else if (!isMark) others.add(at);
      if (!isFolder && !isMark && entry.type !== 'char') files.push(at);
    }
    return settled;
  });
}

export const anyStack: fc.Arbitrary<TarEntry[][]> = fc
  .tuple(
    fc.array(fc.array(anyEntry, { minLength: 1, maxLength: 7 }), { minLength: 2, maxLength: 5 }),
    fc.nat(19).map((chance) => chance === 0),
  )
  .map(([layers, clashes]) => settle(layers, clashes));
