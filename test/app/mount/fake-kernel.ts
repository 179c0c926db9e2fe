/** A host whose mount(8) and umount(8) change a table of our own. Its containers and folders are real ones. */
import { existsSync, mkdirSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import type { App } from '../../../src/app/context.ts';
import { AtomicError } from '../../../src/errors.ts';
import { createExec } from '../../../src/host/exec.ts';
import { createFiles } from '../../../src/host/files.ts';
import type { LockRequest, MountPoint } from '../../../src/host/ports.ts';
import { answerShow, createListHost, writeContainer } from '../list-host.ts';
import type { FakeExec } from '../../service/fake-systemctl.ts';

export interface FakeKernel {
  readonly app: App;
  readonly warnings: string[];
  /** Calls of mount and umount. */
  readonly calls: string[];
  table: (MountPoint & { readonly tree: string })[];
  /** Answers a call in the place of the kernel: the text of an error. */
  fail: (line: string) => string | undefined;
  /** What is locked, in its order. */
  readonly locked: string[];
  /** Whether locks can be had. */
  locksAreFree: boolean;
}

const DEVICE = '8:1';

/** @param folder of a test; made below it are `atomic`, `mnt` and the locks of nobody */
export function createFakeKernel(folder: string, states: Parameters<typeof answerShow>[0] = {}): FakeKernel {
  const show = answerShow(states);
  const run: ConstructorParameters<typeof FakeExec>[0] = (line) => {
    if (!/^u?mount /.test(line)) return show(line);
    kernel.calls.push(line.replaceAll(folder, ''));
    const error = kernel.fail(line);
    if (error !== undefined) return { exitCode: 32, stderr: error };
    const words = line.split(' ');
    if (words[0] === 'umount') unmount(kernel, words.at(-1) ?? '');
    else mount(kernel, words);
    return '';
  };
  const { app, warnings } = createListHost(folder, run);
  const kernel: FakeKernel = {
    app: {
      ...app,
      files: {
        ...createFiles(createExec()),
        mounts: () => Promise.resolve([...kernel.table]),
        inode: (path) => Promise.resolve(kernel.table.findLast(({ place }) => place === path)?.tree),
      },
      locks: {
        acquire: ({ path }: LockRequest) => {
          if (!kernel.locksAreFree) return Promise.reject(new AtomicError('busy', `${path} is held`));
          kernel.locked.push(path.split('/').at(-1) ?? '');
          return Promise.resolve({ release: () => Promise.resolve() });
        },
      },
    },
    warnings,
    calls: [],
    table: [],
    fail: () => undefined,
    locked: [],
    locksAreFree: true,
  };
  mkdirSync(app.paths.checkouts, { recursive: true });
  mkdirSync(join(folder, 'mnt'));
  return kernel;
}

function mount(kernel: FakeKernel, words: readonly string[]): void {
  const [source = '', place = ''] = words.slice(-2);
  const type = words.includes('overlay') ? 'overlay' : 'ext4';
  const above = kernel.table.find((one) => one.place === source);
  const tree = type === 'overlay' ? 'overlay' : (above?.tree ?? source);
  kernel.table.push({
    place,
    tree,
    type,
    device: type === 'overlay' ? '0:74' : DEVICE,
    source: type === 'overlay' ? source : '/dev/sda',
  });
}

function unmount(kernel: FakeKernel, place: string): void {
  const last = kernel.table.findLastIndex((one) => one.place === place);
  if (last === -1) throw new Error(`${place} is not mounted`);
  kernel.table = kernel.table.filter((one, i) => i !== last && !one.place.startsWith(`${place}/`));
}

/** A container with a tree, as config.json describes it. */
export function addContainer(
  { app }: FakeKernel,
  name: string,
  config: Readonly<Record<string, unknown>> = { root: { readonly: true } },
): string {
  const path = realpathSync(writeContainer(app.paths.checkouts, name, { config }));
  mkdirSync(join(path, 'rootfs/data/inner'), { recursive: true });
  return path;
}

/** The folders that are kept for mounts. */
export function keptFolder({ app }: FakeKernel): string {
  const folder = join(app.paths.checkouts, '.atomic-ts/mounts');
  return existsSync(folder) ? realpathSync(folder) : folder;
}
