import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { BuiltImage } from '../fixtures/image-builder.ts';
import { helloImage, makeImage, readHello, scriptImage } from './support/images.ts';
import {
  openStage,
  REPOSITORY,
  startHostileRegistry,
  takeSnapshot,
  UNITS,
  type Stage,
} from './support/stage.ts';

interface Expected {
  /** Words of the one sentence that says what was tried on what, and what was found. */
  readonly says: readonly (string | RegExp)[];
  /** Words of the line behind it that says what to do. */
  readonly hint: string | RegExp;
  /** Words of what is shown before: a program's own last words. */
  readonly details?: readonly (string | RegExp)[];
}

let stage: Stage;
let registry: string;
let before: string;

/** Runs an installation of `bad` that has to fail, and looks whether the host is as it was. */
async function expectRefusal(args: readonly string[], expected: Expected): Promise<void> {
  const result = await stage.atomic(['--quiet', 'install', ...args]);
  expect(result).toMatchObject({ code: 1, stdout: '' });
  expectSentence(result.stderr, expected);
  expect(await takeSnapshot(stage)).toBe(before);
  expect(await stage.run('systemctl', 'show', '-P', 'LoadState', 'bad')).toBe('not-found');
}

function expectSentence(stderr: string, { says, hint, details }: Expected): void {
  const lines = stderr.split('\n').slice(0, -1);
  const [sentence, advice] = lines.slice(-2);
  for (const words of says) expect(sentence).toMatch(words);
  expect(advice).toMatch(hint);
  for (const words of details ?? []) expect(lines.slice(0, -2).join('\n')).toMatch(words);
  if (details === undefined) expect(lines).toHaveLength(2);
  // No stack trace, nothing that a template literal made of a thing that is no text.
  expect(stderr).not.toMatch(/^\s+at |node:|undefined|\[object|NaN/m);
}

const layout = (image: BuiltImage): string => stage.addLayout('bad', { image });
/** The demo's image with one of its exports replaced, as a layout; installed under the name that must leave nothing. */
const hello = (exports: Readonly<Record<string, string>>): string[] => [
  layout(helloImage({ exports })),
  '--name',
  'bad',
];
const config = readHello('exports/config.json.template');
const unit = readHello('exports/service.template');

beforeAll(async () => {
  stage = await openStage({ registry: false });
  registry = await startHostileRegistry(stage);
  // What the first use of the store and of the runtimes makes is there from now on.
  await stage.succeed('install', `${registry}/good`, '--name', 'good');
  await stage.succeed('uninstall', 'good');
  before = await takeSnapshot(stage);
});
afterAll(() => stage.close());

describe('a registry', () => {
  const cases: Record<string, Expected> = {
    nothing: {
      says: ['Cannot read the manifest of ', '/nothing', 'no such repository'],
      hint: 'Check the name of the image',
    },
    'good:nope': { says: ['/good:nope', 'has no such image'], hint: 'the tag of the image' },
    unauthorized: { says: ['/unauthorized', 'asks for credentials', 'who are you'], hint: 'podman login' },
    denied: { says: ['/denied', 'does not allow it', 'not for you'], hint: '--src-creds' },
    missing: { says: ['/missing', 'has no such image'], hint: 'Check the name and the tag' },
    failing: { says: ['/failing', '500 Internal Server Error', 'on fire'], hint: /./ },
    'always-limited': {
      says: ['/always-limited', 'allows no more requests', 'slow down'],
      hint: 'Try again later',
    },
    'wrong-bytes': { says: ['layer 1 of 2', '/wrong-bytes', /sha256:[0-9a-f]{64}/], hint: /./ },
    truncated: {
      says: ['/truncated', 'only 1000 bytes', /expected \d+ bytes/],
      hint: 'take the image from elsewhere',
    },
    'cut-gzip': { says: ['layer 1 of 1', '/cut-gzip', /gzip|compressed/], hint: /./ },
    elsewhere: { says: ['/elsewhere', /linux\/\w+/, 'linux/mips64le'], hint: /./ },
  };
  it.each(Object.entries(cases))(
    'that answers for %s is told of in one sentence',
    async (image, expected) => {
      await expectRefusal([`${registry}/${image}`, '--name', 'bad'], expected);
      const refs = await stage.run('ostree', `--repo=${REPOSITORY}`, 'refs', '--list', 'ociimage');
      expect(refs).toMatch(/_2Fgood_3Alatest$/m);
      expect(refs).not.toContain(image.replace('good:', ''));
    },
  );

  it('that is not reached is named', async () => {
    await expectRefusal(['127.0.0.1:1/x', '--name', 'bad'], {
      says: ['Cannot read the manifest of 127.0.0.1:1/x', 'no answer from 127.0.0.1:1', 'ECONNREFUSED'],
      hint: 'the network and the proxy',
    });
  });

  it('that asks for patience gets it', async () => {
    const { code, stderr } = await stage.atomic(['pull', `${registry}/limited`]);
    expect(code).toBe(0);
    expect(stderr.match(/answered 429; trying again in 1\.0 s/g)).toHaveLength(2);
  });

  it('gives an error that scripts can read', async () => {
    const { code, stdout, stderr } = await stage.atomic(['--json', 'pull', `${registry}/denied`]);
    expect([code, stdout]).toEqual([1, '']);
    const events = stderr
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as unknown);
    expect(events.at(-1)).toMatchObject({
      event: 'error',
      code: 'denied',
      message: expect.stringContaining('does not allow it'),
      hint: expect.stringContaining('podman login'),
    });
  });
});

