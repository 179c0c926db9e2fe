/** Host files as a package: the real rpm, on a host whose own packages are dpkg's or rpm's. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hasStruck, prepareFaults, strike } from './support/faults.ts';
import { helloImage, readHello } from './support/images.ts';
import {
  CHECKOUTS,
  openStage,
  readInfo,
  REGISTRY,
  takeSnapshot,
  waitForPage,
  type Stage,
} from './support/stage.ts';

const PACKAGE = 'atomic-container-hr';
const PAGE = 'http://localhost:8081/';
const MANIFEST = {
  defaultValues: { RECEIVER: 'World', PORT: '8081' },
  installedFilesTemplate: ['/usr/local/share/hh/tmpl'],
  renameFiles: { '/usr/local/share/hh/old': '/usr/local/share/hh/new-$NAME' },
};
const HOSTFS = {
  'hostfs/usr/local/share/hh/tmpl': 'hello $RECEIVER',
  'hostfs/usr/local/share/hh/old': 'renamed',
  'hostfs/usr/local/share/hh/plain': 'one',
  'hostfs/usr/local/share/hh/a %{b} "c"*': 'odd',
  'hostfs/usr/local/share/hh/gone': 'in the first alone',
};
const { 'hostfs/usr/local/share/hh/gone': _gone, ...LATER } = HOSTFS;
const imageOf = (exports: Readonly<Record<string, string>>) =>
  helloImage({ exports: { 'manifest.json': JSON.stringify(MANIFEST), ...exports } });

let stage: Stage;
let image: string;
/** rpm as it is called on this host: Debian's has its database in the home of whoever calls it. */
const rpm = (...args: string[]): Promise<string> => stage.run('rpm', '--dbpath', '/var/lib/rpm', ...args);
const installed = async (): Promise<string> =>
  stage.shell(`rpm --dbpath /var/lib/rpm -qa 'atomic-container-*'`);
const contents = (): Promise<string> =>
  stage.shell('cd /usr/local/share/hh 2>/dev/null && for f in *; do echo "$f: $(cat "$f")"; done || true');
const lines = async (...args: string[]): Promise<string[]> =>
  (await stage.succeed(...args)).split('\n').slice(0, -1);

beforeAll(async () => {
  stage = await openStage();
  await prepareFaults(stage);
  await stage.host.writeFile('/opt/half/rpm', HALF, 0o755);
  await stage.shell('mkdir -p /var/lib/rpm; rpm --dbpath /var/lib/rpm --initdb');
  image = await stage.push(imageOf(HOSTFS), 'hh');
});
afterAll(() => stage.close());

/** In place of rpm: kills it at one of its renames, and then whoever has called it. */
const HALF = `#!/bin/sh
case " $* " in *" --upgrade "*) ;; *) exec /usr/bin/rpm "$@" ;; esac
strace -f -qq -o /dev/null -e trace=rename,renameat,renameat2 \\
  -e inject=rename,renameat,renameat2:signal=KILL:when=$HALF_WAY /usr/bin/rpm "$@"
[ $? = 137 ] || echo "rpm was not killed" >&2
kill -KILL "$PPID"
`;
const halfWay = (number: number) => ({
  env: { PATH: '/opt/half:/usr/sbin:/usr/bin:/sbin:/bin', HALF_WAY: String(number) },
});

