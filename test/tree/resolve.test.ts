import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import * as fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import { findInTree, lstatIfThere, resolveInTree } from '../../src/tree/resolve.ts';
import { useTempFolder } from '../fixtures/temp-folder.ts';

const folder = useTempFolder();
let root = '';

beforeEach(() => {
  root = join(folder(), 'root');
  mkdirSync(join(root, 'usr/bin'), { recursive: true });
  mkdirSync(join(root, 'var/lib'), { recursive: true });
  mkdirSync(join(root, 'run'));
  mkdirSync(join(folder(), 'secret'));
  writeFileSync(join(root, 'usr/bin/sh'), '');
  symlinkSync('/usr/bin', join(root, 'bin'));
  symlinkSync('../run', join(root, 'var/run'));
  symlinkSync('/', join(root, 'slash'));
  symlinkSync('../../../../../..', join(root, 'up'));
  symlinkSync('../secret', join(root, 'out'));
  symlinkSync('slash/var/run', join(root, 'chain'));
  symlinkSync('nowhere/at/all', join(root, 'dangling'));
  symlinkSync('ring2', join(root, 'ring1'));
  symlinkSync('ring1', join(root, 'ring2'));
  symlinkSync('self/x', join(root, 'self'));
});

describe('resolveInTree', () => {
  test.each([
    ['', ''],
    ['/', ''],
    ['usr/bin/sh', 'usr/bin/sh'],
    ['/usr//./bin/../bin/sh', 'usr/bin/sh'],
    ['bin/sh', 'usr/bin/sh'],
    ['var/run/x', 'run/x'],
    ['var/run/../x', 'x'],
    ['chain/x', 'run/x'],
    ['slash', ''],
    ['slash/usr', 'usr'],
    ['up/up/up/etc/passwd', 'etc/passwd'],
    ['../../etc/passwd', 'etc/passwd'],
    ['out/x', 'secret/x'],
    ['dangling/x', 'nowhere/at/all/x'],
    ['none/below/none', 'none/below/none'],
    ['none/../usr', 'usr'],
    ['usr/bin/sh/x', 'usr/bin/sh/x'],
  ])('%j leads to %j', (path, place) => {
    expect(resolveInTree(root, path)).toBe(place);
  });

  test('leaves the last component alone when told, slashes behind it or not', () => {
    expect(resolveInTree(root, 'bin', false)).toBe('bin');
    expect(resolveInTree(root, 'slash/bin/', false)).toBe('bin');
    expect(resolveInTree(root, 'bin/sh', false)).toBe('usr/bin/sh');
    expect(resolveInTree(root, 'ring1', false)).toBe('ring1');
  });

  test.each(['ring1', 'ring2/x', 'self'])('gives up on %s', (path) => {
    expect(() => resolveInTree(root, path)).toThrow('lead round in circles');
  });

  test('takes a path through a tree for what the kernel takes it for, as long as it stays inside', () => {
    const name = fc.constantFrom('a', 'b', 'c');
    const place = fc.array(name, { minLength: 1, maxLength: 3 }).map((parts) => parts.join('/'));
    const target = fc.array(fc.constantFrom('a', 'b', 'c', '.'), { minLength: 1, maxLength: 3 });
    fc.assert(
      fc.property(fc.array(place), fc.array(fc.tuple(place, target)), place, (folders, links, path) => {
        const tree = mkdtempSync(join(tmpdir(), 'atomic-ts-test-'));
        try {
          for (const each of folders) mkdirSync(join(tree, each), { recursive: true });
          for (const [at, to] of links) {
            if (realOrUndefined(join(tree, at, '..')) === undefined) continue;
            if (lstatIfThere(join(tree, at)) === undefined) symlinkSync(to.join('/'), join(tree, at));
          }
          const real = realOrUndefined(join(tree, path));
          const expected = real === undefined ? undefined : relative(realpathSync(tree), real);
          expect(findInTree(tree, path)).toBe(expected);
          expect(expected === undefined || resolveInTree(tree, path) === expected).toBe(true);
        } finally {
          rmSync(tree, { recursive: true });
        }
      }),
      { numRuns: 200 },
    );
  });
});

function realOrUndefined(path: string): string | undefined {
  try {
    return realpathSync(path);
  } catch {
    return undefined;
  }
}

test('findInTree tells what is there from what is not', () => {
  expect(findInTree(root, 'bin/sh')).toBe('usr/bin/sh');
  expect(findInTree(root, 'slash')).toBe('');
  const absent = ['none', 'dangling', 'out', 'ring1', 'usr/bin/sh/x', 'usr/bin/sh/'];
  expect(absent.map((path) => findInTree(root, path))).toEqual(absent.map(() => undefined));
});

test('lstatIfThere says what stands there, links not followed, or nothing', () => {
  expect(lstatIfThere(join(root, 'dangling'))?.isSymbolicLink()).toBe(true);
  expect(lstatIfThere(join(root, 'none'))).toBeUndefined();
  expect(lstatIfThere(join(root, 'usr/bin/sh/x'))).toBeUndefined();
  expect(lstatIfThere(join(root, 'n'.repeat(300)))).toBeUndefined();
});

test('a target that is no UTF-8, and a path that is too long as a whole, are refused and not taken for nothing', () => {
  symlinkSync(Buffer.from('caf\xe9', 'latin1'), join(root, 'latin'));
  expect(() => findInTree(root, 'latin/x')).toThrow('has the target "caf\xe9", which is not UTF-8');
  expect(() => lstatIfThere(join(root, 'n/'.repeat(2100)))).toThrow('Linux stops at 4096');
});
