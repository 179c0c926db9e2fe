/** The commands that look at one image, name it and pull it again, beside a real registry; in the reference's words. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildImage, type BuiltImage, type TarEntry } from '../fixtures/image-builder.ts';
import { layDown } from './support/atomic-fixture.ts';
import { helloImage, hostPlatform, makeImage } from './support/images.ts';
import { openStage, REPOSITORY, show, type Stage } from './support/stage.ts';

const LABELS = { 'atomic.type': 'system', name: 'small', release: '1', summary: 'small system container' };

/** An ordinary image that says which version it is, and has a layer of its own for it. */
const versioned = (version: string): BuiltImage =>
  makeImage([{ path: 'etc/version', content: `version ${version}` }], {
    Cmd: ['/bin/sh'],
    Labels: { ...LABELS, version },
  });

let stage: Stage;
let hello: string;
let small: string;

const refs = async (): Promise<string[]> =>
  (await stage.run('ostree', `--repo=${REPOSITORY}`, 'refs', '--list')).split('\n').filter(Boolean).sort();
const lines = async (...args: string[]): Promise<string[]> => (await stage.succeed(...args)).split('\n');
const json = async <T>(...args: string[]): Promise<T> => JSON.parse(await stage.succeed(...args)) as T;
/** A row of a table by one of its cells. */
const rowOf = async (cell: string, ...args: string[]): Promise<string> =>
  (await lines(...args)).find((line) => line.split(/\s+/).includes(cell)) ?? '';
const idOf = ({ digest }: BuiltImage): string => digest.slice('sha256:'.length);

beforeAll(async () => {
  stage = await openStage();
  hello = await stage.push(helloImage(), 'hello');
  small = await stage.push(versioned('1.0'), 'small');
  await stage.succeed('install', hello, '--name', 'web', '--set', 'PORT=9090', '--no-start');
  await stage.succeed('pull', small);
});
afterAll(() => stage.close());

describe('images info', () => {
  it('prints name, labels and template variables as atomic did', async () => {
    const expected = `Image Name: ${hello}:latest
atomic.summary: Says hi over HTTP
atomic.type: system


Template variables with default value, but overridable with --set:
ALL_PROCESS_CAPABILITIES: {SET_BY_OS}
CONF_DIRECTORY: {SET_BY_OS}
PIDFILE: {SET_BY_OS}
PORT: 8081
RECEIVER: World
RUN_DIRECTORY: {SET_BY_OS}
STATE_DIRECTORY: {SET_BY_OS}
UUID: {SET_BY_OS}

`;
    expect(await stage.succeed('images', 'info', '--storage', 'ostree', hello)).toBe(expected);
    expect(await stage.succeed('info', hello)).toBe(expected);
    expect(await stage.succeed('info', idOf(helloImage()).slice(0, 12))).toBe(expected);
  });

  it('says what has to be set, which an installation then asks for', async () => {
    const template = 'd    $RUN_DIRECTORY/$NAME   0700 $VAR_WITH_NO_DEFAULT - - -';
    const exports = { 'tmpfiles.template': template };
    const needy = await stage.push(helloImage({ exports }), 'needy');
    await stage.succeed('pull', needy);
    expect((await lines('images', 'info', needy)).slice(-5)).toEqual([
      '',
      'Template variables that has no default value, and must be set with --set:',
      'VAR_WITH_NO_DEFAULT: {DEF_VALUE}',
      '',
      '',
    ]);
    const refused = await stage.atomic(['install', needy, '--name', 'needy', '--no-start']);
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain("still contains an unreplaced value for: ''VAR_WITH_NO_DEFAULT''");
    const { variables } = await json<{ variables: { name: string; mustBeSet: boolean; usedIn: string[] }[] }>(
      'info',
      '--variables',
      '--json',
      needy,
    );
    expect(variables.filter(({ mustBeSet }) => mustBeSet)).toEqual([
      {
        name: 'VAR_WITH_NO_DEFAULT',
        default: null,
        source: null,
        mustBeSet: true,
        usedIn: ['tmpfiles.template'],
      },
    ]);
  });

  it('reads whiteouts as an installation does, and leaves nothing behind', async () => {
    const template = (name: string, content: string): TarEntry => ({ path: `exports/${name}`, content });
    const layers = [
      { entries: [template('tmpfiles.template', '$GONE'), template('config.json.template', '$OLD')] },
      { entries: [template('.wh.tmpfiles.template', ''), template('config.json.template', '$NEW')] },
    ];
    const image = buildImage({ layers, platform: hostPlatform() });
    const stacked = await stage.push(image, 'stacked');
    await stage.succeed('pull', stacked);
    const before = await refs();
    expect((await lines('images', 'info', stacked)).filter((line) => line.endsWith(': {DEF_VALUE}'))).toEqual(
      ['NEW: {DEF_VALUE}'],
    );
    expect(await refs()).toEqual(before);
    expect(await stage.shell('ls -A /var/lib/containers/atomic/.atomic-ts/verify')).toBe('');
  });

  it('asks the registry with --remote, for manifest and config alone, and stores nothing', async () => {
    const before = await refs();
    const remote = await stage.push(versioned('7'), 'elsewhere:v7');
    expect((await stage.atomic(['info', remote])).stderr).toMatch(
      /^Unable to find localhost:5000\/elsewhere:v7 in the ostree backend\n/,
    );
    await stage.takeRequests();
    expect(await lines('info', '--remote', remote)).toEqual([
      `Image Name: ${remote}`,
      'atomic.type: system',
      'name: small',
      'release: 1',
      'summary: small system container',
      'version: 7',
      '',
      '',
    ]);
    const requests = await stage.takeRequests();
    expect(requests.filter((request) => request.includes('/blobs/'))).toHaveLength(1);
    expect(await refs()).toEqual(before);
  });

  it('knows the values of a container, and where each is from', async () => {
    const { container } = await json<{ container: { values: { name: string }[] } }>('--json', 'info', 'web');
    const value = (name: string): unknown => container.values.find((item) => item.name === name);
    expect(value('PORT')).toEqual({ name: 'PORT', value: '9090', source: 'set' });
    expect(value('RECEIVER')).toEqual({ name: 'RECEIVER', value: 'World', source: 'manifest' });
    expect(value('NAME')).toEqual({ name: 'NAME', value: 'web', source: 'forced' });
    expect(await rowOf('PORT', 'info', '--variables', 'web')).toMatch(/^PORT +9090 +--set$/);
    expect(await rowOf('PORT', 'info', '--variables', hello)).toMatch(
      /^PORT +8081 +the image's manifest\.json +config\.json\.template$/,
    );
  });
});

