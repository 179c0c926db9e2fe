import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hasStruck, prepareFaults, strike, type Fault } from './support/faults.ts';
import { helloImage, readHello, scriptImage } from './support/images.ts';
import {
  CHECKOUTS,
  listChanges,
  openStage,
  REPOSITORY,
  takeSnapshot,
  waitForPage,
  type Stage,
} from './support/stage.ts';

const PAGE = 'http://localhost:8081/';
const JOURNALS = `${CHECKOUTS}/.atomic-ts/journal`;
const UNIT = readHello('exports/service.template').replace('[Install]', 'TimeoutStopSec=2\n\n[Install]');
const NOTHING = 'There is nothing to repair.\n';

let stage: Stage;
let image: string;

/** Kills a command at a chosen moment, and looks that it was. */
async function kill(at: string, when: Fault['when'], ...args: string[]): Promise<void> {
  const result = await stage.atomic(args, await strike(stage, { signal: 'KILL', at, when }));
  expect(await hasStruck(stage)).toBe(true);
  expect(result).toMatchObject({ code: 137 });
}

const repair = (...args: string[]): ReturnType<Stage['atomic']> => stage.atomic(['repair', ...args]);
const writeJournal = (name: string, ...lines: string[]): Promise<void> =>
  stage.host.writeFile(`${JOURNALS}/${name}.jsonl`, lines.map((line) => `${line}\n`).join(''), 0o600);

beforeAll(async () => {
  stage = await openStage();
  await prepareFaults(stage);
  image = await stage.push(helloImage({ exports: { 'service.template': UNIT } }), 'hello');
  await stage.succeed('install', image, '--name', 'hello');
});
afterAll(() => stage.close());