describe('host files as a package', () => {
  let before: string;

  it('are not the custom where rpm does not manage the host', async () => {
    before = await takeSnapshot(stage);
    const told = await lines('install', '--name', 'hr', image);
    expect(told).toContain('Created file /usr/local/share/hh/plain');
    expect(await readInfo(stage, 'hr')).toMatchObject({ 'rpm-installed': null, 'system-package': 'no' });
    await stage.succeed('uninstall', 'hr');
    await stage.shell('rmdir /usr/local/share/hh /run/hr');
    expect(await installed()).toBe('');
  });

  it('are gone when the first installation dies half way', async () => {
    const died = await stage.atomic(['install', '--system-package=yes', '--name', 'hr', image], halfWay(2));
    expect(died.code).toBe(137);
    expect((await stage.shell('ls -A /usr/local/share/hh')).split('\n').length).toBeGreaterThan(1);
    await stage.succeed('repair');
    expect([await installed(), await stage.shell('test -e /usr/local/share/hh || echo gone')]).toEqual([
      '',
      'gone',
    ]);
    expect(await takeSnapshot(stage)).toBe(before);
  });

  it('are built with rpmbuild, installed by rpm, and belong to the package', async () => {
    const result = await stage.atomic(['install', '--system-package=yes', '--name', 'hr', image]);
    expect(result).toMatchObject({ code: 0, stderr: expect.stringContaining('rpm does not manage') });
    expect(result.stdout.split('\n').slice(0, -1)).toEqual([
      `Extracting to ${CHECKOUTS}/hr.0`,
      `rpm --upgrade ${CHECKOUTS}/hr.0/${PACKAGE}.rpm`,
      'systemctl daemon-reload',
      'systemd-tmpfiles --create /etc/tmpfiles.d/hr.conf',
      'systemctl enable hr',
      'systemctl start hr',
    ]);
    expect((await rpm('-ql', PACKAGE)).split('\n')).toEqual([
      '/usr/local/share/hh/a %{b} "c"*',
      '/usr/local/share/hh/gone',
      '/usr/local/share/hh/new-hr',
      '/usr/local/share/hh/plain',
      '/usr/local/share/hh/tmpl',
    ]);
    expect(await rpm('-V', PACKAGE)).toBe('');
    expect(await contents()).toBe(
      'a %{b} "c"*: odd\ngone: in the first alone\nnew-hr: renamed\nplain: one\ntmpl: hello World',
    );
    expect(await readInfo(stage, 'hr')).toMatchObject({
      'installed-files': [],
      'rpm-installed': `${PACKAGE}.rpm`,
      'system-package': 'yes',
    });
    const revision = (await readInfo(stage, 'hr'))['revision'] as string;
    const format = '%{NAME} %{VERSION} %{RELEASE} %{ARCH} %{LICENSE} %{SUMMARY}';
    expect(await rpm('-q', '--qf', format, PACKAGE)).toBe(
      `${PACKAGE} 0 ${revision} noarch GPLv2 Says hi over HTTP`,
    );
    await waitForPage(stage, PAGE, 'Hi World');
  });

  it('are looked at by status, and put right by repair', async () => {
    expect(await stage.succeed('status', '--no-rootfs', 'hr')).toContain(`${PACKAGE}-0-`);
    await stage.shell('cd /usr/local/share/hh; echo mine >plain; rm tmpl');
    const drifted = await stage.atomic(['status', '--no-rootfs', 'hr']);
    expect(drifted).toMatchObject({
      code: 5,
      stdout: expect.stringContaining('2 of 5 files are not as installed'),
    });
    await stage.succeed('repair', 'hr');
    expect(await rpm('-V', PACKAGE)).toBe('');
    expect(await stage.run('cat', '/usr/local/share/hh/plain.atomic-save')).toBe('mine');
    await stage.run('rm', '/usr/local/share/hh/plain.atomic-save');
    await rpm('--erase', PACKAGE, ...(await force()));
    await stage.succeed('repair', 'hr');
    expect(await rpm('-V', PACKAGE)).toBe('');
  });

  it('change with an update, but for those that were changed by hand', async () => {
    await stage.push(imageOf({ ...LATER, 'hostfs/usr/local/share/hh/more': 'in the second' }), 'hh');
    await stage.shell('echo by hand >/usr/local/share/hh/plain');
    const told = await lines('update', '--set', 'RECEIVER=Two', 'hr');
    expect(told).toContain('Will not delete /usr/local/share/hh/plain as it was manually modified.');
    expect(told).toContain('File /usr/local/share/hh/plain already exists');
    expect(told).toContain(`rpm --upgrade ${CHECKOUTS}/hr.1/${PACKAGE}.rpm`);
    expect(await contents()).toBe(
      'a %{b} "c"*: odd\nmore: in the second\nnew-hr: renamed\nplain: by hand\ntmpl: hello Two',
    );
    expect(await rpm('-V', PACKAGE)).toBe('');
    expect(await rpm('-ql', PACKAGE)).not.toContain('plain');
    // The same image with another value has the same name, version and release.
    await stage.succeed('update', '--set', 'RECEIVER=Three', 'hr');
    expect(await contents()).toContain('tmpl: hello Three');
    await stage.succeed('update', '--set', 'RECEIVER=Two', 'hr');
    await waitForPage(stage, PAGE, 'Hi Two');
  });

  it.each(['before', 'after'] as const)(
    'are what they were when an update dies %s rpm has run, and is repaired',
    async (when) => {
      const [files, packages] = [await contents(), await installed()];
      const fault = { signal: 'KILL', at: 'rpm --upgrade', when } as const;
      const died = await stage.atomic(['update', '--set', 'RECEIVER=Dead', 'hr'], await strike(stage, fault));
      expect([died.code, await hasStruck(stage)]).toEqual([137, true]);
      expect(await stage.succeed('repair')).toContain('hr');
      expect([await contents(), await installed()]).toEqual([files, packages]);
      expect(await rpm('-V', PACKAGE)).toBe('');
      await waitForPage(stage, PAGE, 'Hi Two');
    },
  );

  it('are what they were when rpm itself dies half way, at any of its files', async () => {
    const [files, packages] = [await contents(), await installed()];
    for (const number of [1, 2, 3]) {
      const died = await stage.atomic(['update', '--set', 'RECEIVER=Dead', 'hr'], halfWay(number));
      expect(died.code).toBe(137);
      // Its files are of both packages now.
      await stage.succeed('repair');
      expect([await contents(), await installed()]).toEqual([files, packages]);
      expect(await rpm('-V', PACKAGE)).toBe('');
      expect(await stage.shell('ls -A /usr/local/share/hh | grep -F ";" || true')).toBe('');
    }
    await waitForPage(stage, PAGE, 'Hi Two');
  });

  it('come back as they were when the update does not start', async () => {
    const files = await contents();
    const unit = readHello('exports/service.template').replace(/^ExecStart=.*$/m, 'ExecStart=/bin/false');
    const broken = await stage.push(
      imageOf({ 'hostfs/usr/local/share/hh/broken': 'x', 'service.template': unit }),
      'broken',
    );
    const failed = await stage.atomic(['update', '--rebase', broken, 'hr']);
    expect(failed).toMatchObject({
      code: 4,
      stdout: expect.stringContaining(`rpm --upgrade ${CHECKOUTS}/hr.0/${PACKAGE}.rpm`),
    });
    expect(await contents()).toBe(files);
    expect(await rpm('-V', PACKAGE)).toBe('');
    await waitForPage(stage, PAGE, 'Hi Two');
  });

  it('go back with a rollback, and forth again', async () => {
    await stage.shell(
      'echo one >/usr/local/share/hh/plain.new; mv /usr/local/share/hh/plain.new /usr/local/share/hh/plain',
    );
    const files = await contents();
    const [current, other] = [await stage.run('readlink', `${CHECKOUTS}/hr`), await rpm('-q', PACKAGE)];
    await stage.succeed('containers', 'rollback', 'hr');
    expect(await contents()).toContain('tmpl: hello Three');
    expect(await rpm('-V', PACKAGE)).toBe('');
    await stage.succeed('containers', 'rollback', 'hr');
    expect([
      await contents(),
      await stage.run('readlink', `${CHECKOUTS}/hr`),
      await rpm('-q', PACKAGE),
    ]).toEqual([files, current, other]);
  });

  it('go with the container', async () => {
    await stage.shell('echo by hand >/usr/local/share/hh/more');
    expect(await lines('uninstall', 'hr')).toEqual([
      'systemctl disable --now hr',
      'systemctl daemon-reload',
      'systemd-tmpfiles --remove /etc/tmpfiles.d/hr.conf',
      `rpm --erase ${PACKAGE}`,
      'Will not delete /usr/local/share/hh/more as it was manually modified.',
    ]);
    expect([await installed(), await contents()]).toEqual(['', 'more: by hand\nplain: one']);
    await stage.shell('rm -r /usr/local/share/hh; rmdir /run/hr');
    expect(await takeSnapshot(stage)).toBe(before);
  });

  it('are the custom where rpm manages the host', async () => {
    // Such a host, to the eyes of whoever asks: its database knows the program rpm.
    await stage.shell(OWN_RPM);
    const told = await lines('install', '--name', 'hr', image);
    expect(told).toContain(`rpm --upgrade ${CHECKOUTS}/hr.0/${PACKAGE}.rpm`);
    await stage.succeed('uninstall', 'hr');
    await stage.shell(
      'rm /etc/rpm/macros.native; rpm --dbpath /var/lib/rpm --justdb --nodeps -e rpm; rmdir /run/hr',
    );
  });
});

