/** The order of real system calls of a transaction on real files, as the kernel gets them. */
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  planInstall,
  planSwitch,
  planUninstall,
  type HostSide,
  type Places,
} from '../../src/app/plan-change.ts';
import { parseContainerName } from '../../src/container/name.ts';
import type { Step } from '../../src/transaction/plan.ts';
import { useTempFolder } from '../fixtures/temp-folder.ts';

const CALLS = [
  'fsync,fdatasync,syncfs,rename,renameat,renameat2,link,linkat,symlink,symlinkat',
  'unlink,unlinkat,rmdir,mkdir,mkdirat,openat,write,pwrite64,writev,pwritev',
].join();
const folder = useTempFolder();
const name = parseContainerName('web');
let built = '';
let driver = '';

beforeAll(async () => {
  built = mkdtempSync(join(tmpdir(), 'atomic-ts-driver-'));
  driver = join(built, 'driver.mjs');
  await build({
    entryPoints: [fileURLToPath(new URL('durability-driver.ts', import.meta.url))],
    outfile: driver,
    bundle: true,
    platform: 'node',
    format: 'esm',
    logLevel: 'error',
    banner: {
      js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);",
    },
  });
});

afterAll(() => rmSync(built, { recursive: true, force: true }));

/** A system call that was made, in the order of their ends; paths are absolute and below the host's folder. */
interface Call {
  readonly name: string;
  /** What it is about, in the order of its arguments: the file of a descriptor, or names. */
  readonly paths: readonly string[];
  readonly text: string;
}

class Host {
  readonly root: string;
  readonly places: Places;

  constructor(label: string) {
    this.root = join(folder(), label);
    const at = (path: string): string => this.at(path);
    this.places = {
      name,
      link: at('atomic/web'),
      unit: at('units/web.service'),
      tmpfiles: at('tmpfiles/web.conf'),
      trash: (what) => at(`atomic/.atomic-ts/trash/web.${what}`),
      failed: at('atomic/.atomic-ts/failed/web'),
    };
    this.write('atomic/.atomic-ts/staging/web.1/rootfs/bin', 'new');
    for (const path of ['units/multi-user.target.wants', 'tmpfiles', 'etc'])
      mkdirSync(at(path), { recursive: true });
  }

  at(path: string): string {
    return join(this.root, path);
  }

  get staged(): string {
    return this.at('atomic/.atomic-ts/staging/web.1');
  }

  write(path: string, content: string): void {
    mkdirSync(dirname(this.at(path)), { recursive: true });
    writeFileSync(this.at(path), content);
  }

  install(): void {
    this.write('atomic/web.0/rootfs/bin', 'old');
    this.write('atomic/web.1/rootfs/bin', 'older');
    this.write('units/web.service', 'old unit');
    this.write('tmpfiles/web.conf', '');
    this.write('etc/web/old', 'old');
    this.write('etc/web/both', 'old');
    chmodSync(this.at('etc/web/both'), 0o640);
    symlinkSync(this.at('atomic/web.0'), this.at('atomic/web'));
    symlinkSync('../web.service', this.at('units/multi-user.target.wants/web.service'));
  }

  next(slot: 0 | 1): HostSide {
    const file = {
      kind: 'file',
      mode: 0o644,
      uid: process.getuid?.() ?? 0,
      gid: process.getgid?.() ?? 0,
      link: false,
    };
    return {
      path: this.at(`atomic/web.${slot}`),
      unit: 'new unit',
      tmpfiles: '# none\n',
      hostFiles: [
        { ...file, path: this.at('etc/web/both'), content: 'new' } as const,
        { ...file, path: this.at('etc/web/deep/er/new'), content: 'new' } as const,
        { ...file, kind: 'directory', path: this.at('etc/web/folder') } as const,
        { ...file, kind: 'symlink', path: this.at('etc/web/link'), target: 'both' } as const,
      ].map((one) => one as HostSide['hostFiles'][number]),
      package: undefined,
    };
  }

  /** Carries steps out under strace: the calls below the host's folder. */
  run(action: string, steps: readonly Step[], mode = ''): Call[] {
    this.write('plan.json', JSON.stringify({ action, container: name, steps }));
    const trace = this.at('trace');
    const journals = this.at('atomic/.atomic-ts/journal');
    const { status, stderr } = spawnSync(
      'strace',
      [
        '-f',
        '-y',
        '-s',
        '200',
        '-qq',
        '-e',
        'signal=none',
        '-e',
        `trace=${CALLS}`,
        '-o',
        trace,
        process.execPath,
        driver,
        this.at('plan.json'),
        journals,
        mode,
      ],
      { encoding: 'utf8' },
    );
    if (status !== 0) throw new Error(`strace: status ${status}\n${stderr}`);
    return readCalls(readFileSync(trace, 'utf8'), this.root);
  }
}

