import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { helloImage, scriptImage, STAY } from './support/images.ts';
import { prepareRuntime } from './support/runtimes.ts';
import {
  CHECKOUTS,
  listChanges,
  openStage,
  readInfo,
  REGISTRY,
  REPOSITORY,
  show,
  takeSnapshot,
  waitForPage,
  type Stage,
} from './support/stage.ts';

let stage: Stage;
const lines = async (...args: string[]): Promise<string[]> =>
  (await stage.succeed(...args)).split('\n').slice(0, -1);
const current = (name: string): Promise<string> => stage.run('readlink', `${CHECKOUTS}/${name}`);
const isActive = (name: string): Promise<string> =>
  stage.run('sh', '-c', 'systemctl is-active "$1" || true', 'sh', name);
/** Through a terminal of its own, as a person would type it. */
const type = (command: string, input = ''): Promise<string> => {
  const pty = 'import pty, sys; pty.spawn(["sh", "-c", sys.argv[1]])';
  return stage.shell(`printf '%s' "$2" | python3 -c '${pty}' "$1" | tr -d '\\r'`, command, input);
};

beforeAll(async () => {
  stage = await openStage();
  const v1 = helloImage({ files: [{ path: 'only-v1', content: 'one' }] });
  await stage.push(v1, 'hello');
  await stage.push(helloImage({ defaults: { RECEIVER: 'Nobody', PORT: '8083' } }), 'other');
  const plain = scriptImage(STAY, { User: '7:8', WorkingDir: '/srv', Env: ['PATH=/bin', 'WORD=two words'] });
  await stage.push(plain, 'plain');
  await stage.push(scriptImage('echo "once for $RECEIVER"; exit 5'), 'once');
});
afterAll(() => stage.close());