describe('images version', () => {
  it('prints what atomic printed', async () => {
    const row = `${small}          1.0-1     ${idOf(versioned('1.0')).slice(0, 12)}`;
    expect(await lines('images', 'version', '--storage', 'ostree', small)).toEqual([
      `${'IMAGE NAME'.padEnd(small.length + 9)} VERSION   IMAGE ID  `,
      row,
      '',
      '',
    ]);
    expect(await lines('version', small)).toContain(row);
    expect(await rowOf('1.0-1', 'images', 'version')).toContain(small);
  });
});

describe('images tag', () => {
  it('gives an image a second name, under which it is listed as used, installed and deleted', async () => {
    const before = await refs();
    expect(await stage.succeed('images', 'tag', '--storage', 'ostree', `${hello}:latest`, 'other:tag')).toBe(
      '',
    );
    expect(await refs()).toEqual([...before, 'ociimage/other_3Atag'].sort());
    expect(await stage.shell('ostree --repo="$1" rev-parse ociimage/other_3Atag', REPOSITORY)).toBe(
      await stage.shell(
        'ostree --repo="$1" rev-parse "ociimage/$2"',
        REPOSITORY,
        'localhost_3A5000_2Fhello_3Alatest',
      ),
    );
    const id = idOf(helloImage()).slice(0, 12);
    expect(await rowOf('other', 'images', 'list', '-f', 'type=ostree')).toMatch(
      new RegExp(`^>  other +tag +${id} +\\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d +[\\d.]+ MB +ostree    $`),
    );
    expect(await rowOf(hello, 'images', 'list')).toContain(`>  ${hello}`);
    await stage.succeed('install', 'other:tag', '--name', 'second', '--no-start');
    await stage.succeed('uninstall', 'second');
    await stage.succeed('-y', 'images', 'delete', '--force', 'other:tag');
    await stage.succeed('images', 'prune');
    expect(await refs()).toEqual(before);
    await stage.run('ostree', `--repo=${REPOSITORY}`, 'fsck', '--quiet');
  });
});