/** A call that another thread interrupts is told of in two lines: it counts where it ends. */
function readCalls(trace: string, root: string): Call[] {
  const begun = new Map<string, string>();
  const calls: Call[] = [];
  for (const line of trace.split('\n')) {
    const [, pid = '', rest = ''] = /^(\d+) +(.*)$/.exec(line) ?? [];
    const unfinished = /^(.*) <unfinished \.\.\.>$/.exec(rest);
    const resumed = /^<\.\.\. \w+ resumed>(.*)$/.exec(rest);
    if (unfinished !== null) begun.set(pid, unfinished[1] ?? '');
    const text = resumed === null ? rest : `${begun.get(pid) ?? ''}${resumed[1] ?? ''}`;
    const [, call = '', result = ''] = /^(\w+)\(.* = (-?\d+)/.exec(text) ?? [];
    if (unfinished !== null || call === '' || Number(result) < 0 || !text.includes(root)) continue;
    const written = /^p?writev?(?:64)?\(/.test(text);
    const paths = [...(written ? text.slice(0, text.indexOf('>') + 1) : text).matchAll(/["<](\/[^">]*)[">]/g)]
      .map((match) => match[1] ?? '')
      .filter((path) => path.startsWith(root));
    // What `sync -f` and `rm` do is their own; an open file is told of by its descriptor.
    if (call === 'openat' && !text.includes('O_CREAT')) continue;
    calls.push({ name: call, paths: paths.map((path) => path.slice(root.length + 1)), text });
  }
  return calls.filter(({ paths }) => paths.length > 0);
}

const isJournal = ({ paths }: Call): boolean => paths[0]?.endsWith('journal/web.jsonl') === true;

/** What was not on the disk when the journal said the next thing. */
function findUnsynced(calls: readonly Call[]): string[] {
  const unsynced: string[] = [];
  const open = new Set<string>();
  const dirty = new Set<string>();
  for (const call of calls) {
    const [first = '', second = ''] = call.paths;
    const isLine = call.name.includes('write') && isJournal(call);
    const isEnd = call.name.startsWith('unlink') && isJournal(call);
    // The journal has its name on the disk behind its first line, which begins nothing yet.
    const isFirst = isLine && call.text.includes('\\"journal\\":1');
    if ((isLine && !isFirst) || isEnd) {
      for (const path of [...open, ...dirty]) unsynced.push(`${path} before ${call.text}`);
      open.clear();
      dirty.clear();
    }
    switch (call.name) {
      case 'fsync':
      case 'fdatasync':
        open.delete(first);
        dirty.delete(first);
        break;
      case 'syncfs':
        open.clear();
        dirty.clear();
        break;
      case 'rename':
      case 'renameat':
      case 'renameat2':
      case 'link':
      case 'linkat':
        // The switch: what gets its place is whole on the disk.
        if (dirty.has(first)) unsynced.push(`the file ${first} before ${call.text}`);
        open.add(dirname(second));
        if (call.name.startsWith('rename')) open.add(dirname(first));
        break;
      case 'write':
      case 'pwrite64':
      case 'writev':
      case 'pwritev':
        if (!isLine) dirty.add(first);
        break;
      default:
        // Inside a tree that goes, only the tree's own name matters.
        if (!/trash\/[^/]+\/|staging\/[^/]+\/|failed\/web\/deployment\//.test(first))
          open.add(dirname(first));
    }
    if (isLine) dirty.add(first);
  }
  for (const path of [...open, ...dirty]) unsynced.push(`${path} before the end`);
  return unsynced;
}

const settling = { settleMs: 1, runtime: undefined, check: undefined };
const goal = { action: 'update', image: 'i', digest: undefined };

function planOf(host: Host, action: string): Step[] {
  const { places } = host;
  if (action === 'install')
    return planInstall(places, host.next(0), { staged: host.staged, stale: [], start: true, settling });
  host.install();
  const present = {
    active: true,
    hasUnit: true,
    hasTmpfiles: true,
    hasFailed: false,
    hostFilesToRemove: [host.at('etc/web/old'), host.at('etc/web/both')],
    package: undefined,
  };
  if (action === 'uninstall')
    return planUninstall(places, present, [host.at('atomic/web.0'), host.at('atomic/web.1')], undefined);
  const staged = action === 'update' ? host.staged : undefined;
  return planSwitch(places, present, host.next(1), { staged, settling, goal });
}

describe.each(['install', 'update', 'rollback', 'uninstall'])('%s', (action) => {
  it('syncs each file, its folder, and the journal, in this order', () => {
    const host = new Host(action);
    const calls = host.run(action, planOf(host, action));
    expect(calls.length).toBeGreaterThan(50);
    expect(findUnsynced(calls)).toEqual([]);
    const at = (test: (call: Call) => boolean): number => calls.findLastIndex(test);
    const end = at((call) => isJournal(call) && call.text.includes('committed'));
    expect(end).toBeGreaterThan(0);
    expect(calls[end + 1]).toMatchObject({ name: 'fdatasync' });
    const removed = at((call) => isJournal(call) && call.name.startsWith('unlink'));
    expect(removed).toBeGreaterThan(end);
    expect(calls.slice(removed + 1).map((call) => [call.name, ...call.paths])).toEqual([
      ['fsync', 'atomic/.atomic-ts/journal'],
    ]);
  });
});

describe.each(['install', 'update', 'rollback'])('%s, undone', (action) => {
  it('has that on the disk before its journal goes', () => {
    const host = new Host(`${action}-undone`);
    const calls = host.run(action, planOf(host, action), 'fail');
    expect(findUnsynced(calls)).toEqual([]);
    expect(calls.some((call) => call.text.includes('{\\"undone\\":0}'))).toBe(true);
    expect(calls.at(-1)).toMatchObject({ name: 'fsync', paths: ['atomic/.atomic-ts/journal'] });
  });
});