/** Debian's rpm has an option of its own that says that one means it. */
async function force(): Promise<string[]> {
  return (await stage.shell('test ! -e /var/lib/dpkg/status || echo --force-debian'))
    .split('\n')
    .filter(Boolean);
}

const OWN_RPM = `
  mkdir -p /tmp/own /etc/rpm; cd /tmp/own
  printf 'Name: rpm\\nVersion: 1\\nRelease: 1\\nSummary: x\\nLicense: x\\nBuildArch: noarch\\nAutoReqProv: no\\n%%description\\nx\\n%%install\\nmkdir -p $RPM_BUILD_ROOT/usr/bin\\ncp /usr/bin/rpm $RPM_BUILD_ROOT/usr/bin/\\n%%files\\n/usr/bin/rpm\\n' >own.spec
  rpmbuild -bb --define '_topdir /tmp/own' --define '_rpmfilename own.rpm' --define '__os_install_post %{nil}' --define 'debug_package %{nil}' --define '_binaries_in_noarch_packages_terminate_build 0' --define '_build_id_links none' own.spec >/dev/null 2>&1
  rpm --dbpath /var/lib/rpm --justdb --force-debian --nodeps -i RPMS/own.rpm || rpm --dbpath /var/lib/rpm --justdb --nodeps -i RPMS/own.rpm
  echo '%_dbpath /var/lib/rpm' >/etc/rpm/macros.native
`;