describe('an image', () => {
  it('that uses a variable which has no value names it and its template', async () => {
    await expectRefusal(hello({ 'config.json.template': config.replace('$RECEIVER', '$MISSING') }), {
      says: [
        "The template file '/var/lib/containers/atomic/bad.0/rootfs/exports/config.json.template' still contains an unreplaced value for: ''MISSING''",
      ],
      hint: '--set MISSING=VALUE',
    });
  });

  it('that wants to write to its root is refused', async () => {
    await expectRefusal(
      hello({ 'config.json.template': config.replace('"readonly": true', '"readonly": false') }),
      {
        says: ['Invalid configuration file.  Only readonly images are supported'],
        hint: 'root.readonly',
      },
    );
  });

  it('whose configuration is no JSON once a value is in it says which', async () => {
    const args = hello({ 'config.json.template': config.replace('"uid": 0', '"uid": $PORT') });
    await expectRefusal([...args, '--set', 'PORT={'], {
      says: ['bad.0/rootfs/exports/config.json.template', 'not valid JSON'],
      hint: '--set',
    });
  });

  it('whose unit systemd would refuse is refused before the host has it', async () => {
    await expectRefusal(
      hello({ 'service.template': unit.replace('$EXEC_START', './relative $EXEC_START') }),
      {
        says: ['The unit of bad', 'systemd'],
        hint: 'Its template comes with the image',
        details: [/relative/],
      },
    );
    await expectRefusal(hello({ 'service.template': unit.replace('[Service]', '[Servant]') }), {
      says: ['service.template', 'has no [Service] section'],
      hint: /./,
    });
  });

  it('that names no command to run is refused', async () => {
    await expectRefusal([layout(makeImage([{ path: 'x', content: '' }])), '--name', 'bad'], {
      says: ['names no command to run'],
      hint: 'Give the image a CMD',
    });
  });

  it('whose service dies within the settling time tells its last words', async () => {
    const image = scriptImage('echo "no database at db:5432" >&2; sleep 0.3; exit 3');
    await expectRefusal([layout(image), '--name', 'bad', '--settle', '2'], {
      says: ['The service bad did not start: it'],
      hint: 'Everything is as it was before',
      details: ['no database at db:5432', 'status=3'],
    });
  });

  it('whose service never gets ready is given up when systemd gives it up', async () => {
    const notify = unit.replace(
      'Restart=on-failure',
      'Type=notify\nTimeoutStartSec=2\nTimeoutStopSec=1\nRestart=no',
    );
    await expectRefusal(hello({ 'service.template': notify }), {
      says: ['The service bad did not start', 'timeout'],
      hint: 'Everything is as it was before',
      details: ['start operation timed out'],
    });
  });
});

describe('the command line', () => {
  it.each(['a/b', '../up', '-dash', '.hidden', 'two words', 'new\nline', '', 'é'])(
    'cannot name a container %j',
    async (name) => {
      await expectRefusal([`${registry}/good`, `--name=${name}`], {
        says: ['cannot name a container'],
        hint: 'Choose one with --name',
      });
    },
  );

  it.each([
    ['UPPER/Case', 'is no image name'],
    ['x:bad tag', 'is no tag'],
    ['x@sha256:123', 'is no digest'],
    ['oci-archive:/nowhere.tar', '/nowhere.tar'],
    ['dir:/nowhere', '/nowhere'],
  ])('cannot name an image %j', async (image, words) => {
    await expectRefusal([image, '--name', 'bad'], { says: [words], hint: /./ });
  });

  it('cannot set what is always ours, nor what is no variable', async () => {
    await expectRefusal([`${registry}/good`, '--name', 'bad', '--set', 'NAME=other'], {
      says: ['NAME cannot be set'],
      hint: '--name',
    });
    const { code, stderr } = await stage.atomic(['install', `${registry}/good`, '--set', 'NOEQ']);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^Invalid value 'NOEQ'. {2}Expected form NAME=VALUE\n/);
  });

  it.each([
    [['frobnicate'], 'atomic-ts'],
    [['install'], 'atomic-ts install'],
    [['install', 'one', 'two'], 'atomic-ts install'],
    [['install', '--bogus', 'x'], 'atomic-ts install'],
    [['install', 'x', '--settle', 'soon'], 'atomic-ts install'],
    [['install', 'x', '--set'], 'atomic-ts install'],
    [['--wait', '-1', 'uninstall', 'x'], 'atomic-ts'],
    [['update'], 'atomic-ts update'],
    [['containers', 'rollback'], 'atomic-ts containers rollback'],
  ])('that is wrong as in %j exits with 2 and says where help is', async (args, command) => {
    const { code, stdout, stderr } = await stage.host.exec('atomic-ts', args);
    expect([code, stdout]).toEqual([2, '']);
    const [sentence, help, ...rest] = stderr.split('\n');
    expect(sentence).toMatch(new RegExp(`^${command}: \\S`));
    expect([help, rest]).toEqual([`Try '${command} --help' for more information.`, ['']]);
  });

  it('that is empty exits with 2 and shows what there is', async () => {
    const { code, stdout, stderr } = await stage.host.exec('atomic-ts');
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toMatch(/^Usage: atomic-ts .*^ {2}install .*^ {2}uninstall /ms);
  });

  it.each([
    [['uninstall', 'nobody'], "Unable to find 'nobody' in the following backends: ostree"],
    [['update', 'nobody'], "System container 'nobody' is not installed"],
    [
      ['containers', 'rollback', 'nobody'],
      'Error: Cannot find a previous deployment to rollback located at /var/lib/containers/atomic/nobody.0',
    ],
  ])('cannot act on a container that is not there: %j', async (args, sentence) => {
    const { code, stderr } = await stage.atomic(['--quiet', ...args]);
    expect(code).toBe(1);
    expectSentence(stderr, { says: [sentence], hint: /./ });
    expect(await takeSnapshot(stage)).toBe(before);
  });
});