describe('repair', () => {
  it('has nothing to do on a host where all is well, and says so', async () => {
    expect(await repair()).toEqual({ code: 0, stdout: NOTHING, stderr: '' });
    const { code, stdout } = await repair('--json');
    expect({ code, ...(JSON.parse(stdout) as object) }).toEqual({
      code: 0,
      repaired: [],
      lost: [],
      removed: [],
      busy: [],
      failed: [],
      drift: null,
    });
  });

  it.each([
    ['update', 'systemctl stop', ['update', 'hello', '--set', 'RECEIVER=Mars']],
    ['update', 'systemctl start', ['update', 'hello', '--set', 'RECEIVER=Mars']],
    ['uninstall', 'systemctl daemon-reload', ['uninstall', 'hello']],
  ] as const)(
    'undoes the %s that was killed at %s, and a second one has nothing to do',
    async (action, at, args) => {
      const before = await takeSnapshot(stage);
      await kill(at, 'after', ...args);
      const { code, stdout, stderr } = await repair();
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      expect(stdout).toMatch(
        new RegExp(`^The ${action} of hello by process \\d+ was cut off: it is undone now$`, 'm'),
      );
      expect(await listChanges(stage, before)).toEqual([]);
      await waitForPage(stage, PAGE, 'Hi World');
      expect((await repair()).stdout).toBe(NOTHING);
    },
  );

  it('undoes an installation, also by its name, and tells it as JSON', async () => {
    const before = await takeSnapshot(stage);
    await kill('systemctl enable', 'after', 'install', image, '--name', 'other', '--set', 'PORT=8082');
    const { code, stdout } = await repair('other', '--json');
    expect({ code, ...(JSON.parse(stdout) as object) }).toEqual({
      code: 0,
      repaired: [{ container: 'other', action: 'install', pid: expect.any(Number), outcome: 'undone' }],
      lost: [],
      removed: [],
      busy: [],
      failed: [],
      drift: null,
    });
    expect(await listChanges(stage, before)).toEqual([]);
    expect(await repair('other')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining("System container 'other' is not installed\n"),
    });
    expect(await repair('hello')).toMatchObject({ code: 0, stdout: NOTHING });
  });

  it('finishes an update that had ended well, and removes what it left', async () => {
    await stage.succeed('update', 'hello', '--set', 'RECEIVER=Mars');
    const before = await takeSnapshot(stage);
    // As a death between the journal's last line and the cleaning up leaves it.
    await stage.shell(
      `mkdir -p "$1/../trash/hello.deployment/rootfs/-rf"; ln -s / "$1/../trash/hello.deployment/root"
      ln -s "$1" "$1/../trash/hello.link"`,
      JOURNALS,
    );
    const to = `${CHECKOUTS}/.atomic-ts/trash/hello.deployment`;
    const aside = `${CHECKOUTS}/.atomic-ts/trash/hello.link`;
    const steps = [
      { kind: 'set-aside', path: `${CHECKOUTS}/hello.0`, to },
      { kind: 'switch-link', path: `${CHECKOUTS}/hello`, target: `${CHECKOUTS}/hello.1`, aside },
    ];
    await writeJournal(
      'hello',
      JSON.stringify({ journal: 1, pid: 4, action: 'update', container: 'hello', steps }),
      '{"begin":0,"before":true}',
      '{"begin":1,"before":{"temporary":"/x","existed":true}}',
      '{"committed":true}',
    );
    expect(await repair()).toEqual({
      code: 0,
      stdout: 'The update of hello by process 4 was cut off: it is finished now\n',
      stderr: '',
    });
    expect(await listChanges(stage, before)).toEqual([]);
    await stage.succeed('containers', 'rollback', 'hello');
  });

  it('removes trees in the making and trash of dead processes, whatever is in them, and nothing beside', async () => {
    const before = await takeSnapshot(stage);
    await stage.shell(
      `cd "$1"; echo precious >/var/lib/containers/canary; mkdir -p staging/gone.77/rootfs/d trash/gone.deployment-1/x staging/unrelated
       ln -s /root staging/gone.77/rootfs/link; ln -s ../../../../../../root trash/gone.deployment-1/up
       ln /var/lib/containers/canary staging/gone.77/rootfs/hard; mkfifo staging/gone.77/rootfs/fifo
       touch -- 'staging/gone.77/rootfs/-rf' "$(printf 'staging/gone.77/rootfs/a\\nb')"; chmod 0 staging/gone.77/rootfs/d`,
      `${CHECKOUTS}/.atomic-ts`,
    );
    expect(await repair()).toEqual({
      code: 0,
      stdout: `Removed ${CHECKOUTS}/.atomic-ts/staging/gone.77\nRemoved ${CHECKOUTS}/.atomic-ts/trash/gone.deployment-1\n`,
      stderr: '',
    });
    expect(await stage.shell('cat /var/lib/containers/canary; rm /var/lib/containers/canary')).toBe(
      'precious',
    );
    expect(
      await stage.shell(
        'ls "$1/staging" "$1/trash"; rmdir "$1/staging/unrelated"',
        `${CHECKOUTS}/.atomic-ts`,
      ),
    ).toBe(`${CHECKOUTS}/.atomic-ts/staging:\nunrelated\n\n${CHECKOUTS}/.atomic-ts/trash:`);
    expect(await listChanges(stage, before)).toEqual([]);
  });

  it('does not empty what somebody has mounted on a tree that it would remove', async () => {
    const tree = `${CHECKOUTS}/.atomic-ts/staging/gone.77`;
    await stage.shell(
      'mkdir -p "$1/rootfs/mnt" /root/data; touch /root/data/precious; mount --bind /root/data "$1/rootfs/mnt"',
      tree,
    );
    const { code, stdout } = await repair();
    expect(code).toBe(0);
    expect(stdout).toBe(`Cannot remove ${tree}: something is mounted on ${tree}/rootfs/mnt\n`);
    await stage.shell('umount "$1/rootfs/mnt"; ls /root/data/precious; rm -r /root/data', tree);
    expect((await repair()).stdout).toBe(`Removed ${tree}\n`);
  });

  it('removes what a pull that died left in the repo, and leaves alone what another program has open there', async () => {
    const staging = `${REPOSITORY}/tmp/staging-0-abc`;
    const indexes = `${REPOSITORY}/extensions/atomic-ts/layers-1`;
    await stage.shell(
      'mkdir -p "$1" "$1.2" "$2"; touch "$1-lock" "$1.2-lock" "$1/object" "$2/abc.77.tmp"',
      staging,
      indexes,
    );
    await stage.shell('systemd-run --quiet --unit=rival sh -c "exec sleep 1000 3<>$1.2-lock"', staging);
    await stage.shell(
      'until fuser -s "$1.2-lock" || [ -n "$(ls -l /proc/*/fd 2>/dev/null | grep -F "$1.2-lock")" ]; do sleep 0.1; done',
      staging,
    );
    expect((await repair()).stdout).toBe(`Removed ${indexes}/abc.77.tmp\nRemoved ${staging}\n`);
    expect(await stage.shell('cd "$1/tmp"; ls -d staging-*', REPOSITORY)).toBe(
      'staging-0-abc.2\nstaging-0-abc.2-lock',
    );
    await stage.run('systemctl', 'stop', 'rival');
    expect((await repair()).stdout).toBe(`Removed ${staging}.2\n`);
  });

  it('takes back what a pull wrote before the machine lost its power, and gives the image what it was', async () => {
    const name = image.replace(/hello$/, 'power');
    await stage.push(helloImage({ defaults: { RECEIVER: 'Before', PORT: '8081' } }), 'power');
    await stage.succeed('pull', name);
    const before = await stage.run(
      'ostree',
      `--repo=${REPOSITORY}`,
      'rev-parse',
      'ociimage/localhost_3A5000_2Fpower_3Alatest',
    );
    // Older than any mark that is made from now on.
    await stage.shell(
      'find "$1/refs/heads/ociimage" "$1/extensions" -type f -exec touch -d 2020-01-01 {} +',
      REPOSITORY,
    );
    await stage.push(helloImage({ defaults: { RECEIVER: 'After', PORT: '8081' } }), 'power');
    // Dies with its last commit; the boot that it ran in becomes an earlier one, and its new files lose their bytes.
    await kill('ostree commit --branch=ociimage/localhost_3A5000_2Fpower_3Alatest', 'after', 'pull', name);
    await stage.shell(
      `mark=$(echo "$1"/@import-*)
       find "$2/objects" -name '*.file' -type f -cnewer "$mark" | grep . | xargs truncate -s 0
       touch -r "$mark" /run/time
       sed -i 's/"boot":"[^"]*"/"boot":"another"/' "$mark"
       touch -r /run/time "$mark"`,
      JOURNALS,
      REPOSITORY,
    );
    expect((await stage.host.exec('ostree', [`--repo=${REPOSITORY}`, 'fsck', '--quiet'])).code).not.toBe(0);
    const { code, stdout } = await repair();
    expect(stdout).toContain('This host lost its power while images were pulled: ');
    expect(code).toBe(0);
    await stage.run('ostree', `--repo=${REPOSITORY}`, 'fsck', '--quiet');
    expect(
      await stage.run(
        'ostree',
        `--repo=${REPOSITORY}`,
        'rev-parse',
        'ociimage/localhost_3A5000_2Fpower_3Alatest',
      ),
    ).toBe(before);
    await stage.succeed('pull', name);
    await stage.run('ostree', `--repo=${REPOSITORY}`, 'fsck', '--quiet');
    expect(await repair()).toEqual({ code: 0, stdout: NOTHING, stderr: '' });
  });

  it('names a journal that it cannot read, and goes on with the others', async () => {
    const before = await takeSnapshot(stage);
    await kill('systemctl stop', 'after', 'update', 'hello', '--set', 'RECEIVER=Mars');
    await writeJournal('damaged', 'this is no JSON');
    await writeJournal('future', '{"journal":9,"pid":1,"action":"install","container":"future","steps":[]}');
    await writeJournal(
      'strange',
      '{"journal":1,"pid":1,"action":"install","container":"strange","steps":[{"kind":"format-disk"}]}',
    );
    await writeJournal('moved', '{"journal":1,"pid":1,"action":"install","container":"hello","steps":[]}');
    await writeJournal('empty');
    const { code, stdout, stderr } = await repair();
    expect(code).toBe(1);
    expect(stdout).toMatch(/^The update of hello by process \d+ was cut off: it is undone now$/m);
    for (const name of ['damaged', 'future', 'strange']) {
      expect(stderr).toContain(
        `The journal ${JOURNALS}/${name}.jsonl is damaged, or of another version of atomic-ts\n`,
      );
    }
    expect(stderr).toContain(`The journal ${JOURNALS}/moved.jsonl is not one of the container moved\n`);
    const { failed } = JSON.parse((await repair('--json')).stdout) as { failed: { container: string }[] };
    expect(failed.map(({ container }) => container)).toEqual(['damaged', 'future', 'moved', 'strange']);
    // Other commands say so too, and do their work.
    const list = await stage.atomic(['containers', 'list', '-q']);
    expect(list).toMatchObject({
      code: 0,
      stdout: 'hello\n',
      stderr: expect.stringContaining('damaged.jsonl'),
    });
    await stage.shell('rm "$1"/*.jsonl', JOURNALS);
    expect(await listChanges(stage, before)).toEqual([]);
  });

  it('leaves alone what a living process is at, and says which', async () => {
    await stage.shell(
      `systemd-run --quiet --unit=slow --setenv=PATH="$PATH" atomic-ts update hello --set RECEIVER=Mars --settle 600
       until grep -q '"begin".*' "$1/hello.jsonl" 2>/dev/null && [ "$(systemctl is-active hello)" = active ] &&
         curl -s localhost:8081 | grep -q Mars; do sleep 0.1; done`,
      JOURNALS,
    );
    const pid = await stage.run('systemctl', 'show', '-P', 'MainPID', 'slow');
    const { code, stdout, stderr } = await repair();
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(
      new RegExp(
        `^Cannot repair the container hello: process ${pid} \\(atomic-ts update, since \\d\\d:\\d\\d\\) is at it\n$`,
      ),
    );
    // A list looks, and neither waits nor touches anything.
    expect(await stage.atomic(['containers', 'list', '-q'])).toEqual({
      code: 0,
      stdout: 'hello\n',
      stderr: '',
    });
    expect(await stage.atomic(['--wait', '0', 'uninstall', 'hello'])).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^Cannot change the container hello: process \d+ .* is at it\n.*--wait/),
    });
    // Killed, it leaves its work to the next list that comes by.
    await stage.run('systemctl', 'kill', '--signal=KILL', 'slow');
    await stage.shell('while systemctl -q is-active slow; do sleep 0.1; done');
    const list = await stage.atomic(['containers', 'list', '-q']);
    expect(list.stdout).toBe('hello\n');
    expect(list.stderr).toMatch(/^The update of hello by process \d+ was cut off: it is undone now\n$/);
    await waitForPage(stage, PAGE, 'Hi World');
  });

  it('is for root; another user’s commands do their work and change nothing', async () => {
    await writeJournal('other', '{"journal":1,"pid":1,"action":"install","container":"other","steps":[]}');
    const asNobody = (...args: string[]): ReturnType<Stage['host']['exec']> =>
      stage.host.exec('setpriv', ['--reuid=65534', '--regid=65534', '--clear-groups', 'atomic-ts', ...args]);
    expect(await asNobody('repair')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('Cannot repair system containers: system containers belong to root'),
    });
    expect(await asNobody('containers', 'list', '-q')).toMatchObject({ code: 0, stdout: 'hello\n' });
    expect((await repair()).stdout).toBe('The install of other by process 1 was cut off: it is undone now\n');
  });
});