describe('images verify', () => {
  const changed = versioned('2.0');

  it('says that all is as it was stored, and that the registry has nothing newer', async () => {
    await stage.takeRequests();
    expect(await stage.succeed('images', 'verify', small)).toMatch(
      new RegExp(
        `^${small}:latest: its \\d+ objects are as they were stored; docker://${small} has nothing newer\n$`,
      ),
    );
    expect(await stage.takeRequests()).not.toEqual([]);
    expect(await stage.succeed('verify', '--no-registry', small)).toMatch(/ as they were stored\n$/);
    expect(await stage.takeRequests()).toEqual([]);
    expect(await stage.succeed('verify', 'web')).toMatch(/^web: its \d+ objects are as they were stored; /);
  });

  it('tells of a newer image layer by layer, with status 0', async () => {
    await stage.push(changed, 'small');
    const [, was] = versioned('1.0').layers;
    const [, is] = changed.layers;
    expect((await lines('images', 'verify', '--no-validate', small)).slice(0, 6)).toEqual([
      '',
      `${small}:latest contains images or layers that have updates:`,
      '',
      "      '1.0-1' has an update to '2.0-1'",
      '',
      `      '${was?.descriptor.digest}' has an update to '${is?.descriptor.digest}'`,
    ]);
    expect(await stage.succeed('verify', '-v', '--no-validate', small)).toContain('* = version difference');
    const answer = await json<{ registry: object; damaged: boolean }>('verify', small, '--json');
    expect(answer).toMatchObject({ damaged: false, registry: { state: 'newer', digest: changed.digest } });
  });

  it('does not take silence for an answer', async () => {
    await stage.succeed('images', 'tag', small, 'localhost:1/nobody');
    const silent = await stage.atomic(['images', 'verify', 'localhost:1/nobody']);
    expect(silent.code).toBe(1);
    expect(silent.stdout).toContain('whether there is a newer one could not be asked');
    expect(silent.stderr).toContain('localhost:1');
    await stage.succeed('-y', 'images', 'delete', 'localhost:1/nobody');
  });

  it('ends with 5 when an object was written to, of an image and of a container', async () => {
    const path = '/var/lib/containers/atomic/web/rootfs/usr/bin/run.sh';
    await stage.shell('cp -a "$1" /tmp/whole; echo "# more" >>"$1"', path);
    for (const name of [hello, 'web']) {
      const found = await stage.atomic(['verify', '--no-registry', name]);
      expect(show(found)).toMatch(/^status 5\n/);
      expect(found.stdout).toMatch(/\t\/usr\/bin\/run\.sh: the file object [0-9a-f]{64} is damaged\n/);
    }
    expect(await stage.atomic(['images', 'verify', '--no-registry', '--no-validate', hello])).toMatchObject({
      code: 0,
      stdout: `${hello}:latest: nothing was verified\n`,
    });
    await stage.succeed('repair', 'web');
    expect((await stage.atomic(['verify', 'web'])).code).toBe(0);
  });
});

describe('images update', () => {
  it('pulls what the registry has by now, and leaves containers as they are', async () => {
    const newer = versioned('3.0');
    await stage.push(newer, 'small');
    expect(await stage.succeed('images', 'update', '--storage', 'ostree', small)).toBe(
      `Pulled ${small}:latest (${newer.digest})\n`,
    );
    expect(await rowOf(small, 'version', small)).toContain('3.0-1');
    expect(await stage.succeed('images', 'update', small)).toBe(
      `${small}:latest is up to date (${newer.digest})\n`,
    );
    expect(await stage.atomic(['images', 'update', 'nosuch'])).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^nosuch not found locally. {2}Unable to update\n/),
    });
    expect(await stage.atomic(['images', 'update', '--all', small])).toMatchObject({ code: 2 });
  });

  it('with --all prints atomic’s summary, and fails when an image could not be pulled', async () => {
    await stage.succeed('images', 'tag', small, 'unqualified');
    const newest = versioned('4.0');
    const before = idOf(versioned('3.0')).slice(0, 32);
    await stage.push(newest, 'small');
    const all = await stage.atomic(['images', 'update', '--storage', 'ostree', '--all']);
    expect(all.code).toBe(0);
    expect(all.stderr).toContain('Image unqualified:latest not fully qualified: skipping\n');
    const helloId = idOf(helloImage()).slice(0, 32);
    const row = (name: string, from: string, to: string, status: string): string =>
      `${name.padEnd(50)} ${from} ${to} ${status.padEnd(15)}`;
    expect(all.stdout).toContain(`Checking image ${hello}:latest...\n`);
    expect(all.stdout).toContain(
      `\nSUMMARY\n\n${'Image'.padEnd(50)} ${'Image ID before update'.padEnd(32)} ${'Image ID after update'.padEnd(32)} Status         \n` +
        `${row(`${hello}:latest`, helloId, helloId, 'Updated')}\n`,
    );
    expect(all.stdout).toContain(row(`${small}:latest`, before, idOf(newest).slice(0, 32), 'Updated now'));
    await stage.succeed('images', 'tag', small, 'localhost:1/nobody');
    const failed = await stage.atomic(['images', 'update', '--all']);
    expect(failed.code).toBe(1);
    expect(failed.stdout).toMatch(/^localhost:1\/nobody:latest .* Could not pull $/m);
    expect(failed.stdout).toMatch(new RegExp(`^${hello}:latest .* Updated {8}$`, 'm'));
    expect(failed.stderr).toContain('localhost:1');
    await stage.succeed('-y', 'images', 'delete', 'localhost:1/nobody', 'unqualified');
  });
});

