import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { BuiltImage } from '../fixtures/image-builder.ts';
import { helloImage, makeImage, readHello, scriptImage } from './support/images.ts';
import { readRefusal, refusal, type Refusal } from './support/refusal.ts';
import {
  CHECKOUTS,
  listChanges,
  openStage,
  REPOSITORY,
  startHostileRegistry,
  takeSnapshot,
  UNITS,
  type Stage,
} from './support/stage.ts';

const CONFIG = readHello('exports/config.json.template');
const UNIT = readHello('exports/service.template');

let stage: Stage;
let registry: string;
let before: string;

async function refuse(...args: string[]): Promise<Refusal> {
  return readRefusal(stage, before, await stage.atomic(['--quiet', ...args]));
}

/** An installation that must leave nothing. */
function refuseInstall(image: string, ...args: string[]): Promise<Refusal> {
  return refuse('install', image, '--name=bad', ...args);
}

const layout = (image: BuiltImage): string => stage.addLayout('bad', { image });
/** The demo's image with one of its exports replaced. */
const hello = (exports: Readonly<Record<string, string>>): string => layout(helloImage({ exports }));

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
  it.each([
    ['nothing', ['Cannot read the manifest of ', 'no such repository'], 'Check the name of the image'],
    ['good:nope', ['has no such image'], 'the tag of the image'],
    ['unauthorized', ['asks for credentials', 'who are you'], 'atomic-ts login'],
    ['denied', ['does not allow it', 'not for you'], '--creds USER'],
    ['missing', ['has no such image'], 'Check the name and the tag'],
    ['failing', ['500 Internal Server Error', 'on fire'], 'Try again later'],
    ['always-limited', ['allows no more requests', 'slow down'], 'Try again later'],
    ['wrong-bytes', ['layer 1 of 2', 'expected sha256:', 'got sha256:'], 'push the image again'],
    ['truncated', ['only 1000 bytes', 'expected 25'], 'take the image from elsewhere'],
    ['cut-gzip', ['layer 1 of 1', 'gzip'], 'push the image again'],
    ['elsewhere', ['has no image for linux/', 'it has linux/mips64le'], 'for this platform'],
  ])('that answers for %s is told of in one sentence', async (image, words, hint) => {
    expect(await refuseInstall(`${registry}/${image}`)).toEqual(
      refusal([`${registry}/${image}`, ...words], hint),
    );
    const refs = await stage.run('ostree', `--repo=${REPOSITORY}`, 'refs', '--list', 'ociimage');
    expect(refs).toMatch(/_2Fgood_3Alatest$/m);
    expect(refs).not.toContain(image.replace('good:', ''));
  });

  it('that is not reached is named', async () => {
    expect(await refuseInstall('127.0.0.1:1/x')).toEqual(
      refusal(
        ['Cannot read the manifest of 127.0.0.1:1/x', 'no answer from 127.0.0.1:1', 'ECONNREFUSED'],
        'the network and the proxy',
      ),
    );
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
      hint: expect.stringContaining('atomic-ts login'),
    });
  });
});

describe('an image', () => {
  const template = `${CHECKOUTS}/bad.0/rootfs/exports/config.json.template`;

  it('that uses a variable which has no value names it and its template', async () => {
    const image = hello({ 'config.json.template': CONFIG.replace('$RECEIVER', '$MISSING') });
    expect(await refuseInstall(image)).toEqual(
      refusal(
        [`The template file '${template}' still contains an unreplaced value for: ''MISSING''`],
        '--set MISSING=VALUE',
      ),
    );
  });

  it('that wants to write to its root is refused', async () => {
    const image = hello({
      'config.json.template': CONFIG.replace('"readonly": true', '"readonly": false'),
    });
    expect(await refuseInstall(image)).toEqual(
      refusal(['Invalid configuration file.  Only readonly images are supported'], 'root.readonly'),
    );
  });

  it('whose configuration is no JSON once a value is in it says which', async () => {
    const image = hello({ 'config.json.template': CONFIG.replace('"uid": 0', '"uid": $PORT') });
    expect(await refuseInstall(image, '--set=PORT={')).toEqual(
      refusal([template, 'not valid JSON'], '--set'),
    );
  });

  it('whose unit systemd would refuse is refused before the host has it', async () => {
    const relative = hello({ 'service.template': UNIT.replace('$EXEC_START', './relative $EXEC_START') });
    expect(await refuseInstall(relative)).toEqual(
      refusal(['The unit of bad', 'systemd'], 'Its template comes with the image', ['relative']),
    );
    const section = hello({ 'service.template': UNIT.replace('[Service]', '[Servant]') });
    expect(await refuseInstall(section)).toEqual(
      refusal(['service.template', 'has no [Service] section'], 'comes with the image'),
    );
  });

  it('that is over a limit says which, and is taken once that is raised', async () => {
    const image = layout(makeImage([{ path: 'x', content: '' }]));
    expect(await refuseInstall(image, '--limit', 'layers=1')).toEqual(
      refusal(['has 2 layers; the limit is 1'], '--limit layers=2 (or limits: in atomic.conf)'),
    );
    const conf = '/run/limits.conf';
    await stage.host.writeFile(conf, 'limits:\n  layers: 1\n');
    const env = { ATOMIC_CONF: conf };
    const [capped, raised] = [
      await stage.atomic(['pull', image], { env }),
      await stage.atomic(['pull', image, '--limit', 'layers=2'], { env }),
    ];
    await stage.run('rm', conf);
    expect([capped.code, raised.code]).toEqual([1, 0]);
  });

  it('that names no command to run is refused', async () => {
    const image = layout(makeImage([{ path: 'x', content: '' }]));
    expect(await refuseInstall(image)).toEqual(refusal(['names no command to run'], 'Give the image a CMD'));
  });

  it('whose service dies within the settling time tells its last words', async () => {
    const image = layout(scriptImage('echo "no database at db:5432" >&2; sleep 0.3; exit 3'));
    expect(await refuseInstall(image, '--settle=2')).toEqual(
      refusal(['The service bad did not start: '], 'Everything is as it was before', [
        'no database at db:5432',
        'status=3',
      ]),
    );
  });

  it('whose service never gets ready is given up when systemd gives it up', async () => {
    const notify = 'Type=notify\nTimeoutStartSec=2\nTimeoutStopSec=1\nRestart=no';
    const image = hello({ 'service.template': UNIT.replace('Restart=on-failure', notify) });
    expect(await refuseInstall(image)).toEqual(
      refusal(['The service bad did not start', 'timeout'], 'Everything is as it was before', [
        'start operation timed out',
      ]),
    );
  });
});

