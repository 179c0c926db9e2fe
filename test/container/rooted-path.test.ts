import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readInRoot, resolveInRoot } from '../../src/container/rooted-path.ts';

const canChroot = process.getuid?.() === 0 && existsSync('/usr/bin/busybox');
let base = '';
let root = '';

beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'rooted-'));
  root = join(base, 'root');
  mkdirSync(join(root, 'a/b'), { recursive: true });
  writeFileSync(join(root, 'a/b/file'), 'inside');
  writeFileSync(join(base, 'secret'), 'outside');
  writeFileSync(join(root, 'secret'), 'in the root');
});
afterEach(() => rmSync(base, { recursive: true, force: true }));

const link = (target: string, path: string): void => symlinkSync(target, join(root, path));

describe('resolveInRoot', () => {
  it('finds plain paths however they are written', async () => {
    for (const path of ['a/b/file', '/a/b/file', '/a//b/./file', '/a/../a/b/file', 'a/b/../b/file'])
      expect(resolveInRoot(root, path)).toBe(join(root, 'a/b/file'));
    expect(resolveInRoot(root, '/')).toBe(root);
  });

  it('says undefined for what is not there, below a file, and behind a missing parent', async () => {
    for (const path of ['/none', '/a/b/file/x', '/a/b/file/', '/none/../a', `/${'x'.repeat(300)}`])
      expect(resolveInRoot(root, path)).toBeUndefined();
  });

  it('stops .. at the root', async () => {
    expect(resolveInRoot(root, '../../secret')).toBe(join(root, 'secret'));
    link('../../../secret', 'a/up');
    expect(resolveInRoot(root, '/a/up')).toBe(join(root, 'secret'));
  });

  it('starts absolute targets at the root, even those of our own host', async () => {
    link('/secret', 'a/absolute');
    link(join(base, 'secret'), 'a/host');
    expect(resolveInRoot(root, '/a/absolute')).toBe(join(root, 'secret'));
    expect(resolveInRoot(root, '/a/host')).toBeUndefined();
  });

  it('follows links in the middle of a path and of other links', async () => {
    link('/etc-of-image', 'etc');
    mkdirSync(join(root, 'etc-of-image'));
    link('../../../a/b', 'etc-of-image/deep');
    link('etc/deep/file', 'chain');
    expect(resolveInRoot(root, '/chain')).toBe(join(root, 'a/b/file'));
    // `..` after a link goes up from where the link leads.
    expect(resolveInRoot(root, '/etc/deep/../b/file')).toBe(join(root, 'a/b/file'));
  });

  it('gives up on loops and on chains longer than the kernel follows', async () => {
    link('loop2', 'loop1');
    link('loop1', 'loop2');
    link('self/self/self', 'self');
    expect(resolveInRoot(root, '/loop1')).toBeUndefined();
    expect(resolveInRoot(root, '/self')).toBeUndefined();
    link('a/b/file', 'n0');
    for (let i = 1; i <= 40; i++) link(`n${i - 1}`, `n${i}`);
    expect(resolveInRoot(root, '/n39')).toBe(join(root, 'a/b/file'));
    expect(resolveInRoot(root, '/n40')).toBeUndefined();
  });

  it.skipIf(!canChroot)('agrees with a chroot on every link of a hostile root', async () => {
    const targets = [
      '..',
      '../..',
      '/',
      '/a',
      'b/..',
      '../root',
      './b/./file',
      '/../a/b',
      'b/file/..',
      'l0/../b',
    ];
    targets.forEach((target, i) => symlinkSync(target, join(root, 'a', `l${i}`)));
    execFileSync('cp', ['/usr/bin/busybox', join(root, 'busybox')]);
    for (const [i] of targets.entries()) {
      for (const rest of ['', '/b', '/b/file', '/../secret', '/a/b']) {
        const path = `/a/l${i}${rest}`;
        const told = chrootRealpath(path);
        expect(`${path} ${resolveInRoot(root, path)}`).toBe(`${path} ${told}`);
      }
    }
  });
});

/** What a process that is chrooted into the root calls the path, if it is there. */
function chrootRealpath(path: string): string | undefined {
  try {
    const script = '[ -e "$0" ] && /busybox readlink -f "$0"';
    const real = execFileSync('chroot', [root, '/busybox', 'sh', '-c', script, path], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    return join(root, real.trim()).replace(/\/$/, '');
  } catch {
    return undefined;
  }
}

describe('readInRoot', () => {
  it('reads what a link inside the root leads to, and nothing outside', async () => {
    link('/a/b/file', 'l');
    link('../secret', 'up');
    expect(String(await readInRoot(root, '/l', 100, 'exports-invalid'))).toBe('inside');
    expect(String(await readInRoot(root, '/up', 100, 'exports-invalid'))).toBe('in the root');
    expect(await readInRoot(root, '/none', 100, 'exports-invalid')).toBeUndefined();
  });

  it('refuses a file above the limit, and takes one at it', async () => {
    expect(String(await readInRoot(root, '/a/b/file', 6, 'exports-invalid'))).toBe('inside');
    await expect(readInRoot(root, '/a/b/file', 5, 'exports-invalid')).rejects.toMatchObject({
      code: 'limit-exceeded',
    });
  });

  it('refuses directories, and FIFOs without waiting for a writer', async () => {
    execFileSync('mkfifo', [join(root, 'fifo')]);
    for (const path of ['/a', '/fifo'])
      await expect(readInRoot(root, path, 100, 'exports-invalid')).rejects.toMatchObject({
        code: 'exports-invalid',
        message: `${path} in the image is not a regular file`,
      });
  });
});
