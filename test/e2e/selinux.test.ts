/**
 * SELinux on a host whose kernel has none: its switch is laid over /sys for the one process, and its programs are
 * replaced by some that only tell how they were called.
 */
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { ExecResult } from '../host/host.ts';
import { helloImage } from './support/images.ts';
import { readRefusal, refusal } from './support/refusal.ts';
import { openStage, show, takeSnapshot, type Stage } from './support/stage.ts';

const CALLS = '/run/selinux-calls';
const LABEL = 'system_u:object_r:bin_t:s0';
/** `stat` and `matchpathcon` answer with a label; only files of /usr/local/same have the same in both places. */
const STUBS = {
  restorecon: '',
  matchpathcon: `echo ${LABEL}`,
  stat: `case "$*" in *same*) echo ${LABEL} ;; *) echo system_u:object_r:default_t:s0 ;; esac`,
} as const;

let stage: Stage;
let before: string;

/** Runs the program where SELinux seems to be on. */
function withSelinux(folder: string, ...args: string[]): Promise<ExecResult> {
  const script = `
    mkdir -p /tmp/fs/cgroup /tmp/fs/selinux
    echo 1 >/tmp/fs/selinux/enforce
    mount --rbind /sys/fs/cgroup /tmp/fs/cgroup
    mount --rbind /tmp/fs /sys/fs
    PATH=${folder}:$PATH exec atomic-ts "$@"`;
  return stage.host.exec('unshare', ['--mount', 'sh', '-euc', script, 'sh', ...args]);
}

beforeAll(async () => {
  stage = await openStage({ registry: false });
  const tell = (name: string): string => `echo "${name} $*" >>${CALLS}`;
  for (const [name, answer] of Object.entries(STUBS))
    await stage.host.writeFile(`/opt/selinux/${name}`, `#!/bin/sh\n${tell(name)}\n${answer}\n`, 0o755);
  const ostree = `#!/bin/sh\n${tell('ostree')}\nexec /usr/bin/ostree "$@"\n`;
  await stage.host.writeFile('/opt/selinux/ostree', ostree, 0o755);
  stage.addLayout('labelled', {
    image: helloImage({
      files: [
        { path: 'exports/hostfs/usr/local/lib/new/tool', content: 'tool' },
        { path: 'exports/hostfs/usr/local/same', content: 'same' },
      ],
    }),
  });
  await stage.shell('mkdir -p /var/lib/containers/atomic');
  before = await takeSnapshot(stage);
});
afterAll(() => stage.close());

it('tells which package has its programs, before anything is changed', async () => {
  const result = await withSelinux('/nowhere', '--quiet', 'install', 'oci:/images/labelled', '--name=bad');
  expect(await readRefusal(stage, before, result)).toEqual(
    refusal(['Cannot run restorecon: it is not installed'], 'dnf install policycoreutils'),
  );
  await stage.shell('rm -rf /var/lib/containers/atomic/.storage');
});

it('labels layers at their import, and what an image puts on the host', async () => {
  const install = ['install', 'oci:/images/labelled', '--name=web', '--settle=0.3'];
  const result = await withSelinux('/opt/selinux', ...install);
  expect(show(result)).toContain('status 0');
  const calls = (await stage.host.readFile(CALLS)).trimEnd().split('\n');
  const named = (name: string): string[] => calls.filter((call) => call.startsWith(`${name} `));
  expect(named('restorecon')).toEqual([
    // The checkout is on another file system, so that this one is copied although the labels agree.
    'restorecon -- /usr/local/same',
    'restorecon -- /usr/local/lib/new /usr/local/lib/new/tool',
    'restorecon -- /etc/systemd/system/web.service',
    'restorecon -- /etc/tmpfiles.d/web.conf',
  ]);
  expect(named('matchpathcon')).toEqual([
    'matchpathcon -n -m file /usr/local/same',
    'matchpathcon -n -m file /usr/local/lib/new/tool',
  ]);
  const commits = named('ostree').filter((call) => call.includes(' commit '));
  const labelled = commits.filter((call) => call.includes('--selinux-policy=/'));
  expect(labelled).toEqual(commits.filter((call) => call.includes('--orphan')));
  expect(labelled).toHaveLength(2);
});

it('needs none of its programs to take all of it away', async () => {
  const { code, stderr } = await withSelinux('/nowhere', 'uninstall', 'web');
  expect([code, stderr]).toEqual([0, '']);
  const left = await stage.shell(
    'find /etc/systemd/system /etc/tmpfiles.d /usr/local -newer /opt/selinux/ostree -type f',
  );
  expect(left).toBe('');
});
