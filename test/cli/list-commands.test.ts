/** The lists from the command line to stdout, with a systemctl of our own in PATH. */
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { runProgram } from '../../src/cli/program.ts';
import { useTempFolder } from '../fixtures/temp-folder.ts';
import { digestFromHex } from '../../src/image/digest.ts';
import { writeContainer, writeImage } from '../app/list-host.ts';

const folder = useTempFolder();

/** `web` runs, `db` has failed. */
const SYSTEMCTL = `#!/bin/sh
echo 'db.service  loaded failed failed  A database'
echo 'web.service loaded active running A server'
`;

interface Ran {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

async function run(...args: string[]): Promise<Ran> {
  const written = { stdout: '', stderr: '' };
  const spies = (['stdout', 'stderr'] as const).map((name) =>
    vi.spyOn(process[name], 'write').mockImplementation((text) => {
      written[name] += String(text);
      return true;
    }),
  );
  const listeners = (['SIGINT', 'SIGTERM'] as const).map(
    (signal) => [signal, process.listeners(signal)] as const,
  );
  try {
    const status = await runProgram(args, '0.0.0');
    return { status, ...written };
  } finally {
    for (const spy of spies) spy.mockRestore();
    for (const [signal, before] of listeners) {
      for (const listener of process.listeners(signal))
        if (!before.includes(listener)) process.off(signal, listener);
    }
  }
}

describe('the list commands', () => {
  beforeEach(() => {
    const programs = join(folder(), 'bin');
    mkdirSync(programs);
    writeFileSync(join(programs, 'systemctl'), SYSTEMCTL);
    chmodSync(join(programs, 'systemctl'), 0o755);
    writeFileSync(join(folder(), 'atomic.conf'), '');
    vi.stubEnv('PATH', `${programs}:${process.env['PATH']}`);
    vi.stubEnv('ATOMIC_CONF', join(folder(), 'atomic.conf'));
    vi.stubEnv('ATOMIC_OSTREE_CHECKOUT_PATH', join(folder(), 'atomic'));
    vi.stubEnv('ATOMIC_OSTREE_REPO', join(folder(), 'repo'));
    writeContainer(join(folder(), 'atomic'), 'web', { image: 'quay.io/web:v2', revision: '1'.repeat(64) });
    writeContainer(join(folder(), 'atomic'), 'db');
    const layers = [{ digest: digestFromHex('sha256', '2'.repeat(64)), size: 68 }];
    writeImage(join(folder(), 'repo'), {
      name: 'quay.io/web:v2',
      digest: digestFromHex('sha256', '1'.repeat(64)),
      config: digestFromHex('sha256', '3'.repeat(64)),
      layers,
    });
  });

  afterEach(() => {
    vi.unstubAllEnvs();
  });

  it('print the containers that run or have failed, and all with -a', async () => {
    const heading =
      '   CONTAINER ID IMAGE                NAME       COMMAND    CREATED          STATE      BACKEND    RUNTIME   \n';
    const web =
      '   web          quay.io/web:v2       web        /usr/bin/r 2026-11-22 03:27 running    ostree     /usr/bin/r\n';
    const db =
      '   db           docker.io/hello:late db         /usr/bin/r 2026-11-22 03:27 failed     ostree     /usr/bin/r\n';
    expect(await run('containers', 'list')).toEqual({ status: 0, stdout: heading + db + web, stderr: '' });
    expect(await run('containers')).toEqual({ status: 0, stdout: heading + db + web, stderr: '' });
    expect((await run('containers', 'list', '-a')).stdout).toBe(heading + db + web);
    expect((await run('containers', 'list', '-n', '-a', '-f', 'state=failed')).stdout).toBe(db);
  });

  it('mean the same by --json in either place', async () => {
    const behind = await run('containers', 'list', '-a', '--json');
    expect(JSON.parse(behind.stdout)).toMatchObject([
      { id: 'db', running: false },
      { id: 'web', running: true },
    ]);
    expect(await run('--json', 'containers', 'list', '-a')).toEqual(behind);
    const images = await run('images', 'list', '--json');
    expect(JSON.parse(images.stdout)).toMatchObject([{ repo: 'quay.io/web', used: true }]);
    expect(await run('--json', 'images', 'list')).toEqual(images);
  });

  it('print nothing but ids with -q and --quiet', async () => {
    expect((await run('containers', 'list', '-aq')).stdout).toBe('db\nweb\n');
    expect((await run('containers', 'list', '--all', '--quiet')).stdout).toBe('db\nweb\n');
    expect((await run('images', 'list', '-q')).stdout).toBe('111111111111\n');
    expect((await run('images', 'list', '-q', '--no-trunc')).stdout).toBe(`${'1'.repeat(64)}\n`);
  });

  it('print images with the mark of use', async () => {
    expect((await run('images', 'list')).stdout).toBe(
      '   REPOSITORY    TAG  IMAGE ID       CREATED            VIRTUAL SIZE   TYPE      \n' +
        '>  quay.io/web   v2   111111111111   2026-11-22 03:27   68.0 B         ostree    \n',
    );
  });

  it.each(['containers', 'images'])('take an unknown filter of %s for a mistake in usage', async (noun) => {
    const { status, stdout, stderr } = await run(noun, 'list', '-f', 'colour=red');
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    expect(stderr).toMatch(/^The filter "colour" is not valid\nThe keys are .*created, .*\.\n$/);
  });
});
