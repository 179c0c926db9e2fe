/** The tmpfiles lines and units we write, judged by systemd's own programs. */
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { renderTmpfiles } from '../../src/render/tmpfiles.ts';
import { renderDefaultUnit } from '../../src/render/unit.ts';
import { besideNew, besideOld } from '../../src/transaction/beside.ts';
import { templates } from '../render/deployment-input.ts';

const isRoot = process.getuid?.() === 0;
const has = (tool: string): boolean => spawnSync('which', [tool]).status === 0;

let base = '';
beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'systemd-'));
});
afterEach(() => rmSync(base, { recursive: true, force: true }));

function create(text: string | undefined): void {
  const file = join(base, 'x.conf');
  writeFileSync(file, text ?? '');
  const { status, stderr } = spawnSync('systemd-tmpfiles', ['--create', file], { encoding: 'utf8' });
  expect([status, stderr]).toEqual([0, '']);
}

describe.skipIf(!isRoot || !has('systemd-tmpfiles'))('tmpfiles lines', () => {
  const input = { identity: { uid: 0, gid: 0 }, sourceMissing: () => true, previous: undefined, templates };

  it('make exactly the folders that are meant, however odd their names', () => {
    const names = ['plain', 'with blank', `quo"te's`, 'back\\slash', '100%i', 'tab\there', '# comment', 'é'];
    const mounts = names.map((name) => ({
      destination: '/d',
      type: 'bind',
      source: join(base, 'made', name),
    }));
    create(renderTmpfiles({ ...input, spec: { mounts }, volumes: [] }));
    expect(readdirSync(join(base, 'made')).sort()).toEqual([...names].sort());
    expect(statSync(join(base, 'made/plain')).mode & 0o7777).toBe(0o700);
  });

  it('fill a volume from the image with owners and modes while it is empty, and never again', () => {
    const image = join(base, 'rootfs/data');
    mkdirSync(join(image, 'sub'), { recursive: true });
    writeFileSync(join(image, 'sub/seed'), 'of the image');
    chownSync(image, 999, 998);
    chmodSync(image, 0o1770);
    const source = join(base, 'state/x/data');
    const volumes = [{ path: '/data', source, copyFrom: image, uid: 0, gid: 0 }];
    const text = renderTmpfiles({ ...input, spec: {}, volumes });
    create(text);
    const { uid, gid, mode } = statSync(source);
    expect([uid, gid, mode & 0o7777]).toEqual([999, 998, 0o1770]);
    writeFileSync(join(source, 'sub/seed'), 'changed');
    writeFileSync(join(image, 'late'), '');
    create(text);
    expect(readFileSync(join(source, 'sub/seed'), 'utf8')).toBe('changed');
    expect(readdirSync(source)).toEqual(['sub']);
  });
});

describe('a file that waits beside its place', () => {
  const text = 'd /made-by-what-waits 0755\n';

  it.skipIf(!isRoot || !has('systemd-tmpfiles'))('is nothing to systemd-tmpfiles', () => {
    const folder = join(base, 'etc/tmpfiles.d');
    mkdirSync(folder, { recursive: true });
    const place = join(folder, 'web.conf');
    writeFileSync(place, 'd /made-by-its-place 0755\n');
    for (const path of [besideOld(place), besideNew(place)]) writeFileSync(path, text);
    const { status, stderr } = spawnSync('systemd-tmpfiles', ['--create', `--root=${base}`], {
      encoding: 'utf8',
    });
    expect([status, stderr.includes('atomic')]).toEqual([0, false]);
    expect(readdirSync(base).sort()).toEqual(['etc', 'made-by-its-place']);
  });

  it.skipIf(!has('systemctl'))('is no unit to systemd, and enables none', () => {
    const folder = join(base, 'etc/systemd/system');
    mkdirSync(join(folder, 'multi-user.target.wants'), { recursive: true });
    const place = join(folder, 'web.service');
    const unit = '[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n';
    for (const path of [place, besideOld(place), besideNew(place)]) writeFileSync(path, unit);
    const link = join(folder, 'multi-user.target.wants/web.service');
    symlinkSync('../web.service', besideOld(link));
    const ask = (...args: string[]): string =>
      spawnSync('systemctl', [`--root=${base}`, ...args], { encoding: 'utf8' }).stdout.trim();
    expect(ask('list-unit-files', '--no-legend', '--plain').split(/\s+/).slice(0, 2)).toEqual([
      'web.service',
      'disabled',
    ]);
    ask('enable', 'web.service');
    expect(ask('is-enabled', 'web.service')).toBe('enabled');
    ask('disable', 'web.service');
    expect(readdirSync(join(folder, 'multi-user.target.wants'))).toEqual(['.web.service.atomic-old']);
  });
});

describe.skipIf(!has('systemd-analyze'))('the default unit', () => {
  it.each([true, false])('is accepted by systemd (detached: %s)', (detached) => {
    const values = {
      NAME: 'x',
      EXEC_STARTPRE: '',
      EXEC_START: "/bin/true  --systemd-cgroup run -d 'x'",
      EXEC_STOPPOST: "/bin/true delete 'x'",
      DESTDIR: '/',
      PIDFILE: '/run/container-x.pid',
    };
    const unit = join(base, 'x.service');
    writeFileSync(
      unit,
      renderDefaultUnit(values, { detached, stopSignal: 'SIGQUIT', runtime: '/bin/true' }, templates),
    );
    const { status, stderr } = spawnSync(
      'systemd-analyze',
      ['verify', '--man=no', '--recursive-errors=no', unit],
      { encoding: 'utf8' },
    );
    expect([status, stderr.split('\n').filter((line) => line.includes('x.service'))]).toEqual([0, []]);
  });
});
