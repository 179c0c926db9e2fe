/** Stacks of layers by chance: few names, so that their paths meet often; see layers-differential.test.ts. */
import * as fc from 'fast-check';
import type { TarEntry } from '../fixtures/image-builder.ts';
import { clashes, LayerModel, Refusal } from './layers-model.ts';

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

/**
 * Gives hard links their targets. Most stacks are to be such that umoci and we take them: what either would refuse is
 * left out of those that are not daring.
 */
function settle(layers: readonly (readonly Draft[])[], isDaring: boolean): TarEntry[][] {
  const model = new LayerModel([]);
  const files: Uint8Array[] = [bytes('a')];
  return layers.map((layer) => {
    model.begin();
    const settled: TarEntry[] = [];
    for (const { pick, ...draft } of layer) {
      const linked = pick === undefined ? {} : { target: files[pick % files.length] ?? bytes('a') };
      const entry: TarEntry = { ...draft, ...linked };
      if (!isDaring && (clashes([...settled, entry]) || !isTaken(model, entry))) continue;
      if (!['dir', 'whiteout', 'opaque'].includes(entry.type ?? '')) files.push(Buffer.from(entry.path));
      settled.push(entry);
    }
    return settled;
  });
}

function isTaken(model: LayerModel, entry: TarEntry): boolean {
  try {
    model.add(entry);
    return true;
  } catch (error) {
    if (error instanceof Refusal) return false;
    throw error;
  }
}

export const anyStack: fc.Arbitrary<TarEntry[][]> = fc
  .tuple(
    fc.array(fc.array(anyEntry, { minLength: 1, maxLength: 7 }), { minLength: 2, maxLength: 5 }),
    fc.nat(5).map((chance) => chance === 5),
  )
  .map(([layers, isDaring]) => settle(layers, isDaring));
