import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { ExecResult } from '../host/host.ts';
import { hasStruck, prepareFaults, strike, type Fault } from './support/faults.ts';
import { helloImage, readHello } from './support/images.ts';
import {
  CHECKOUTS,
  listChanges,
  openStage,
  REPOSITORY,
  startHostileRegistry,
  takeSnapshot,
  waitForPage,
  type Stage,
} from './support/stage.ts';

const PAGE = 'http://localhost:8081/';
/** Stopped before its script has set its trap, a container ignores the signal: then it is to be killed soon. */
const UNIT = readHello('exports/service.template').replace('[Install]', 'TimeoutStopSec=2\n\n[Install]');
const EXIT = { INT: 130, TERM: 143, KILL: 137 };

let stage: Stage;
let registry: string;
let image: string;

/** Runs a command that a signal hits, and looks that it did. */
async function runStruck(fault: Fault, ...args: string[]): Promise<ExecResult> {
  const result = await stage.atomic(args, await strike(stage, fault));
  expect(await hasStruck(stage)).toBe(true);
  expect(result).toMatchObject({ code: EXIT[fault.signal] });
  return result;
}

beforeAll(async () => {
  stage = await openStage();
  registry = await startHostileRegistry(stage);
  await prepareFaults(stage);
  image = await stage.push(helloImage({ exports: { 'service.template': UNIT } }), 'hello');
});
afterAll(() => stage.close());

describe.each([
  ['INT', 130, 'SIGINT'],
  ['TERM', 143, 'SIGTERM'],
] as const)('%s (exit status %i)', (signal, code, name) => {
  const message = `Interrupted by ${name}: what was begun is undone\n`;

  it('ends a pull, which leaves no image behind', async () => {
    // This registry never sends the layer's end: nothing but the signal ends the pull.
    const { stderr } = await runStruck(
      { signal, at: 'ostree commit', when: 'before' },
      '--quiet',
      'pull',
      `${registry}/stalled`,
    );
    expect(stderr).toBe(message);
    const refs = await stage.run('ostree', `--repo=${REPOSITORY}`, 'refs', '--list', 'ociimage');
    expect(refs).not.toContain('stalled');
  });

  it('ends a question to a registry that does not answer', async () => {
    const script = 'atomic-ts --quiet pull "$1" & pid=$!; sleep 1; kill -s "$2" "$pid"; wait "$pid"';
    const result = await stage.host.exec('bash', ['-c', script, 'bash', `${registry}/silent`, signal]);
    expect(result).toEqual({ code, stdout: '', stderr: message });
  });

  it('ends the settling time of an installation, and takes everything back', async () => {
    const before = await takeSnapshot(stage);
    const { stderr } = await runStruck(
      { signal, at: 'systemctl start', when: 'after' },
      '--quiet',
      'install',
      image,
      '--name=hello',
      '--settle',
      '60',
    );
    expect(stderr).toBe(message);
    expect(await takeSnapshot(stage)).toBe(before);
  });

  it('ends the wait for a service that does not get ready', async () => {
    const before = await takeSnapshot(stage);
    const unit = UNIT.replace('[Service]', '[Service]\nType=notify');
    const layout = stage.addLayout('slow', { image: helloImage({ exports: { 'service.template': unit } }) });
    const { stderr } = await runStruck(
      { signal, at: 'systemctl start', when: 'before' },
      '--quiet',
      'install',
      layout,
      '--name=slow',
    );
    expect(stderr).toBe(message);
    expect(await takeSnapshot(stage)).toBe(before);
  });

  it('ends an update at its stop and at its start, and the old service runs on', async () => {
    await stage.succeed('install', image, '--name', 'hello');
    const before = await takeSnapshot(stage);
    for (const verb of ['stop', 'start']) {
      await runStruck(
        { signal, at: `systemctl ${verb}`, when: 'before' },
        'update',
        'hello',
        '--set',
        'RECEIVER=Nobody',
      );
      expect(await takeSnapshot(stage)).toBe(before);
      await waitForPage(stage, PAGE, 'Hi World');
    }
    await stage.succeed('uninstall', 'hello');
  });
});

