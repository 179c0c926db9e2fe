/** A change of a host that has every kind of step, and the host that it is made for. */
import { chmodSync, chownSync, lchownSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { besideOld } from '../../src/transaction/beside.ts';
import type { Plan, Step } from '../../src/transaction/plan.ts';
import { World, type PackageFixture } from './world.ts';

export const NAME = 'web';

const OLD = {
  name: 'pack',
  version: '1',
  files: { 'pack/both': 'one', 'pack/edited': 'one', 'pack/gone': 'one' },
};
const NEW = { name: 'pack', version: '2', files: { 'pack/both': 'two', 'pack/deep/er/new': 'two' } };
const EXTRA = { name: 'extra', version: '1', files: { 'pack/extra': 'one', 'pack/mine': 'one' } };
const FRESH = { name: 'fresh', version: '1', files: { 'fresh/a/b': 'new' } };

/** A container that is installed, runs, and is to be updated; some other unit beside it. */
export function installedWorld(root: string): World {
  const world = new World(root);
  const write = (path: string, content: string): void => {
    mkdirSync(join(world.at(path), '..'), { recursive: true });
    writeFileSync(world.at(path), content);
  };
  write('containers/web.0/rootfs/bin', 'old');
  write('containers/web.1/rootfs/bin', 'older');
  write('containers/staging/new/rootfs/bin', 'new');
  write('units/web.service', 'old unit');
  write('tmpfiles/web.conf', `d ${world.at('run/old')} 0755\n`);
  write('etc/web/removed', 'goes');
  write('etc/web/swapped', 'a file of the old image');
  write('etc/web/turned', 'a file that becomes a folder');
  write('containers/failed/web/failure.json', 'of an earlier update');
  write('etc/web/kept-aside', 'goes and comes back');
  write('run/old/state', 'state');
  write('repo/refs/x', 'commit');
  for (const [file, fixture] of Object.entries({ old: OLD, new: NEW, extra: EXTRA, fresh: FRESH }))
    write(`packages/${file}.rpm`, JSON.stringify(fixture));
  for (const fixture of [OLD, EXTRA]) {
    world.packages.set(fixture.name, fixture);
    for (const [path, content] of Object.entries(fixture.files)) write(path, content);
  }
  for (const path of ['pack/edited', 'pack/mine']) write(path, 'by hand');
  mkdirSync(world.at('host'));
  symlinkSync(world.at('containers/web.0'), world.at('containers/web'));
  symlinkSync('web.service', world.at('units/alias.service'));
  if (process.getuid?.() === 0) {
    chownSync(world.at('units/web.service'), 12, 34);
    lchownSync(world.at('containers/web'), 56, 78);
    chownSync(world.at('etc/web/removed'), 9, 9);
  }
  chmodSync(world.at('units/web.service'), 0o640);
  chmodSync(world.at('etc/web/removed'), 0o4711);
  for (const unit of [NAME, 'helper']) {
    world.enable(unit);
    world.active.add(unit);
    world.containers.add(unit);
  }
  world.containers.add('stranger');
  return world;
}

export function updatePlan(world: World): Plan {
  const host = (path: string): Omit<Extract<Step, { kind: 'create-host-file' }>['file'], 'kind'> => ({
    path: world.at(path),
    mode: 0o644,
    uid: process.getuid?.() ?? 0,
    gid: process.getgid?.() ?? 0,
    link: false,
  });
  const replace = (path: string, content: string): Step => ({
    kind: 'replace-file',
    path: world.at(path),
    mode: 0o644,
    content,
    aside: besideOld(world.at(path)),
  });
  const create = (file: Extract<Step, { kind: 'create-host-file' }>['file']): Step => ({
    kind: 'create-host-file',
    file,
    aside: besideOld(file.path),
  });
  const packed = (file: string, { name, files }: PackageFixture) => ({
    name,
    file: world.at(`packages/${file}.rpm`),
    paths: Object.keys(files).map((path) => world.at(path)),
  });
  const switchTo = (path: string, target: string): Step => ({
    kind: 'switch-link',
    path: world.at(path),
    target,
    aside: world.at(`containers/trash/${path.replace('/', '-')}`),
  });
  const steps: Step[] = [
    {
      kind: 'keep-failed',
      staged: world.at('containers/staging/new'),
      to: world.at('containers/failed/web'),
      action: 'update',
      deployment: world.at('containers/web.1'),
      image: 'docker.io/web',
      digest: 'sha256:1',
    },
    { kind: 'set-aside', path: world.at('containers/failed/web'), to: world.at('containers/trash/failed') },
    { kind: 'reload-when-undone' },
    { kind: 'stop', unit: NAME },
    { kind: 'remove-container', runtime: '/usr/bin/runc', container: NAME, ours: true },
    { kind: 'disable-now', unit: 'helper', folder: world.at('units') },
    { kind: 'set-aside', path: world.at('containers/web.1'), to: world.at('containers/trash/web.1') },
    { kind: 'place-deployment', from: world.at('containers/staging/new'), to: world.at('containers/web.1') },
    replace('units/web.service', 'new unit'),
    { kind: 'create-file', path: world.at('units/more.service'), mode: 0o600, content: 'more' },
    { kind: 'set-aside', path: world.at('etc/web/removed'), to: besideOld(world.at('etc/web/removed')) },
    { kind: 'set-aside', path: world.at('etc/web/kept-aside'), to: world.at('containers/trash/kept-aside') },
    { kind: 'create-file', path: world.at('etc/web/kept-aside'), mode: 0o644, content: 'in its place' },
    { kind: 'set-aside', path: world.at('etc/web/never-was'), to: world.at('containers/trash/never-was') },
    { kind: 'create-host-file', file: { ...host('host/a/b/file'), kind: 'file', content: 'host file' } },
    { kind: 'create-host-file', file: { ...host('host/a/folder'), kind: 'directory', mode: 0o711 } },
    { kind: 'create-host-file', file: { ...host('host/c/link'), kind: 'symlink', target: '../a' } },
    create({ ...host('etc/web/swapped'), kind: 'file', content: 'of the new image' }),
    create({ ...host('etc/web/turned'), kind: 'directory', mode: 0o755 }),
    { kind: 'create-host-file', file: { ...host('etc/web/turned/in'), kind: 'file', content: 'inside' } },
    {
      kind: 'install-package',
      package: packed('new', NEW),
      former: packed('old', OLD),
      keep: [world.at('pack/edited')],
    },
    { kind: 'remove-package', package: packed('extra', EXTRA), keep: [world.at('pack/mine')] },
    { kind: 'install-package', package: packed('fresh', FRESH), keep: [] },
    switchTo('containers/web', world.at('containers/web.1')),
    switchTo('containers/new-link', 'web'),
    {
      kind: 'remove-ref',
      ref: 'ociimage/x',
      path: world.at('repo/refs/x'),
      aside: world.at('repo/removed/x'),
    },
    {
      kind: 'remove-ref',
      ref: 'ociimage/none',
      path: world.at('repo/refs/none'),
      aside: world.at('repo/removed/none'),
    },
    { kind: 'collect-garbage', repository: world.at('repo') },
    { kind: 'remove-tmpfiles', path: world.at('tmpfiles/web.conf') },
    replace('tmpfiles/web.conf', `d ${world.at('run/new/deep')} 0755\nf ${world.at('run/file')} 0644\n`),
    { kind: 'create-tmpfiles', path: world.at('tmpfiles/web.conf') },
    { kind: 'daemon-reload' },
    { kind: 'enable', unit: 'more', folder: world.at('units') },
    { kind: 'remove-container', runtime: '/usr/bin/runc', container: 'more', ours: false },
    { kind: 'remove-container', runtime: '/usr/bin/runc', container: 'stranger', ours: false },
    { kind: 'start', unit: 'more', settleMs: 10 },
    { kind: 'start', unit: NAME, settleMs: 10 },
  ];
  return { action: 'update', container: NAME, steps };
}
