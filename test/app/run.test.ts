import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { run, type RunRequest } from '../../src/app/run.ts';
import type { AttachOptions } from '../../src/host/ports.ts';
import type { App } from '../../src/app/context.ts';
import { useTempFolder } from '../fixtures/temp-folder.ts';
import { FakeExec } from '../service/fake-systemctl.ts';
import { answerShow, createListHost, writeContainer } from './list-host.ts';

const folder = useTempFolder();

/** Notes what runs on the terminal, with the config.json of the folder that it runs in. */
class Terminal extends FakeExec {
  readonly attached: string[] = [];
  config: unknown;
  exitCode = 3;

  override attach(program?: string, args?: readonly string[], options?: AttachOptions): Promise<number> {
    this.attached.push([program, ...(args ?? [])].join(' '));
    if (options?.document !== undefined) this.config = JSON.parse(options.document);
    if (options?.cwd !== undefined)
      this.config = JSON.parse(readFileSync(join(options.cwd, 'config.json'), 'utf8'));
    return Promise.resolve(this.exitCode);
  }
}

let app: App;
let terminal: Terminal;

function request(changes: Partial<RunRequest>): RunRequest {
  return {
    target: 'web',
    name: undefined,
    command: ['ls', '-l'],
    set: {},
    runtime: undefined,
    detach: false,
    terminal: false,
    settleMs: 0,
    access: {},
    ...changes,
  };
}

beforeEach(() => {
  const show = answerShow({ down: { ActiveState: 'inactive' } });
  terminal = new Terminal((line) => {
    if (line.startsWith('find ')) return 'there';
    return line.startsWith('/usr/bin/runc state ') ? { exitCode: 1, stderr: '' } : show(line);
  });
  const host = createListHost(folder());
  app = {
    ...host.app,
    exec: terminal,
    services: { ...host.app.services, state: async (unit) => ({ active: unit !== 'down', enabled: true }) },
    locks: { acquire: async () => ({ release: async () => undefined }) },
  };
  for (const name of ['web', 'down']) {
    const path = writeContainer(app.paths.checkouts, name, { image: `example.org/${name}` });
    mkdirSync(join(path, 'rootfs'));
    const mounts = [{ destination: '/dev/pts', type: 'devpts', source: 'devpts' }];
    writeFileSync(
      join(path, 'config.json'),
      JSON.stringify({ process: { args: ['run.sh'], cwd: '/srv' }, mounts }),
    );
  }
});

describe('a command for a container', () => {
  it.each([
    [{}, false],
    [{ terminal: true }, true],
    [{ target: 'example.org/web:latest' }, false],
    [{ target: 'docker://example.org/web' }, false],
    [{ target: 'example.org/anything', name: 'web' }, false],
  ])('is run in it where it runs: %j', async (changes, tty) => {
    expect(await run(app, request(changes))).toEqual({ kind: 'ran', exitCode: 3 });
    expect(terminal.attached).toEqual(['/usr/bin/runc exec --process /proc/self/fd/3 web']);
    expect(terminal.config).toEqual({ args: ['ls', '-l'], cwd: '/srv', terminal: tty });
  });

  it('goes on without us where it is detached, or says that it does not', async () => {
    terminal.exitCode = 0;
    const detached = request({ terminal: true, detach: true });
    expect(await run(app, detached)).toEqual({ kind: 'ran', exitCode: 0 });
    expect(terminal.attached).toEqual(['/usr/bin/runc exec --detach --process /proc/self/fd/3 web']);
    expect(terminal.config).toMatchObject({ terminal: false });
    terminal.exitCode = 1;
    await expect(run(app, detached)).rejects.toMatchObject({ code: 'command-failed' });
  });

  it('is run beside it where it is down, under another id, and leaves nothing', async () => {
    expect(await run(app, request({ target: 'down' }))).toEqual({ kind: 'ran', exitCode: 3 });
    expect(terminal.attached).toEqual([`/usr/bin/runc run down-run-${process.pid}`]);
    expect(terminal.config).toMatchObject({ process: { args: ['ls', '-l'], terminal: false } });
    expect(await app.files.list(join(app.paths.checkouts, '.atomic-ts/staging'))).toEqual([]);
    expect(await app.files.list(join(app.paths.checkouts, '.atomic-ts/journal'))).toEqual([]);
  });

  it('is run by the runtime that is named', async () => {
    await run(app, request({ runtime: '/opt/crun' }));
    expect(terminal.attached).toEqual(['/opt/crun exec --process /proc/self/fd/3 web']);
  });

  it.each([
    [{ target: 'down', detach: true }, 'usage', 'needs a service that runs: the service down is down'],
    [{ set: { A: 'b' } }, 'usage', '--set is for a run of an image, and web is installed'],
    [
      { target: 'example.org/other/web' },
      'file-exists',
      'Cannot run example.org/other/web as web: that container is made of example.org/web',
    ],
    [{ target: 'example.org/none', detach: true }, 'usage', 'example.org/none is not installed'],
  ])('is refused: %j', async (changes, code, message) => {
    await expect(run(app, request(changes))).rejects.toMatchObject({
      code,
      message: expect.stringContaining(message),
    });
    expect(terminal.attached).toEqual([]);
  });
});

describe('a container without a command', () => {
  it('that runs already is left alone', async () => {
    expect(await run(app, request({ command: [] }))).toEqual({
      kind: 'service',
      name: 'web',
      wasRunning: true,
    });
    expect(terminal.lines.filter((line) => line.includes('systemctl start'))).toEqual([]);
  });
});