describe.each(['runc', 'crun'])('under %s', (runtime) => {
  const web = `web-${runtime}`;
  const plain = `plain-${runtime}`;
  let program: string;
  let before: string;

  beforeAll(async () => {
    program = await prepareRuntime(stage, runtime);
    before = await takeSnapshot(stage);
    for (const [name, image] of [
      [web, 'hello'],
      [plain, 'plain'],
    ] as const) {
      await stage.succeed('install', `${REGISTRY}/${image}`, '--name', name, '--runtime', program);
    }
    await waitForPage(stage, 'http://localhost:8081/', 'Hi World');
  });

  it('a command runs in a container as its own process does, and its end is ours', async () => {
    const ids = 'grep -E "^(Uid|Gid|Cap...):" /proc/$1/status';
    const inside = `pwd; echo "$WORD"; set -- self; ${ids}; exit 7`;
    const ran = await stage.atomic(['run', plain, 'sh', '-c', inside]);
    const { pid } = JSON.parse(await stage.run(program, 'state', plain)) as { pid: number };
    const own = await stage.shell(ids, String(pid));
    expect(ran).toEqual({ code: 7, stdout: `/srv\ntwo words\n${own}\n`, stderr: '' });
    expect(own).toContain('Uid:\t7\t7\t7\t7');
  });

  it('a command gets what we get on standard input, and no terminal where there is none', async () => {
    const { stdout } = await stage.atomic(['run', web, 'cat'], { input: 'through\0it' });
    expect(stdout).toBe('through\0it');
    const without = await stage.atomic(['run', web, 'sh', '-c', 'test -t 0 || test -t 1 || echo none']);
    expect(show(without)).toBe('status 0\nnone\n');
  });

  it('a command has a terminal where we have one', async () => {
    // crun 1.8 takes the last words of a program that ends at once for its own.
    const inside = 'readlink /proc/self/fd/0; sleep 0.5; test -t 1 && exit 9';
    expect(await type(`atomic-ts run ${plain} sh -c '${inside}'; echo $?`)).toMatch(/^\/dev\/pts\/\d+\n9$/);
    // This one has no devpts to make a terminal in.
    expect(await type(`atomic-ts run ${web} sh -c 'echo spoken'; echo $?`)).toBe('spoken\n0');
  });

  it('a command that is detached goes on without us', async () => {
    await stage.succeed('run', '--detach', web, 'sleep', '100');
    expect(await stage.succeed('top', web)).toContain('sleep 100');
  });

  it('the processes are told, and what they use', async () => {
    const processes = JSON.parse(await stage.succeed('top', web, '--json')) as Record<string, unknown>[];
    const pids = JSON.parse(await stage.run(program, 'ps', '--format=json', web)) as number[];
    expect(processes.map(({ pid }) => pid)).toEqual(pids.toSorted((a, b) => a - b));
    expect(processes[0]).toMatchObject({ container: web, user: 'root', uid: 0 });
    const [stats] = JSON.parse(await stage.succeed('stats', web, '--json')) as Record<string, unknown>[];
    expect(stats).toMatchObject({ container: web, processes: pids.length });
    expect(stats?.['memoryBytes']).toBeGreaterThan(0);
    const all = await lines('top', '-o', 'ppid');
    expect(all[0]).toMatch(/^CONTAINER .* PPID .* CMD /);
    expect(new Set(all.slice(1).map((line) => line.split(' ', 1).join('')))).toEqual(new Set([web, plain]));
  });

  it('a service is stopped in atomic’s words, and says so when it is down already', async () => {
    expect(await lines('stop', web)).toEqual([`systemctl stop ${web}`]);
    expect(await isActive(web)).toBe('inactive');
    expect(await lines('stop', web)).toEqual([`${web} is not running`]);
    const top = await stage.atomic(['top', web]);
    expect(top).toMatchObject({ code: 1, stderr: expect.stringContaining(`${web} is not running`) });
  });

  it('a command runs beside a service that is down, and leaves nothing', async () => {
    const state = await takeSnapshot(stage);
    const inside = 'echo "$RECEIVER $PORT"; ls /only-v1; test -t 0 || exit 6';
    expect(await stage.atomic(['run', web, 'sh', '-c', inside])).toEqual({
      code: 6,
      stdout: 'World 8081\n/only-v1\n',
      stderr: '',
    });
    expect(await isActive(web)).toBe('inactive');
    expect(await listChanges(stage, state)).toEqual([]);
  });

  it('a command beside a service that is down has a terminal where we have one', async () => {
    await stage.succeed('stop', plain);
    expect(await type(`atomic-ts run ${plain} sh -c 'readlink /proc/self/fd/0; sleep 0.5'`)).toMatch(
      /^\/dev\/(?:pts\/\d+|console)$/,
    );
    await stage.succeed('run', '--settle', '0.3', plain);
  });

  it('what such a command leaves that was killed with us, the next command takes away', async () => {
    const state = await takeSnapshot(stage);
    const script = `atomic-ts run "$1" sh -c "$3" </dev/null >/dev/null 2>&1 & pid=$!
      until "$2" state "$1-run-$pid" 2>/dev/null | grep -q '"running"'; do sleep 0.1; done
      kill -KILL "$pid"; wait "$pid" || true; "$2" kill "$1-run-$pid" KILL
      until ! "$2" state "$1-run-$pid" | grep -q '"running"'; do sleep 0.1; done
      ls -d ${CHECKOUTS}/.atomic-ts/staging/$1.$pid; atomic-ts --wait 20 stop "$1"`;
    expect(await stage.shell(script, web, program, STAY)).toMatch(
      new RegExp(`/staging/${web}\\.\\d+\n${web} is not running$`),
    );
    expect(await listChanges(stage, state)).toEqual([]);
  });

  it('a service is started in atomic’s words, and a second time in vain', async () => {
    expect(await lines('run', '--settle', '0.3', web)).toEqual([`systemctl start ${web}`]);
    expect(await lines('run', web)).toEqual([`systemctl start ${web}`]);
    await waitForPage(stage, 'http://localhost:8081/', 'Hi World');
  });

  it('a container is updated, rolled back twice and taken to another image, and keeps what was set', async () => {
    await stage.succeed('containers', 'update', web, '--set', 'RECEIVER=Mars');
    await waitForPage(stage, 'http://localhost:8081/', 'Hi Mars');
    await stage.shell(`echo stale >${CHECKOUTS}/${web}.0/rootfs/stale`);
    // The third deployment, and the fourth.
    await stage.succeed('update', web, '--rebase', `${REGISTRY}/other`);
    expect(await current(web)).toBe(`${CHECKOUTS}/${web}.0`);
    await waitForPage(stage, 'http://localhost:8083/', 'Hi Mars');
    const third = (await stage.run('ls', `${CHECKOUTS}/${web}/rootfs`)).split('\n');
    expect(third).not.toContain('stale');
    expect(third).not.toContain('only-v1');
    await stage.succeed('update', web, '--set', 'RECEIVER=Venus');
    expect((await stage.run('ls', `${CHECKOUTS}/${web}/rootfs`)).split('\n')).toEqual(third);
    await waitForPage(stage, 'http://localhost:8083/', 'Hi Venus');
    expect((await lines('rollback', web))[1]).toBe(
      `Rolling back container ${web} to the checkout at ${CHECKOUTS}/${web}.0`,
    );
    await waitForPage(stage, 'http://localhost:8083/', 'Hi Mars');
    await stage.succeed('containers', 'rollback', web);
    await waitForPage(stage, 'http://localhost:8083/', 'Hi Venus');
    expect(await readInfo(stage, web)).toMatchObject({
      runtime: program,
      values: { RECEIVER: 'Venus', PORT: '8083' },
    });
  });

  it('names with dots, dashes and underscores, and such as end in .0, live as any other', async () => {
    const names = runtime === 'runc' ? ['under_score', 'ends.0'] : ['with-dash', 'dotted.name.0'];
    const each = (act: (name: string) => Promise<unknown>): Promise<unknown> => Promise.all(names.map(act));
    const install = ['install', `${REGISTRY}/plain`, '--runtime', program, '--no-start', '--name'];
    await each((name) => stage.succeed(...install, name));
    await each((name) => stage.succeed('run', '--settle', '0.3', name));
    await each(async (name) => expect(await stage.succeed('run', name, 'pwd')).toBe('/srv\n'));
    expect((await lines('ps', '-q')).filter((name) => names.includes(name))).toEqual(names.toSorted());
    await each((name) => stage.succeed('update', name, '--set', 'A=b'));
    await each((name) => stage.succeed('rollback', name));
    await each(async (name) => expect(await stage.succeed('run', name, 'pwd')).toBe('/srv\n'));
    await each((name) => stage.succeed('stop', name));
    const deleted = await lines('-y', 'containers', 'delete', ...names);
    expect(deleted.filter((line) => line.startsWith('systemctl disable'))).toEqual(
      names.map((name) => `systemctl disable --now ${name}`),
    );
  });

  it('what is deleted leaves nothing', async () => {
    expect(await lines('--assumeyes', 'containers', 'delete', web, plain)).toEqual([
      'The following containers will be deleted.',
      '',
      '   ID           NAME                 IMAGE_NAME                  STORAGE   ',
      ...[
        [web, 'other'],
        [plain, 'plain'],
      ].map(([name = '', image]) =>
        [
          '   ',
          name.padEnd(12),
          ` ${name.padEnd(20)} `,
          `${REGISTRY}/${image}:latest`.padEnd(25),
          ' ostree    ',
        ].join(''),
      ),
      `systemctl disable --now ${web}`,
      'systemctl daemon-reload',
      `systemd-tmpfiles --remove /etc/tmpfiles.d/${web}.conf`,
      `systemctl disable --now ${plain}`,
      'systemctl daemon-reload',
    ]);
    await stage.run('rmdir', `/run/${web}`);
    expect(await stage.run(program, 'list', '-q')).toBe('');
    expect(await listChanges(stage, before)).toEqual([]);
  });
});

