/** Updates whose new deployment does not come up: the old one runs again, and the failed one is kept for a look. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { ImageSpec, TarEntry } from '../fixtures/image-builder.ts';
import { helloImage, makeImage, readHello, STAY } from './support/images.ts';
import {
  CHECKOUTS,
  listChanges,
  openStage,
  readInfo,
  takeSnapshot,
  waitForPage,
  type Stage,
} from './support/stage.ts';

const PAGE = 'http://localhost:8081/';
const FAILED = `${CHECKOUTS}/.atomic-ts/failed/web`;
const SECOND = 1_000_000_000;
const UNIT = readHello('exports/service.template').replace('[Install]', 'TimeoutStopSec=2\n\n[Install]');
/** Patience for two tries. */
const QUICK = { Interval: SECOND / 2, Timeout: 2 * SECOND, Retries: 2 };

type Healthcheck = NonNullable<ImageSpec['config']>['Healthcheck'];

let stage: Stage;
let before: string;
let layouts = 0;

/** An ordinary image whose page says hi; or one whose script does what it does. */
function image(options: { script?: string; page?: string; check?: Healthcheck } = {}): string {
  const { script, page = 'Hi again', check } = options;
  const serve = `echo '${page}' >/tmp/index.html; httpd -p 8081 -h /tmp; ${STAY}`;
  const files: TarEntry[] = [
    { path: 'usr/bin/run.sh', content: `#!/bin/sh\n${script ?? serve}\n`, mode: 0o755 },
  ];
  const config = { Cmd: ['/usr/bin/run.sh'], Env: ['PATH=/usr/bin:/bin'] };
  const built = makeImage(files, check === undefined ? config : { ...config, Healthcheck: check });
  layouts += 1;
  return stage.addLayout(`health-${layouts}`, { image: built });
}

/** One that brings a unit of its own. */
function withUnit(unit: string): string {
  layouts += 1;
  return stage.addLayout(`health-${layouts}`, {
    image: helloImage({ exports: { 'service.template': unit } }),
  });
}

const shell = (command: string): Healthcheck => ({ Test: ['CMD-SHELL', command], ...QUICK });

interface Failure {
  readonly code: number;
  readonly error: Record<string, unknown>;
  readonly changes: readonly string[];
}

/** An update that fails, what is left of it, and a host that is as it was. */
async function fail(...args: string[]): Promise<Failure> {
  const { code, stdout, stderr } = await stage.atomic(['--json', ...args]);
  expect(stdout).toBe('');
  const events = stderr
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  await waitForPage(stage, PAGE, 'Hi World');
  const changes = (await listChanges(stage, before)).filter(
    (line) => !line.includes('.atomic-ts/failed/web/'),
  );
  return { code, error: events.at(-1) ?? {}, changes };
}

const update = (layout: string, ...args: string[]): Promise<Failure> =>
  fail('update', 'web', '--rebase', layout, ...args);

const undone = (reason: string, details: string): object => ({
  code: 4,
  error: {
    event: 'error',
    code: 'update-failed',
    message: expect.stringMatching(
      new RegExp(
        `^The update of web to .* failed and was undone: the service web did not start: .*${reason}.*; the deployment before it runs again$`,
      ),
    ),
    details: expect.stringContaining(details),
    hint: expect.stringContaining(FAILED),
    trouble: [],
  },
  changes: [],
});

async function listed(): Promise<Record<string, unknown>> {
  const [container] = JSON.parse(await stage.succeed('containers', 'list', '--json')) as Record<
    string,
    unknown
  >[];
  return container ?? {};
}

const report = async (): Promise<Record<string, unknown>> =>
  JSON.parse(await stage.host.readFile(`${FAILED}/failure.json`)) as Record<string, unknown>;
const kept = (): Promise<string> => stage.shell('ls -A "$1" 2>/dev/null || true', FAILED);

