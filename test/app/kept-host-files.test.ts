import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openHostFiles } from '../../src/app/host-files-again.ts';
import { keepHostFiles, readKeptHostFiles } from '../../src/app/kept-host-files.ts';
import type { PlannedHostFile } from '../../src/container/host-files.ts';
import { parseInfo, type ContainerInfo } from '../../src/container/info.ts';
import { parseContainerName } from '../../src/container/name.ts';
import { createListHost, type ListHost } from './list-host.ts';

const sha = (text: string): string => createHash('sha256').update(text).digest('hex');

let folder: string;
let host: ListHost;
let files: PlannedHostFile[];
const at = (path: string): string => join(folder, path);
const tree = (isForeign: boolean) => ({ path: at('staged/rootfs'), place: at('x.0/rootfs'), isForeign });
const deployment = () => ({ path: at('staged'), place: at('x.0') });

beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'kept-')));
  host = createListHost(folder);
  mkdirSync(at('staged/rootfs/exports/hostfs'), { recursive: true });
  writeFileSync(at('staged/rootfs/exports/hostfs/tool'), 'tool');
  chmodSync(at('staged/rootfs/exports/hostfs/tool'), 0o4755);
  const common = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0, mode: 0o644, link: false };
  files = [
    {
      ...common,
      path: '/usr/bin/tool',
      kind: 'file',
      mode: 0o4755,
      source: at('x.0/rootfs/exports/hostfs/tool'),
      link: true,
      checksum: sha('tool'),
    },
    { ...common, path: '/etc/x.conf', kind: 'file', content: 'hello World', checksum: sha('hello World') },
    { ...common, path: '/etc/link', kind: 'symlink', mode: 0o777, target: '/no/where', checksum: '0' },
    { ...common, path: '/srv/empty', kind: 'directory', mode: 0o750, checksum: '0' },
  ];
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function infoOf(changes: Partial<ContainerInfo> = {}): ContainerInfo {
  return {
    ...parseInfo('{}', 'info'),
    installedFiles: files.map(({ path }) => path),
    installedFilesChecksum: Object.fromEntries(files.map(({ path, checksum }) => [path, checksum])),
    useLinks: true,
    ...changes,
  };
}

describe('host files that a deployment keeps', () => {
  it('are there without its tree, as they were made', async () => {
    const kept = await keepHostFiles(host.app, deployment(), files, tree(false));
    rmSync(at('staged/rootfs'), { recursive: true });
    renameSync(at('staged'), at('x.0'));
    expect(kept.map(({ source }) => source)).toEqual([
      at('x.0/hostfs/usr/bin/tool'),
      at('x.0/hostfs/etc/x.conf'),
      undefined,
      undefined,
    ]);
    expect(kept.every((file) => file.content === undefined)).toBe(true);
    const read = await readKeptHostFiles(host.app, { path: at('x.0'), place: at('x.0') }, infoOf());
    expect(read).toEqual(kept.map(({ checksum: _checksum, ...file }) => file));
    expect(readFileSync(at('x.0/hostfs/etc/x.conf'), 'utf8')).toBe('hello World');
  });

  it('cost nothing where the tree is ours, and are copies of one that may change', async () => {
    await keepHostFiles(host.app, deployment(), files, tree(false));
    const source = at('staged/rootfs/exports/hostfs/tool');
    expect(statSync(at('staged/hostfs/usr/bin/tool')).ino).toBe(statSync(source).ino);
    rmSync(at('staged/hostfs'), { recursive: true });
    const kept = await keepHostFiles(host.app, deployment(), files, tree(true));
    expect(statSync(at('staged/hostfs/usr/bin/tool')).ino).not.toBe(statSync(source).ino);
    expect(kept[0]?.link).toBe(false);
  });

  it('are refused when a foreign tree changed between their plan and their copy', async () => {
    writeFileSync(at('staged/rootfs/exports/hostfs/tool'), 'another');
    await expect(keepHostFiles(host.app, deployment(), files, tree(true))).rejects.toMatchObject({
      code: 'host-file',
      message: expect.stringContaining('was changed while it was read'),
    });
  });

  it('count for nothing when one is missing or not what was recorded', async () => {
    await keepHostFiles(host.app, deployment(), files, tree(false));
    const read = () => readKeptHostFiles(host.app, deployment(), infoOf());
    expect(await read()).toHaveLength(4);
    writeFileSync(at('staged/hostfs/etc/x.conf'), 'edited');
    expect(await read()).toBeUndefined();
    rmSync(at('staged/hostfs/etc/x.conf'));
    expect(await read()).toBeUndefined();
  });
});

describe('openHostFiles', () => {
  it('leaves what stands in the way of kept files, and says so of files', async () => {
    files = files.map((file) => ({ ...file, path: at(`host${file.path}`) }));
    await keepHostFiles(host.app, deployment(), files, tree(false));
    mkdirSync(at('host/etc'), { recursive: true });
    mkdirSync(at('host/srv/empty'), { recursive: true });
    writeFileSync(at('host/etc/x.conf'), 'theirs');
    writeFileSync(at('host/etc/link'), 'ours, and leaving');
    const again = await openHostFiles(host.app, parseContainerName('x'), { ...deployment(), info: infoOf() });
    const planned = await again.plan([at('host/etc/link')]);
    await again.discard();
    expect(planned.files.map(({ path }) => path)).toEqual([at('host/usr/bin/tool'), at('host/etc/link')]);
    expect(planned.messages).toEqual([`File ${at('host/etc/x.conf')} already exists`]);
  });

  it('makes them from the tree of a deployment that has one, with the values of that deployment', async () => {
    rmSync(at('staged/rootfs/exports/hostfs'), { recursive: true });
    const inside = `staged/rootfs/exports/hostfs${at('host/etc')}`;
    mkdirSync(at(inside), { recursive: true });
    writeFileSync(at(`${inside}/x.conf`), 'hello $RECEIVER');
    writeFileSync(at(`${inside}/other`), 'not ours');
    writeFileSync(
      at('staged/rootfs/exports/manifest.json'),
      JSON.stringify({ installedFilesTemplate: [at('host/etc/x.conf')] }),
    );
    const info = infoOf({
      installedFiles: [at('host/etc/x.conf')],
      values: { RECEIVER: 'Then' },
    });
    const again = await openHostFiles(host.app, parseContainerName('x'), { ...deployment(), info });
    const { files: planned } = await again.plan([]);
    expect(planned).toMatchObject([{ path: at('host/etc/x.conf'), content: 'hello Then' }]);
    expect(existsSync(at('host'))).toBe(false);
  });

  it('has nothing to do for a deployment without host files', async () => {
    const info = infoOf({ installedFiles: [] });
    const again = await openHostFiles(host.app, parseContainerName('x'), { ...deployment(), info });
    expect(await again.plan([])).toEqual({ files: [], messages: [] });
  });
});
