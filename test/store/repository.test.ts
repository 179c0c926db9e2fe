import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { appendFileSync, mkdirSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { createExec } from '../../src/host/exec.ts';
import { readRepositoryConfig } from '../../src/store/repository-config.ts';
import { Repository } from '../../src/store/repository.ts';
import { TreeFiles } from '../../src/store/ostree-transport/tree-files.ts';
import { useTempFolder } from '../fixtures/temp-folder.ts';
import { failureOf } from '../stream/collect.ts';

const folder = useTempFolder();
const CHECKSUM = 'c'.repeat(64);
const repository = (): Repository => new Repository(folder(), createExec());
const inFolder = (path: string): string => {
  mkdirSync(dirname(path), { recursive: true });
  return path;
};

let rescue: ChildProcess | undefined;
afterEach(() => {
  rescue?.kill();
  rescue = undefined;
});

/** A pipe, to which somebody writes at last: who waits for that is found out, and does not wait for ever. */
function makePipe(path: string): void {
  execFileSync('mkfifo', [inFolder(path)]);
  const write = `setTimeout(() => fs.openSync(${JSON.stringify(path)}, 'r+'), 3000)`;
  rescue = spawn(process.execPath, ['-e', write], { stdio: 'ignore' });
}

describe('of a repo that is somebody else’s, a pipe holds nobody up that stands for', () => {
  it('a ref', async () => {
    makePipe(repository().refPath('x'));
    expect(await failureOf(repository().resolveRef('x'))).toMatchObject({
      code: 'store-invalid',
      message: `the ref x in ${folder()} is no regular file`,
    });
  });

  it('a commit', async () => {
    makePipe(repository().objectPath(CHECKSUM, 'commit'));
    expect(await failureOf(repository().readCommit(CHECKSUM))).toMatchObject({
      code: 'store-invalid',
      message: expect.stringContaining('is no regular file') as string,
    });
  });

  it('a commit whose files are asked for: the `ostree` program would wait', async () => {
    makePipe(repository().objectPath(CHECKSUM, 'commit'));
    expect((await failureOf(repository().readBytes(CHECKSUM, '/content'))).code).toBe('store-invalid');
  });

  it('a folder', async () => {
    makePipe(repository().objectPath(CHECKSUM, 'dirtree'));
    const files = new TreeFiles(repository(), CHECKSUM, 'bare');
    expect((await failureOf(Promise.resolve().then(() => files.find('x')))).code).toBe('store-invalid');
  });

  it('the configuration', async () => {
    makePipe(`${folder()}/config`);
    expect((await failureOf(readRepositoryConfig(folder()))).code).toBe('store-invalid');
  });
});

describe('the names of folders', () => {
  /** A folder with one file, whose name is so long that it is two thirds of what is held. */
  function writeFolder(path: string): void {
    const nameEnd = 40_000_001;
    const end = nameEnd + 32 + 4;
    const numbers = [nameEnd, end, end + 4].map((number) => {
      const bytes = Buffer.alloc(4);
      bytes.writeUInt32LE(number);
      return bytes;
    });
    writeFileSync(path, '');
    truncateSync(path, nameEnd);
    appendFileSync(path, Buffer.concat([Buffer.alloc(32), ...numbers]));
  }

  it('are held no more than memory has room for', async () => {
    const repo = repository();
    const [root, one, two] = ['a'.repeat(64), 'b'.repeat(64), 'c'.repeat(64)];
    const folders = [one, two].map((sum, i) =>
      Buffer.concat([Buffer.from(`${i}\0`), Buffer.from(sum + sum, 'hex'), Buffer.of(34, 2)]),
    );
    const numbers = Buffer.of(68, 2 * 68, 0);
    writeFileSync(inFolder(repo.objectPath(root, 'dirtree')), Buffer.concat([...folders, numbers]));
    for (const sum of [one, two]) writeFolder(inFolder(repo.objectPath(sum, 'dirtree')));
    const opened = vi.spyOn(repo, 'objectPath');
    const files = new TreeFiles(repo, root, 'bare');
    for (const path of ['0/x', '0/y', '1/x', '0/x']) expect(files.find(path)).toBeUndefined();
    expect(opened.mock.calls.map(([sum]) => sum)).toEqual([root, one, two, one]);
  });
});

describe('a ref', () => {
  it('may be a link to another, as `ostree refs --alias` makes it', async () => {
    const path = inFolder(repository().refPath('x'));
    writeFileSync(path, `${CHECKSUM}\n`);
    symlinkSync('x', repository().refPath('y'));
    expect(await repository().resolveRef('y')).toBe(CHECKSUM);
  });

  it('is not read whole when it is no ref by its size', async () => {
    const path = inFolder(repository().refPath('x'));
    writeFileSync(path, '');
    truncateSync(path, 1024 ** 4);
    expect((await failureOf(repository().resolveRef('x'))).code).toBe('limit-exceeded');
  });
});