describe('the command line', () => {
  it.each(['a/b', '../up', '-dash', '.hidden', 'two words', 'new\nline', '', 'é'])(
    'cannot name a container %j',
    async (name) => {
      expect(await refuse('install', `${registry}/good`, `--name=${name}`)).toEqual(
        refusal(['cannot name a container'], 'Choose one with --name'),
      );
    },
  );

  it.each([
    ['UPPER/Case', 'is no image name', 'An image is written'],
    ['x:bad tag', 'is no tag', 'An image is written'],
    ['x@sha256:123', 'is no digest', 'An image is written'],
    ['oci-archive:/nowhere.tar', '/nowhere.tar', 'Nothing is there: check'],
    ['dir:/nowhere', '/nowhere', 'Nothing is there: check'],
  ])('cannot name an image %j', async (image, words, hint) => {
    expect(await refuseInstall(image)).toEqual(refusal([words], hint));
  });

  it('cannot set what is always ours, nor what is no variable', async () => {
    expect(await refuseInstall(`${registry}/good`, '--set=NAME=other')).toEqual(
      refusal(['NAME cannot be set'], '--name'),
    );
    expect(await refuseInstall(`${registry}/good`, '--set=NOEQ')).toEqual(
      refusal(["Invalid value 'NOEQ'.  Expected form NAME=VALUE"], '--help'),
    );
  });

  it.each([
    [['frobnicate'], 'atomic-ts'],
    [['install'], 'atomic-ts install'],
    [['install', 'one', 'two'], 'atomic-ts install'],
    [['install', '--bogus', 'x'], 'atomic-ts install'],
    [['install', 'x', '--settle', 'soon'], 'atomic-ts install'],
    [['install', 'x', '--set'], 'atomic-ts install'],
    [['--wait', '-1', 'uninstall', 'x'], 'atomic-ts'],
    [['status'], 'atomic-ts status'],
    [['containers', 'rollback'], 'atomic-ts containers rollback'],
  ])('that is wrong as in %j exits with 2 and says where help is', async (args, command) => {
    const { code, stdout, stderr } = await stage.host.exec('atomic-ts', args);
    expect([code, stdout]).toEqual([2, '']);
    const [sentence, help, ...rest] = stderr.split('\n');
    expect(sentence).toMatch(new RegExp(`^${command}: \\S`));
    expect([help, rest]).toEqual([`Try '${command} --help' for more information.`, ['']]);
  });

  it('that names no container to update has atomic’s words, and exits with 2', async () => {
    const { code, stdout, stderr } = await stage.host.exec('atomic-ts', ['update']);
    const words = 'Too few arguments.  Please specify the container';
    const help = "Try 'atomic-ts update --help' for more information.";
    expect([code, stdout, stderr]).toEqual([2, '', `${words}\n${help}\n`]);
  });

  it.each([
    ['nope=1', 'there is no such limit', 'Limits are manifest-size, '],
    ['layers=none', 'it takes a number from 1 to ', 'It stands at 512 by default'],
  ])('that moves a limit with %j exits with 2 and says what there is', async (limit, sentence, hint) => {
    const refused = await refuse('pull', 'x', '--limit', limit);
    expect({ ...refused, code: refused.code - 1 }).toEqual(refusal(['--limit', sentence], hint));
  });

  it('that is empty exits with 2 and shows what there is', async () => {
    const { code, stdout, stderr } = await stage.host.exec('atomic-ts');
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toMatch(/^Usage: atomic-ts .*^ {2}install .*^ {2}uninstall /ms);
  });

  it.each([
    ['uninstall', "Unable to find 'bad' in the following backends: ostree", 'containers list --all'],
    ['update', "System container 'bad' is not installed", 'containers list --all'],
    [
      'containers rollback',
      `Error: Cannot find a previous deployment to rollback located at ${CHECKOUTS}/bad.0`,
      'after its first update',
    ],
  ])('cannot %s a container that is not there', async (command, sentence, hint) => {
    expect(await refuse(...command.split(' '), 'bad')).toEqual(refusal([sentence], hint));
  });
});

