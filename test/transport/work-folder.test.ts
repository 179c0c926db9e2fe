import { randomUUID } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { createLocks } from '../../src/host/locks.ts';
import type { Locks } from '../../src/host/ports.ts';
import { makeWorkFolder } from '../../src/transport/work-folder.ts';
import { useTempFolder } from '../fixtures/temp-folder.ts';

const parent = useTempFolder();
const elsewhere = useTempFolder();
const locks = createLocks('test');
const NO_LOCKS: Locks = { acquire: () => Promise.reject(new Error('flock is not there')) };

/** What a process leaves that is killed. */
function abandon(): string {
  const path = join(parent(), `.partial-locked-${randomUUID().slice(0, 6)}`);
  mkdirSync(path, { mode: 0o700 });
  for (const name of ['.lock', 'half']) writeFileSync(join(path, name), '');
  return path;
}

test.each([
  ['locks', locks],
  ['locks that do not work', NO_LOCKS],
  ['no locks', undefined],
])('a folder made with %s is private, and goes with all that is in it', async (_, given) => {
  const work = await makeWorkFolder(parent(), given);
  expect(statSync(work.path).mode & 0o777).toBe(0o700);
  writeFileSync(join(work.path, 'half'), '');
  await work.remove();
  expect(readdirSync(parent())).toEqual([]);
});

test('what a dead process has left is removed by the next one', async () => {
  const left = [abandon(), abandon()];
  const work = await makeWorkFolder(parent(), locks);
  for (const path of left) expect(existsSync(path)).toBe(false);
  await work.remove();
});

test('what a living one works in is not, with locks or without', async () => {
  const made = [await makeWorkFolder(parent(), locks), await makeWorkFolder(parent(), undefined)];
  for (const { path } of made) writeFileSync(join(path, 'half'), '');
  const last = await makeWorkFolder(parent(), locks);
  for (const { path } of made) expect(existsSync(join(path, 'half'))).toBe(true);
  for (const work of [...made, last]) await work.remove();
  expect(readdirSync(parent())).toEqual([]);
});

test('nor what others may write in, nor what a link leads to, nor anything of another name', async () => {
  const open = abandon();
  chmodSync(open, 0o777);
  writeFileSync(join(elsewhere(), '.lock'), '');
  const link = join(parent(), `.partial-locked-${randomUUID().slice(0, 6)}`);
  symlinkSync(elsewhere(), link);
  const named = join(parent(), '.partial-blobs');
  mkdirSync(named, { mode: 0o700 });
  await (await makeWorkFolder(parent(), locks)).remove();
  expect(
    readdirSync(parent())
      .map((name) => join(parent(), name))
      .sort(),
  ).toEqual([open, link, named].sort());
  expect(readdirSync(elsewhere())).toEqual(['.lock']);
});

test('one that is taken away before it is locked is made again', async () => {
  const late: Locks = {
    acquire: async (request) => {
      rmSync(dirname(request.path), { recursive: true });
      return locks.acquire(request);
    },
  };
  const work = await makeWorkFolder(parent(), late);
  expect(statSync(work.path).mode & 0o777).toBe(0o700);
  await work.remove();
  expect(readdirSync(parent())).toEqual([]);
});