/** A package of somebody's, made on the host. */
async function makePackage(name: string, sections: string): Promise<Buffer> {
  const spec = `Name: ${PACKAGE}
Version: 7
Release: 1
Summary: x
License: x
BuildArch: noarch
%description
x
%install
mkdir -p $RPM_BUILD_ROOT/opt/web
echo theirs >$RPM_BUILD_ROOT/opt/web/theirs
%files
/opt/web
${sections}
`;
  await stage.host.writeFile(`/images/${name}/x.spec`, spec);
  await stage.shell(
    `cd /images/${name}; rpmbuild -bb --define "_topdir $PWD" --define '_rpmfilename x.rpm' x.spec >log 2>&1`,
  );
  return readFileSync(join(stage.images, name, 'RPMS', 'x.rpm'));
}

const bring = (path: string, content: string | Buffer) =>
  helloImage({ files: [{ path: `exports/${path}`, content }] });

describe('a package that an image brings', () => {
  it('is installed where a package is asked for, and not by custom', async () => {
    const theirs = await stage.push(bring('container.rpm', await makePackage('plain', '')), 'theirs');
    await stage.succeed('install', '--name', 'hr', theirs);
    expect(await installed()).toBe('');
    await stage.succeed('uninstall', 'hr');
    await stage.succeed('install', '--system-package=yes', '--name', 'hr', theirs);
    expect(await installed()).toBe(`${PACKAGE}-7-1.noarch`);
    expect(await stage.run('cat', '/opt/web/theirs')).toBe('theirs');
    const next = await makePackage('next', '%dir %attr(0711,root,root) /opt/web');
    await stage.push(bring('container.rpm', next), 'theirs');
    await stage.shell('echo by hand >/opt/web/theirs');
    expect(await lines('update', 'hr')).toContain(`rpm --upgrade ${CHECKOUTS}/hr.1/${PACKAGE}.rpm`);
    expect(await stage.shell('stat -c %a /opt/web; cat /opt/web/theirs')).toBe('711\nby hand');
    await stage.shell('echo theirs >/opt/web/theirs');
    await stage.succeed('uninstall', 'hr');
    expect(await stage.shell('test -e /opt/web || echo gone')).toBe('gone');
  });

  it('is refused when it would run programs on the host, and can be had to look at', async () => {
    const theirs = await stage.push(
      bring('container.rpm', await makePackage('scripts', '%post\ntouch /etc/ran')),
      'scripts',
    );
    const before = await takeSnapshot(stage);
    const refused = await stage.atomic(['install', '--system-package=yes', '--name', 'hr', theirs]);
    expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining('it has scriptlets') });
    expect(refused.stderr).toContain('touch /etc/ran');
    const built = await stage.atomic(['install', '--system-package=build', '--name', 'hr', theirs], {
      cwd: '/root',
    });
    expect(built).toMatchObject({ code: 0, stderr: expect.stringContaining('touch /etc/ran') });
    expect(await stage.run('rpm', '-qp', `/root/${PACKAGE}.rpm`)).toBe(`${PACKAGE}-7-1.noarch`);
    expect(await takeSnapshot(stage)).toBe(before);
  });

  it('is not installed over files of the host', async () => {
    const theirs = `${REGISTRY}/theirs`;
    await stage.shell('mkdir -p /opt/web; echo ours >/opt/web/theirs');
    const refused = await stage.atomic(['install', '--system-package=yes', '--name', 'hr', theirs]);
    expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining('already exists') });
    expect(await stage.run('cat', '/opt/web/theirs')).toBe('ours');
    await stage.shell('rm -r /opt/web');
  });
});

