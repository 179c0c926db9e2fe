import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { mkdirSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
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