describe('a host', () => {
  const image = (): string => `${registry}/good`;
  /** An installation by way of another program. */
  const refuseBy = async (program: string, ...args: string[]): Promise<Refusal> => {
    const install = ['atomic-ts', '--quiet', 'install', image(), '--name=bad'];
    return readRefusal(stage, before, await stage.host.exec(program, [...args, ...install]));
  };

  it.each([`${UNITS}/bad.service`, '/etc/tmpfiles.d/bad.conf'])('that has a %s keeps it', async (file) => {
    await stage.host.writeFile(file, 'somebody else’s');
    const refused = await stage.atomic(['--quiet', 'install', image(), '--name=bad']);
    expect(await stage.host.readFile(file)).toBe('somebody else’s');
    await stage.run('rm', file);
    expect(await readRefusal(stage, before, refused)).toEqual(
      refusal([`The file ${file} already exists.`], 'choose another --name'),
    );
  });

  it('without a runtime is told which to install', async () => {
    const hide = 'for p in runc crun; do mount --bind /dev/null $(readlink -f $(command -v $p)); done';
    expect(await refuseBy('unshare', '--mount', 'sh', '-c', `${hide}; exec "$@"`, 'sh')).toEqual(
      refusal(['runtime', 'runc is not installed'], 'install runc'),
    );
    expect(await refuseInstall(image(), '--runtime=/nowhere/runc')).toEqual(
      refusal(['/nowhere/runc is not installed'], '--runtime'),
    );
  });

  it('without ostree is told to install it', async () => {
    await stage.shell(
      `mkdir -p /opt/bin; ln -sf $(dirname $(command -v node))/* /usr/bin/* /opt/bin/; rm -f /opt/bin/ostree
      mv ${REPOSITORY} ${REPOSITORY}.away`,
    );
    const refused = await refuseBy('env', 'PATH=/opt/bin');
    await stage.shell(`rm -rf ${REPOSITORY}; mv ${REPOSITORY}.away ${REPOSITORY}`);
    expect(refused).toEqual(refusal(['ostree', 'is not installed'], 'install ostree'));
  });

  it('changes nothing for anybody but root', async () => {
    expect(await refuseBy('setpriv', '--reuid=65534', '--regid=65534', '--clear-groups')).toEqual(
      refusal(['Cannot install a system container', 'uid 65534'], 'as root'),
    );
  });

  it('whose disk is too small says so before it fetches anything', async () => {
    await stage.shell('mkdir -p /var/lib/small; mount -t tmpfs -o size=1m tmpfs /var/lib/small');
    const refused = await refuseBy('env', 'ATOMIC_OSTREE_CHECKOUT_PATH=/var/lib/small');
    const left = await stage.shell(`cd /var/lib/small; find . -name '*.file'
      ostree --repo=.storage/ostree refs --list ociimage`);
    await stage.shell('umount /var/lib/small; rmdir /var/lib/small');
    expect(left).toBe('');
    expect({ ...refused, changes: await listChanges(stage, before) }).toEqual(
      refusal(
        ['needs about', 'estimated from', 'is free, of which', '/var/lib/small/.storage/ostree'],
        '--limit free-space=ignore',
      ),
    );
  });

  it('whose disk is full says so, and has nothing of the image but whole layers', async () => {
    await stage.shell('mkdir -p /var/lib/small; mount -t tmpfs -o size=1m tmpfs /var/lib/small');
    const conf = '/run/no-look.conf';
    await stage.host.writeFile(conf, 'limits: {free-space: ignore}\n');
    const place = 'ATOMIC_OSTREE_CHECKOUT_PATH=/var/lib/small';
    const refused = await refuseBy('env', place, `ATOMIC_CONF=${conf}`);
    await stage.run('rm', conf);
    const left = await stage.shell(`cd /var/lib/small; find . -type f ! -path './.storage/*'
      ostree --repo=.storage/ostree refs --list ociimage | grep -F _2F || true`);
    await stage.shell('umount /var/lib/small; rmdir /var/lib/small');
    expect(left).toBe('');
    expect({ ...refused, changes: await listChanges(stage, before) }).toEqual(
      refusal(['no space left'], 'Free some space'),
    );
  });
});
