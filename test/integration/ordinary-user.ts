/** Run as a process of its own, as a user who is not root: copies an image of a layout into a repo, and from there into a folder. */
import { join } from 'node:path';
import type { TransferApp } from '../../src/app/context.ts';
import { copyBetween } from '../../src/app/copy-image.ts';
import { createExec } from '../../src/host/exec.ts';
import { createLocks } from '../../src/host/locks.ts';

const notAsked = (): never => {
  throw new Error('nobody asks for this');
};

async function main(layout: string, home: string): Promise<void> {
  const app: TransferApp = {
    exec: createExec(),
    locks: createLocks('test'),
    files: { freeBytes: () => Promise.resolve(Number.MAX_SAFE_INTEGER) },
    identity: { uid: process.getuid?.() ?? 0, gid: 0, architecture: 'amd64', variant: undefined },
    environment: { HOME: home, TMPDIR: home },
    report: () => undefined,
    signal: new AbortController().signal,
    userAgent: 'test',
    findRepository: notAsked,
    openLocal: notAsked,
  };
  const repository = `ostree:x@${join(home, 'repo')}`;
  await copyBetween(app, { source: `oci:${layout}:v1`, destination: repository, from: {}, to: {} });
  await copyBetween(app, { source: repository, destination: `dir:${join(home, 'dir')}`, from: {}, to: {} });
}

const [layout = '', home = ''] = process.argv.slice(2);
void main(layout, home);