describe('a host', () => {
  const image = (): string => `${registry}/good`;
  const install = (...prefix: string[]) =>
    stage.host.exec(prefix[0] ?? '', [
      ...prefix.slice(1),
      'atomic-ts',
      '--quiet',
      'install',
      image(),
      '--name',
      'bad',
    ]);

  it.each([`${UNITS}/bad.service`, '/etc/tmpfiles.d/bad.conf'])(
    'that has a %s already keeps it',
    async (file) => {
      await stage.host.writeFile(file, 'somebody else’s');
      const result = await stage.atomic(['--quiet', 'install', image(), '--name', 'bad']);
      expect(result).toMatchObject({ code: 1, stdout: '' });
      expectSentence(result.stderr, {
        says: [`The file ${file} already exists.`],
        hint: 'choose another --name',
      });
      expect(await stage.host.readFile(file)).toBe('somebody else’s');
      await stage.run('rm', file);
      expect(await takeSnapshot(stage)).toBe(before);
    },
  );

  it('without a runtime is told which to install', async () => {
    const hide =
      'for p in runc crun; do mount --bind /dev/null $(readlink -f $(command -v $p)); done; exec "$@"';
    const result = await install('unshare', '--mount', 'sh', '-c', hide, 'sh');
    expect(result).toMatchObject({ code: 1, stdout: '' });
    expectSentence(result.stderr, { says: ['runtime', 'runc is not installed'], hint: 'install runc' });
    await expectRefusal([image(), '--name', 'bad', '--runtime', '/nowhere/runc'], {
      says: ['/nowhere/runc is not installed'],
      hint: '--runtime',
    });
  });

  it('without ostree is told to install it', async () => {
    await stage.shell(`mkdir -p /opt/bin && ln -sf $(dirname $(command -v node))/* /usr/bin/* /opt/bin/ && rm -f /opt/bin/ostree
      rm -rf ${REPOSITORY}.away && mv ${REPOSITORY} ${REPOSITORY}.away`);
    const result = await install('env', 'PATH=/opt/bin');
    await stage.shell(`rm -rf ${REPOSITORY} && mv ${REPOSITORY}.away ${REPOSITORY}`);
    expect(result).toMatchObject({ code: 1, stdout: '' });
    expectSentence(result.stderr, { says: ['ostree', 'is not installed'], hint: 'install ostree' });
    expect(await takeSnapshot(stage)).toBe(before);
  });

  it('changes nothing for anybody but root', async () => {
    const result = await install('setpriv', '--reuid=65534', '--regid=65534', '--clear-groups');
    expect(result).toMatchObject({ code: 1, stdout: '' });
    expectSentence(result.stderr, {
      says: ['Cannot install a system container', 'uid 65534'],
      hint: 'as root',
    });
    expect(await takeSnapshot(stage)).toBe(before);
  });

  it('whose disk is full keeps running, and says so', async () => {
    await stage.shell('mkdir -p /var/lib/small && mount -t tmpfs -o size=1m tmpfs /var/lib/small');
    const result = await install('env', 'ATOMIC_OSTREE_CHECKOUT_PATH=/var/lib/small');
    expect(result).toMatchObject({ code: 1, stdout: '' });
    expectSentence(result.stderr, { says: [/no space left/], hint: 'Free some space' });
    const left = await stage.shell(`cd /var/lib/small
      find . -type f ! -path './.storage/*' ! -path '*/locks/*'
      ostree --repo=.storage/ostree refs --list ociimage | grep -F _2F || true`);
    expect(left).toBe('');
    await stage.shell('umount /var/lib/small && rmdir /var/lib/small');
    expect(await takeSnapshot(stage)).toBe(before);
  });
});