beforeAll(async () => {
  stage = await openStage({ registry: false });
  await stage.succeed('install', withUnit(UNIT), '--name', 'web');
  // So that there is a deployment to go back to.
  await stage.succeed('update', 'web', '--no-pull', '--set', 'RECEIVER=Nobody');
  await stage.succeed('update', 'web', '--no-pull', '--set', 'RECEIVER=World');
  await waitForPage(stage, PAGE, 'Hi World');
});
afterAll(() => stage.close());
beforeEach(async () => {
  before = await takeSnapshot(stage);
});

describe('an update is undone, with exit status 4, to an image', () => {
  afterEach(async () => {
    // The deployment to go back to is still that, and the way there is free.
    await stage.succeed('containers', 'rollback', 'web');
    await waitForPage(stage, PAGE, 'Hi Nobody');
    await stage.shell('[ ! -e "$1" ]', FAILED);
    await stage.succeed('containers', 'rollback', 'web');
    await waitForPage(stage, PAGE, 'Hi World');
  });

  it('that exits at once', async () => {
    const layout = image({ script: 'echo "cannot open /data" >&2; exit 7' });
    expect(await update(layout)).toEqual(undone('', 'cannot open /data'));
    expect(await kept()).toBe('deployment\nfailure.json');
    expect(await stage.shell('ls "$1/deployment"', FAILED)).toBe('config.json\ninfo\nrootfs\nweb.service');
    expect(await report()).toMatchObject({
      action: 'update',
      image: expect.stringContaining('health'),
      digest: expect.stringMatching(/^sha256:/),
      reason: expect.stringContaining('did not start'),
      journal: expect.stringContaining('cannot open /data'),
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
      deployment: `${FAILED}/deployment`,
    });
    expect(await listed()).toMatchObject({
      name: 'web',
      running: true,
      failed_update: {
        image: expect.stringContaining('health'),
        time: expect.any(String),
        reason: expect.stringContaining('did not start'),
        path: FAILED,
      },
    });
    const table = (await stage.succeed('containers', 'list')).split('\n');
    expect(table[1]).toMatch(/^! {2}web /);
    expect(table.at(-2)).toMatch(/^! The last update of web, to .*, did not start: see \//);
  });

  it('that systemd has to restart', async () => {
    expect(await update(image({ script: 'sleep 0.6; exit 3' }), '--settle', '3')).toEqual(
      undone('', 'status=3'),
    );
  });

  it('that fails its HEALTHCHECK', async () => {
    const check = shell('echo "no database"; exit 5');
    expect(await update(image({ check }))).toEqual(
      undone('its health check failed \\d+ times, the last one with exit status 5', 'no database'),
    );
  });

  it('whose HEALTHCHECK takes too long', async () => {
    const check = { ...shell('sleep 100'), Timeout: SECOND / 2, Retries: 1 };
    expect(await update(image({ check }))).toEqual(undone('did not end within 0.5 seconds', ''));
  });

  it('that dies while its HEALTHCHECK is being run', async () => {
    const check = { ...shell('sleep 100'), Timeout: 60 * SECOND, StartPeriod: 60 * SECOND };
    expect(await update(image({ script: "trap 'exit 9' TERM; sleep 1; exit 9", check }))).toEqual(
      undone('(?:status 9|had to restart it)', 'status=9'),
    );
  });

  it('that never says that it is ready', async () => {
    const notify = 'Type=notify\nTimeoutStartSec=2\nRestart=no';
    const layout = withUnit(UNIT.replace('Restart=on-failure', notify));
    expect(await update(layout)).toEqual(undone('timeout', 'start operation timed out'));
  });

  it('that fails the check of the command line', async () => {
    const layout = image({ check: { ...shell('true'), Test: ['NONE'] } });
    expect(await update(layout, '--health-cmd', 'grep nothing /proc/self/status')).toEqual(
      undone('health check failed .* with exit status 1', ''),
    );
  });
});

describe('an update stands', () => {
  const page = async (args: readonly string[], expected: string): Promise<void> => {
    await stage.succeed('update', 'web', ...args);
    await waitForPage(stage, PAGE, expected);
  };
  const check = async (): Promise<unknown> => (await readInfo(stage, 'web'))['health-check'];

  it('to an image that passes its HEALTHCHECK after some tries, which takes the failed one away', async () => {
    await update(image({ check: shell('exit 1') }));
    expect(await kept()).toBe('deployment\nfailure.json');
    const tries = 'echo x >>/tmp/tries; [ "$(grep -c x /tmp/tries)" -ge 3 ]';
    await page(
      ['--rebase', image({ page: 'Hi third', check: { ...shell(tries), Retries: 10 } })],
      'Hi third',
    );
    expect(await kept()).toBe('');
    expect(await listed()).toMatchObject({ failed_update: null });
    expect(await check()).toMatchObject({ source: 'image', command: ['/bin/sh', '-c', tries] });
  });

  it('to a service that says that it is ready, by the socket that systemd gave it', async () => {
    const mount = '{ "type": "bind", "source": "/usr", "destination": "/var", "options": ["rbind", "ro"] },';
    const config = readHello('exports/config.json.template').replace('"mounts": [', `"mounts": [${mount}`);
    const unit = UNIT.replace('Restart=on-failure', 'Type=notify\nTimeoutStartSec=20\nRestart=no');
    // The host's own program, by way of its own loader: the image has no library.
    const notify = `(
      sleep 0.5
      for loader in /var/lib/*/ld-linux*.so.? /var/lib64/ld-linux*.so.?; do [ ! -f "$loader" ] || break; done
      libraries=$(echo /var/lib/*-linux-gnu /var/lib/*-linux-gnu/systemd /var/lib64 /var/lib64/systemd | tr ' ' :)
      exec "$loader" --library-path "$libraries" /var/bin/systemd-notify --ready
    ) &\n`;
    const script = readHello('run.sh').replace('set -eu\n', `set -eu\n${notify}`);
    const image = helloImage({
      exports: { 'service.template': unit, 'config.json.template': config },
      files: [{ path: 'usr/bin/run.sh', content: script, mode: 0o755 }],
    });
    layouts += 1;
    await page(['--rebase', stage.addLayout(`health-${layouts}`, { image })], 'Hi World');
    expect(await stage.run('systemctl', 'show', '-P', 'Type', 'web')).toBe('notify');
  });

  it('with a check of the command line, which later updates keep until they are told not to', async () => {
    const failing = shell('exit 1');
    await page(['--rebase', image({ page: 'Hi own', check: failing }), '--health-cmd=true'], 'Hi own');
    await page(['--rebase', image({ page: 'Hi kept', check: failing })], 'Hi kept');
    expect(await check()).toMatchObject({ source: 'option', command: ['/bin/sh', '-c', 'true'] });
    await page(['--no-pull', '--health-cmd', '["grep", "Hi", "/tmp/index.html"]'], 'Hi kept');
    await page(['--no-pull', '--no-healthcheck'], 'Hi kept');
    expect(await check()).toMatchObject({ source: 'option', command: [] });
    const { code } = await stage.atomic(['update', 'web', '--no-pull', '--health-cmd=image']);
    expect(code).toBe(4);
    await waitForPage(stage, PAGE, 'Hi kept');
    expect(await check()).toMatchObject({ source: 'option', command: [] });
  });
});

describe('what is kept of a failure', () => {
  it('is replaced by the next failure, stays when a rollback fails, and goes with the container', async () => {
    const good = image({
      page: 'Hi World',
      check: shell('[ ! -e /run/broken ] && grep -q Hi /tmp/index.html'),
    });
    await stage.succeed('update', 'web', '--rebase', good);
    await stage.succeed('update', 'web', '--no-pull', '--set', 'X=1');
    before = await takeSnapshot(stage);
    await update(image({ script: 'exit 1' }));
    const first = await report();
    await update(image({ script: 'exit 2' }));
    expect(await report()).not.toEqual(first);
    expect(await kept()).toBe('deployment\nfailure.json');

    // The deployment to go back to has lost its program.
    const other = await stage.shell('readlink "$1/web" | sed "s/1$/x/;s/0$/1/;s/x$/0/"', CHECKOUTS);
    await stage.shell('rm "$1/rootfs/usr/bin/run.sh"', other);
    before = await takeSnapshot(stage);
    const { code, error, changes } = await fail('containers', 'rollback', 'web');
    expect({ code, changes }).toEqual({ code: 4, changes: [] });
    expect(error).toMatchObject({
      code: 'update-failed',
      message: expect.stringContaining(`The rollback of web to ${other} failed and was undone`),
    });
    expect(await report()).toMatchObject({ action: 'rollback', deployment: other });
    expect(await kept()).toBe('failure.json');

    await stage.succeed('uninstall', 'web');
    expect(await stage.shell('find "$1/.atomic-ts" ! -type d', CHECKOUTS)).toBe('');
    expect(await kept()).toBe('');
  });
});

describe('an installation', () => {
  it('is undone when the HEALTHCHECK fails, and tells how to do without', async () => {
    before = await takeSnapshot(stage);
    const bad = image({ page: 'Hi anyway', check: shell('echo "not well"; exit 1') });
    const { code, stderr } = await stage.atomic(['--quiet', 'install', bad, '--name', 'well']);
    expect(code).toBe(1);
    expect(stderr).toContain('The service well did not start: its health check failed');
    expect(stderr).toContain('not well');
    expect(stderr).toContain('--no-healthcheck');
    expect(await listChanges(stage, before)).toEqual([]);
    await stage.succeed('install', bad, '--name', 'well', '--no-healthcheck');
    await waitForPage(stage, PAGE, 'Hi anyway');
    await stage.succeed('uninstall', 'well');
  });
});

describe('an image that runs once', () => {
  const once = (script: string): string => {
    layouts += 1;
    const files: TarEntry[] = [{ path: 'usr/bin/run.sh', content: `#!/bin/sh\n${script}\n`, mode: 0o755 }];
    const built = makeImage(files, {
      Cmd: ['/usr/bin/run.sh'],
      Env: ['PATH=/usr/bin:/bin'],
      Labels: { 'atomic.run': 'once' },
      Volumes: { '/data': {} },
    });
    return stage.addLayout(`health-${layouts}`, { image: built });
  };

  it('tells how it ended, and leaves its work', async () => {
    const { code, stdout } = await stage.atomic([
      'install',
      once('echo done; echo x >/data/y; exit 6'),
      '--name=job',
    ]);
    expect(code).toBe(6);
    expect(stdout).toContain('done\n');
    expect(await stage.shell('cat /var/lib/job/data/y; rm -r /var/lib/job')).toBe('x');
  });

  it('and outlives us keeps its lock; once it has ended, the next command takes away what it had', async () => {
    before = await takeSnapshot(stage);
    const layout = once(STAY);
    const script = `atomic-ts install "$1" --name=job </dev/null >/dev/null 2>&1 & pid=$!
      until runc state job 2>/dev/null | grep -q '"running"'; do sleep 0.1; done
      kill -KILL "$pid"; wait "$pid" || true; runc state job | grep -c '"running"'; ls -d /var/lib/job`;
    expect(await stage.shell(script, layout)).toBe('1\n/var/lib/job');
    const next = ['--wait=0', 'install', layout, '--name=job', '--dry-run'];
    expect((await stage.atomic(next)).stderr).toContain('(runc) is still at work');
    await stage.shell('runc kill job KILL');
    const { stderr } = await stage.atomic(['--wait=20', ...next.slice(1)]);
    expect(stderr).toMatch(/The run of job by process \d+ was cut off: it is undone now/);
    expect((await stage.host.exec('runc', ['state', 'job'])).code).not.toBe(0);
    expect(await listChanges(stage, before)).toEqual([]);
  });
});