it('a container that runs once is run under the lock, of which its own program sees nothing', async () => {
  const once = stage.addLayout('once', {
    image: scriptImage('for fd in /proc/$$/fd/*; do readlink $fd; done; echo end', {
      Labels: { 'atomic.run': 'once' },
    }),
  });
  const { code, stdout } = await stage.atomic([
    '--quiet',
    'install',
    once,
    '--name',
    'once',
    '--runtime',
    'runc',
  ]);
  expect(code).toBe(0);
  expect(stdout).toContain('end\n');
  expect(stdout).not.toContain('atomic-ts');
});

describe('atomic-ts-recover.service, at boot,', () => {
  beforeAll(() => stage.run('systemctl', 'enable', 'atomic-ts-recover'));

  it('has nothing to do where nothing is open', async () => {
    await stage.host.reboot();
    await waitForPage(stage, PAGE, 'Hi World');
    expect(
      await stage.run('systemctl', 'show', '-P', 'Result,ActiveState,ConditionResult', 'atomic-ts-recover'),
    ).toBe('success\ninactive\nno');
  });

  it.each([
    ['systemctl stop', 'update', ['containers', 'update', 'hello', '--set', 'RECEIVER=Mars']],
    ['systemctl daemon-reload', 'update', ['containers', 'update', 'hello', '--set', 'RECEIVER=Mars']],
    ['systemctl start', 'update', ['containers', 'update', 'hello', '--set', 'RECEIVER=Mars']],
    ['systemctl disable', 'uninstall', ['uninstall', 'hello']],
  ] as const)('undoes what was cut off at %s, and the old service runs', async (at, action, args) => {
    const before = await takeSnapshot(stage);
    await kill(at, 'after', ...args);
    await stage.host.reboot();
    await waitForPage(stage, PAGE, 'Hi World');
    expect(await stage.run('systemctl', 'is-system-running')).toBe('running');
    expect(await stage.run('journalctl', '-b', '-u', 'atomic-ts-recover', '-o', 'cat')).toMatch(
      new RegExp(`^The ${action} of hello by process \\d+ was cut off: it is undone now$`, 'm'),
    );
    expect(await stage.shell('ls -A "$1"', JOURNALS)).toBe('');
    expect(await listChanges(stage, before)).toEqual([]);
    expect(await stage.run('systemctl', 'is-enabled', 'hello')).toBe('enabled');
  });

  it('undoes an update that the shutdown has cut off', async () => {
    const before = await takeSnapshot(stage);
    await stage.shell(
      `systemd-run --quiet --unit=slow atomic-ts containers update hello --set RECEIVER=Mars --settle 600
       until curl -s localhost:8081 | grep -q Mars; do sleep 0.1; done`,
    );
    await stage.host.reboot();
    await waitForPage(stage, PAGE, 'Hi World');
    expect(await stage.run('systemctl', 'is-system-running')).toBe('running');
    expect(await stage.shell('ls -A "$1"', JOURNALS)).toBe('');
    expect(await listChanges(stage, before)).toEqual([]);
  });
});