describe('an image that is run', () => {
  it('is pulled, run once with the command and values that are given, and leaves its layers only', async () => {
    await stage.shell(
      'ostree --repo=$1 refs --delete ociimage/localhost_3A5000_2Fhello_3Alatest',
      REPOSITORY,
    );
    const before = await takeSnapshot(stage);
    await stage.takeRequests();
    const image = `${REGISTRY}/hello`;
    const run = ['run', '--storage', 'ostree', '--set', 'RECEIVER=Pluto', '--name', 'Saturn', image];
    const ran = await stage.atomic([...run, 'sh', '-c', 'echo "HI $RECEIVER from $NAME"; exit 4']);
    expect({ code: ran.code, stdout: ran.stdout }).toEqual({ code: 4, stdout: 'HI Pluto from Saturn\n' });
    expect(await stage.takeRequests()).toContain('GET /v2/hello/manifests/latest');
    expect(await stage.succeed('run', '--set', 'RECEIVER=Pluto', image, 'echo', 'Hello', '--json')).toBe(
      'Hello --json\n',
    );
    expect(await stage.takeRequests()).toEqual([]);
    await stage.shell('rmdir /run/Saturn /run/hello');
    expect(await listChanges(stage, before)).toEqual([]);
  });

  it('runs its own command where none is given, and has a terminal where we have one', async () => {
    const own = await stage.atomic(['run', `${REGISTRY}/once`]);
    expect({ code: own.code, stdout: own.stdout }).toEqual({ code: 5, stdout: 'once for \n' });
    expect(
      await type(`atomic-ts --quiet run ${REGISTRY}/once sh -c 'readlink /proc/self/fd/1; sleep 0.5'`),
    ).toMatch(/\/dev\/(?:pts\/\d+|console)$/);
  });

  it('is not there, nor a container: the error is that of a pull', async () => {
    const none = await stage.atomic(['run', `${REGISTRY}/none`, 'ls']);
    expect(none).toMatchObject({ code: 1, stdout: '', stderr: expect.stringContaining(`${REGISTRY}/none`) });
  });
});