describe('the spec of an image', () => {
  const SPEC = `%(touch /etc/ran /var/lib/ran; cat /etc/shadow >/tmp/shadow 2>/dev/null; true)
Name: atomic-container-$NAME
Version: 3
Release: 1
Summary: for $RECEIVER
License: x
BuildArch: noarch
%description
x
%install
mkdir -p $$RPM_BUILD_ROOT/opt/web
{ cat /proc/self/uid_map; wc -c </tmp/shadow; ls /sys/class/net; } >$$RPM_BUILD_ROOT/opt/web/report || :
touch /usr/ran /run/ran || :
%files
/opt/web
/usr/local/share/hh/plain
`;

  it('makes the package, as a user that can do nothing to the host', async () => {
    const theirs = await stage.push(
      helloImage({ exports: { 'rpm.spec.template': SPEC, 'hostfs/usr/local/share/hh/plain': 'one' } }),
      'spec',
    );
    await stage.succeed('install', '--system-package=yes', '--set', 'RECEIVER=You', '--name', 'hr', theirs);
    expect(await rpm('-q', '--qf', '%{NVRA} %{SUMMARY}', PACKAGE)).toBe(`${PACKAGE}-3-1.noarch for You`);
    expect(await stage.run('cat', '/usr/local/share/hh/plain')).toBe('one');
    const report = (await stage.run('cat', '/opt/web/report')).split('\n');
    // Root of nothing but itself, no password hashes, no network but its own loopback.
    expect(report[0]).toMatch(/^\s*0\s+6\d{4}\s+1$/);
    expect(report.slice(1)).toEqual(['0', 'lo']);
    expect(await rpm('-q', '--qf', '[%{FILEUSERNAME}\\n]', PACKAGE)).toMatch(/^(?:root\s*)+$/);
    const ran = await stage.shell(
      'ls -d /etc/ran /var/lib/ran /usr/ran /run/ran /tmp/shadow 2>/dev/null || true',
    );
    expect(ran).toBe('');
    await stage.succeed('uninstall', 'hr');
    await stage.shell('rmdir /run/hr /usr/local/share/hh');
  });

  it('is told of when it makes no package, and nothing is left', async () => {
    const before = await takeSnapshot(stage);
    const bad = await stage.push(
      helloImage({ exports: { 'rpm.spec': 'Name: %{error:not today}\n' } }),
      'bad',
    );
    const refused = await stage.atomic(['install', '--system-package=yes', '--name', 'hr', bad]);
    expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining('makes no package') });
    expect(refused.stderr).toContain('not today');
    expect(await takeSnapshot(stage)).toBe(before);
    // Nobody has asked for it.
    await stage.succeed('install', '--name', 'hr', bad);
    await stage.succeed('uninstall', 'hr');
    await stage.shell('rmdir /run/hr');
  });
});