describe('an image and a container that atomic left', () => {
  it('are told of and verified as ours are; what was not recorded is said not to be', async () => {
    const built = buildImage({
      format: 'v2s2',
      platform: hostPlatform(),
      config: { Labels: { ...LABELS, version: '2.0' } },
      layers: [
        { entries: [{ path: 'etc/version', content: 'old' }] },
        { entries: [{ path: 'exports/manifest.json', content: '{"defaultValues":{"PORT":8081}}' }] },
      ],
    });
    await layDown(stage, {
      name: 'kept',
      image: 'docker.io/kept',
      built,
      configJson: '{"process":{"args":["run.sh"]},"root":{"path":"rootfs","readonly":true}}',
      unit: '[Service]\nExecStart=/bin/sleep 1000\n[Install]\nWantedBy=multi-user.target\n',
      tmpfiles: 'd /run/kept 0755 - - -\n',
      values: { PORT: '9090', NAME: 'kept' },
    });
    expect((await lines('images', 'info', '--storage', 'ostree', 'docker.io/kept')).slice(0, 10)).toEqual([
      'Image Name: docker.io/library/kept:latest',
      'atomic.type: system',
      'name: small',
      'release: 1',
      'summary: small system container',
      'version: 2.0',
      '',
      '',
      'Template variables with default value, but overridable with --set:',
      'ALL_PROCESS_CAPABILITIES: {SET_BY_OS}',
    ]);
    expect(await stage.succeed('images', 'version', 'docker.io/kept')).toBe(
      `IMAGE NAME              VERSION   IMAGE ID  \ndocker.io/kept          2.0-1     ${idOf(built).slice(0, 12)}\n\n`,
    );
    expect(await rowOf('PORT:', 'info', 'kept')).toBe('PORT: 9090 (not recorded)');
    for (const name of ['docker.io/kept', 'kept'])
      expect(await stage.succeed('verify', '--no-registry', name)).toMatch(
        / objects are as they were stored\n$/,
      );
    // It has no source of its own: its name is one.
    expect((await stage.atomic(['images', 'update', 'docker.io/kept'])).stderr).toContain(
      'docker.io/library/kept:latest',
    );
    await stage.succeed('uninstall', 'kept');
    await stage.succeed('-y', 'images', 'delete', 'docker.io/kept');
  });
});

describe('what scripts meet', () => {
  it('are the reference’s sentences', async () => {
    expect(await stage.atomic(['pull', '--storage', 'bogus', 'busybox'])).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(
        /^The storage backend 'bogus' is not available. {2}Try with an alternate storage with --storage if available.\n/,
      ),
    });
    expect(await stage.atomic(['-y', 'images', 'delete', '--storage', 'ostree', 'nosuch'])).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^Unable to find nosuch in the ostree backend\n/),
    });
    const asked = await stage.atomic(['images', 'delete', '--storage', 'ostree', small], { input: '' });
    expect(asked.code).toBe(1);
    expect(asked.stdout).toBe(
      `Do you wish to delete the following images?\n\n   ${'IMAGE'.padEnd(small.length + 2)} STORAGE\n   ${small}   ostree\n\nConfirm (y/N) \n`,
    );
    expect(asked.stderr).toMatch(/^Nobody has answered: standard input has ended\n.*-y/);
    expect(await stage.succeed('images')).toBe(await stage.succeed('images', 'list'));
  });
});