describe('several containers', () => {
  beforeAll(async () => {
    for (const name of ['good', 'bad', 'busy']) {
      await stage.push(scriptImage(STAY), name);
      await stage.succeed('install', `${REGISTRY}/${name}`);
    }
  });

  it('are updated one after the other, with a summary in the form of atomic', async () => {
    await stage.push(scriptImage(`${STAY} # new`), 'good');
    await stage.push(scriptImage('exit 3'), 'bad');
    const { code, stdout, stderr } = await stage.atomic(['update', '--all', '--settle', '0.3']);
    expect(stderr).toContain('The update of bad to localhost:5000/bad failed and was undone');
    expect(code).toBe(4);
    const summary = stdout.split('\n').slice(stdout.split('\n').indexOf('SUMMARY') - 1, -1);
    expect(summary.slice(0, 4)).toEqual([
      '',
      'SUMMARY',
      '',
      'Container       Image ID before update           Image ID after update            Latest image ID                  Status         ',
    ]);
    const rows = summary.slice(4).map((line) => line.trimEnd().split(/ {2,}| (?=[0-9a-f]{32} )/));
    expect(rows.map(([name, ...rest]) => [name, /[A-Z][a-z ]+$/.exec(rest.at(-1) ?? '')?.[0]])).toEqual([
      ['bad', 'Not updated'],
      ['busy', 'Updated'],
      ['good', 'Updated now'],
    ]);
    expect(stdout).toMatch(/^Checking container bad\.\.\.\nExtracting to .*bad\.1\n/);
    expect(await isActive('bad')).toBe('active');
    expect(stdout).toContain('Checking container busy...\nLatest version already installed.\n');
  });

  it('are started for good, or are down again and say why', async () => {
    await stage.push(scriptImage('sleep 0.1; echo no reason; exit 3'), 'failing');
    const install = ['install', `${REGISTRY}/failing`, '--no-start', '--runtime'];
    await stage.succeed(...install, await prepareRuntime(stage, 'crun'));
    const { code, stderr } = await stage.atomic(['run', '--settle', '1', 'failing']);
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: expect.stringMatching(/no reason(?:.*\n)*.*It is down again/),
    });
    expect(await isActive('failing')).toBe('inactive');
    await stage.succeed('uninstall', 'failing');
  });

  it('are updated all or by name, and not both', async () => {
    for (const args of [['--all', 'good'], ['--all', '--set', 'A=b'], []]) {
      expect(await stage.atomic(['containers', 'update', ...args])).toMatchObject({
        code: 2,
        stderr: expect.stringMatching(/^(?:Incompatible options specified|Too few arguments)/),
      });
    }
  });

  it('are trimmed once for their file system', async () => {
    const fake = '#!/bin/sh\necho "$@" >>/run/trimmed; echo "$2: 1 MiB (1048576 bytes) trimmed"\n';
    await stage.host.writeFile('/usr/local/sbin/fstrim', fake, 0o755);
    expect(await lines('containers', 'trim')).toEqual(
      ['bad', 'busy', 'good'].map((name) => `Trimming container id ${name}`),
    );
    expect(await stage.run('cat', '/run/trimmed')).toBe(`--verbose ${CHECKOUTS}/bad.0/rootfs`);
  });

  it('are deleted after a question only, or with -y', async () => {
    const args = ['containers', 'delete', 'bad'];
    for (const input of ['', 'n\n', 'bad\n']) {
      const asked = await stage.atomic(args, { input });
      expect(asked).toMatchObject({ code: 1, stdout: expect.stringContaining('Confirm (y/N) ') });
    }
    expect(await stage.atomic(['--json', ...args], { input: 'y\n' })).toMatchObject({ code: 2, stdout: '' });
    expect(await type('atomic-ts containers delete bad', 'n\n')).toContain('Nothing was deleted.');
    expect(await stage.run('ls', CHECKOUTS)).toContain('bad');
    expect(await type('atomic-ts containers delete bad', 'y\n')).toContain('systemctl disable --now bad');
    expect(await stage.run('ls', CHECKOUTS)).not.toContain('bad');
  });

  it('are deleted all but those that cannot be', async () => {
    await stage.succeed('stop', 'busy');
    const script = `atomic-ts run busy sh -c 'echo up; while test -e /proc/1; do sleep 0.1; done' >/run/up & pid=$!
      until grep -q up /run/up; do sleep 0.1; done
      atomic-ts -y --wait 0 containers delete busy good 2>&1 && code=0 || code=$?
      runc kill busy-run-$pid KILL; wait $pid || true; echo "status $code"; ls ${CHECKOUTS}`;
    const told = (await stage.shell(script)).split('\n');
    expect(told.at(-3)).toBe('status 1');
    expect(told.slice(-2)).toEqual(['busy', 'busy.0']);
    expect(told.join('\n')).toMatch(
      /Cannot change the container busy.*\n(?:.*\n)*systemctl disable --now good/,
    );
    await stage.succeed('-y', 'containers', 'delete', '--all');
    expect(await stage.run('ls', CHECKOUTS)).toBe('');
    expect(await lines('-y', 'containers', 'delete', '--all')).toEqual(['There is no container to delete.']);
    expect(await stage.atomic(['-y', 'containers', 'delete', 'nosuch'])).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^Unable to find 'nosuch' in the following backends: ostree\n/),
    });
  });
});