describe('SIGKILL', () => {
  const cutOff = (action: string): RegExp =>
    new RegExp(`^The ${action} of hello by process \\d+ was cut off: it is undone now$`, 'm');
  let installed: string;

  beforeAll(async () => {
    await stage.succeed('install', image, '--name', 'hello');
    installed = await takeSnapshot(stage);
  });

  /** The next command, whatever it is, first puts back what was; here one that itself does nothing. */
  async function recover(): Promise<object> {
    const { code, stdout, stderr } = await stage.atomic(['containers', 'update', 'hello']);
    const changes = await listChanges(stage, installed);
    await waitForPage(stage, PAGE, 'Hi World');
    return { code, stdout, stderr, changes };
  }

  const recovered = (action: string): object => ({
    code: 0,
    stdout: 'Latest version already installed.\n',
    stderr: expect.stringMatching(cutOff(action)),
    changes: [],
  });

  it.each([
    ['systemctl stop', 'before'],
    ['systemctl stop', 'after'],
    ['systemd-tmpfiles --remove', 'after'],
    ['systemctl daemon-reload', 'before'],
    ['systemd-tmpfiles --create', 'before'],
    ['systemctl start', 'before'],
    ['systemctl start', 'after'],
  ] as const)('in an update, at %s (%s it): the next command undoes it, and says so', async (at, when) => {
    await runStruck({ signal: 'KILL', at, when }, 'update', 'hello', '--set', 'RECEIVER=Nobody');
    expect(await recover()).toEqual(recovered('update'));
  });

  it('in an update that has only staged its tree leaves nothing to undo, and nothing to stay', async () => {
    const fault = { signal: 'KILL', at: 'ostree checkout', when: 'after' } as const;
    await runStruck(fault, 'update', 'hello', '--set', 'RECEIVER=Nobody');
    const { code, stderr } = await stage.atomic(['containers', 'update', 'hello']);
    expect(code).toBe(0);
    expect(stderr).toBe('');
    expect(await takeSnapshot(stage)).toBe(installed);
    expect(await stage.shell('ls -A /var/lib/containers/atomic/.atomic-ts/staging')).toBe('');
  });

  it('in the undoing itself is made up for by the command after that', async () => {
    const update = { signal: 'KILL', at: 'systemctl start', when: 'after' } as const;
    await runStruck(update, 'update', 'hello', '--set', 'RECEIVER=Nobody');
    await runStruck({ signal: 'KILL', at: 'systemctl daemon-reload', when: 'before' }, 'update', 'hello');
    await runStruck({ signal: 'KILL', at: 'systemctl start', when: 'before' }, 'update', 'hello');
    expect(await recover()).toEqual(recovered('update'));
  });

  it('in a rollback is undone', async () => {
    await stage.succeed('update', 'hello', '--set', 'RECEIVER=Mars');
    await stage.succeed('containers', 'rollback', 'hello');
    installed = await takeSnapshot(stage);
    const fault = { signal: 'KILL', at: 'systemctl start', when: 'after' } as const;
    await runStruck(fault, 'containers', 'rollback', 'hello');
    expect(await recover()).toEqual(recovered('rollback'));
  });

  it.each([
    ['systemctl disable', 'before'],
    ['systemctl disable', 'after'],
    ['systemctl daemon-reload', 'after'],
    ['systemd-tmpfiles --remove', 'after'],
  ] as const)('in an uninstallation, at %s (%s it), is undone', async (at, when) => {
    await runStruck({ signal: 'KILL', at, when }, 'uninstall', 'hello');
    expect(await recover()).toEqual(recovered('uninstall'));
  });

  it('in an uninstallation keeps nobody from uninstalling', async () => {
    const fault = { signal: 'KILL', at: 'systemctl daemon-reload', when: 'after' } as const;
    await runStruck(fault, 'uninstall', 'hello');
    const { code, stderr } = await stage.atomic(['uninstall', 'hello']);
    expect(code).toBe(0);
    expect(stderr).toMatch(cutOff('uninstall'));
    expect(await stage.run('systemctl', 'show', '-P', 'LoadState', 'hello')).toBe('not-found');
  });
});

describe('SIGKILL in an installation', () => {
  let before: string;
  beforeEach(async () => {
    before = await takeSnapshot(stage);
  });

  it.each([
    ['systemctl daemon-reload', 'before'],
    ['systemctl enable', 'after'],
    ['systemctl start', 'after'],
  ] as const)('at %s (%s it) is undone by the next one, which then succeeds', async (at, when) => {
    await runStruck({ signal: 'KILL', at, when }, 'install', image, '--name', 'hello');
    // A preview changes nothing, but it begins as everything does.
    const preview = await stage.atomic(['install', image, '--name', 'hello', '--dry-run']);
    expect(preview.stderr).toMatch(/^The install of hello by process \d+ was cut off: it is undone now$/m);
    expect(await takeSnapshot(stage)).toBe(before);

    expect(await stage.succeed('install', image, '--name', 'hello')).toContain('systemctl start hello\n');
    await waitForPage(stage, PAGE, 'Hi World');
    await stage.succeed('uninstall', 'hello');
    await stage.run('rmdir', '/run/hello');
  });

  it('while it pulls leaves an image that the next one completes', async () => {
    for (const when of ['before', 'after'] as const) {
      await stage.shell('rm -rf "$1"', REPOSITORY);
      await runStruck({ signal: 'KILL', at: 'ostree commit', when }, 'install', image, '--name', 'hello');
      // The mark of an import that may not be on the disk yet: the next command ends it.
      await stage.shell('ls -A "$1/.atomic-ts/journal" | grep -q "@import-"', CHECKOUTS);
      await stage.succeed('containers', 'list');
      expect(await takeSnapshot(stage)).toBe(before);
      await stage.succeed('install', image, '--name', 'hello');
      await waitForPage(stage, PAGE, 'Hi World');
      await stage.succeed('uninstall', 'hello');
      await stage.run('rmdir', '/run/hello');
    }
    await stage.run('ostree', `--repo=${REPOSITORY}`, 'fsck', '--quiet');
  });
});