describe('lists of many', () => {
  /** Containers with units and images with their layers, as an installation leaves them. */
  const prepare = (folder: string, count: number): Promise<string> =>
    stage.shell(
      `mkdir -p "$1" /tmp/nothing
       repo=$1/repo
       ostree --repo="$repo" init --mode=bare
       commit() { ostree --repo="$repo" commit --no-bindings --fsync=false --tree=dir=/tmp/nothing --subject= "$@" >/dev/null; }
       for i in $(seq "$2"); do
         id=$(printf %064x "$i"); name=many-$i
         mkdir -p "$1/$name.0/rootfs"
         echo '{"image":"example.org/'$name'","revision":"'$id'","created":1,"has-container-service":true}' >"$1/$name.0/info"
         echo '{"process":{"args":["run.sh"]}}' >"$1/$name.0/config.json"
         ln -s "$1/$name.0" "$1/$name"
         printf '[Service]\\nExecStart=/bin/true\\n' >/etc/systemd/system/$name.service
         blob='"size":1,"digest":"sha256:'$id'"'
         commit --branch="ociimage/example.org_2F$name""_3Alatest" --add-metadata-string=docker.digest=sha256:$id \\
           --add-metadata-string=docker.manifest='{"schemaVersion":2,"config":{'$blob'},"layers":[{'$blob'}]}'
         commit --branch="ociimage/$id" --add-metadata-string=of=$id
       done`,
      folder,
      String(count),
    );

  it('start as many programs as lists of few', async () => {
    const started = async (folder: string, ...list: string[]): Promise<number> =>
      Number(
        await stage.shell(
          `export ATOMIC_OSTREE_CHECKOUT_PATH="$1" ATOMIC_OSTREE_REPO="$1/repo"; shift
           strace -f -qq -e trace=execve -o /tmp/started atomic-ts "$@" >/tmp/list
           grep -c ' = 0$' /tmp/started`,
          folder,
          ...list,
        ),
      );
    await prepare('/var/lib/few', 5);
    await prepare('/var/lib/many', 60);
    for (const list of [
      ['containers', 'list', '--all', '--noheading'],
      ['images', 'list', '--noheading'],
      ['images', 'list', '--all', '--noheading'],
    ]) {
      const few = await started('/var/lib/few', ...list);
      const rows = Number(await stage.run('wc', '-l', '/tmp/list').then((text) => text.split(' ')[0]));
      expect(`${list.join(' ')}: ${await started('/var/lib/many', ...list)}`).toBe(
        `${list.join(' ')}: ${few}`,
      );
      expect(Number((await stage.run('wc', '-l', '/tmp/list')).split(' ')[0])).toBe(rows * 12);
      // env(1), node, and one systemctl for the containers.
      expect(few).toBeLessThanOrEqual(3);
    }
  });

  it('tell what systemd says of the services, of those that it has not loaded as well', async () => {
    await stage.shell(
      `printf '[Service]\nExecStart=/bin/sleep 1000\n' >/etc/systemd/system/many-1.service
       printf '[Service]\nExecStart=/bin/false\n' >/etc/systemd/system/many-2.service
       printf '[Service]\nExecStart=/bin/false\nRestart=always\nRestartSec=1000\n' >/etc/systemd/system/many-3.service
       systemctl daemon-reload; systemctl start many-1 many-2 many-3
       until systemctl show -P SubState many-2 many-3 | grep -c -e failed -e auto-restart | grep -qx 2; do sleep 0.1; done`,
    );
    const list = (...args: string[]): Promise<string> =>
      stage.shell(
        'ATOMIC_OSTREE_CHECKOUT_PATH=/var/lib/few atomic-ts containers list "$@" --json | grep -E \'"(name|state)"\'',
        ...args,
      );
    const states = async (...args: string[]): Promise<string[]> =>
      [...(await list(...args)).matchAll(/"name": "(.*)",\s+"state": "(.*)"/g)].map(
        ([, name, state]) => `${name} ${state}`,
      );
    const up = ['many-1 running', 'many-2 failed', 'many-3 failed'];
    expect(await states()).toEqual(up);
    expect(await states('--all')).toEqual([...up, 'many-4 inactive', 'many-5 inactive']);
  });
});