describe('a package of a whole container', () => {
  it('is left in the current folder, and makes a container of a host that has it', async () => {
    const before = await takeSnapshot(stage);
    await stage.push(imageOf(HOSTFS), 'hh');
    // What is on this host is in nobody's way.
    await stage.shell('mkdir /usr/local/share/hh; echo ours >/usr/local/share/hh/plain');
    const built = await stage.atomic(['install', '--system-package=build', '--pull', '--name', 'hr', image], {
      cwd: '/root',
    });
    expect(built.code).toBe(0);
    expect(built.stdout.split('\n').slice(1)).toEqual([`Generated rpm /root/${PACKAGE}.rpm`, '']);
    expect(await takeSnapshot(stage)).toBe(before);
    await stage.shell(`mkdir /tmp/other
      rpm --root /tmp/other --dbpath /var/lib/rpm --force-debian -i --nosignature /root/${PACKAGE}.rpm ||
        rpm --root /tmp/other --dbpath /var/lib/rpm -i --nosignature /root/${PACKAGE}.rpm`);
    const files = (await stage.run('find', '/tmp/other/usr', '-maxdepth', '5')).split('\n');
    expect(files).toEqual(
      expect.arrayContaining(
        [
          'lib/containers/atomic/hr/config.json',
          'lib/containers/atomic/hr/hr.service',
          'lib/containers/atomic/hr/info',
          'lib/containers/atomic/hr/rootfs',
          'lib/systemd/system/hr.service',
          'lib/tmpfiles.d/hr.conf',
          'local/share/hh/plain',
        ].map((path) => `/tmp/other/usr/${path}`),
      ),
    );
    const format = '%{NAME} %{VERSION} %{ARCH} %{LICENSE} %{SUMMARY}';
    expect(await stage.run('rpm', '-qp', '--qf', format, `/root/${PACKAGE}.rpm`)).toBe(
      `${PACKAGE} 1 noarch GPLv2 Says hi over HTTP`,
    );
    expect(await stage.run('rpm', '-qp', '--scripts', `/root/${PACKAGE}.rpm`)).toBe('');
    expect(await stage.run('cat', '/tmp/other/usr/local/share/hh/plain')).toBe('one');
    // Its tree is the image's, with its modes.
    expect(await stage.run('stat', '-c', '%a %U', '/tmp/other/usr/lib/containers/atomic/hr/rootfs/tmp')).toBe(
      '1777 root',
    );
    const info = JSON.parse(await stage.host.readFile('/tmp/other/usr/lib/containers/atomic/hr/info')) as {
      values: Record<string, unknown>;
    };
    expect(info.values['DESTDIR']).toBe('/usr/lib/containers/atomic/hr');
  });
});
