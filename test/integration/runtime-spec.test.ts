/** What we generate and what we repair, judged by runc and crun themselves in private mount namespaces. */
import { spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readExports } from '../../src/container/exports.ts';
import { readImageFacts } from '../../src/container/image-facts.ts';
import type { ImageConfig } from '../../src/image/config.ts';
import { messageOf } from '../../src/errors.ts';
import type { JsonRecord } from '../../src/image/json.ts';
import { checkHooks } from '../../src/render/check-hooks.ts';
import { renderDeployment, type RenderedDeployment } from '../../src/render/bundle.ts';
import { factPaths } from '../../src/render/runtime-spec.ts';
import {
  deploymentInput,
  imageConfig,
  KERNEL_CAPABILITIES,
  valuesContext,
} from '../render/deployment-input.ts';
import { exportsFolders } from '../render/exports-folders.ts';

const FIXTURES = join(import.meta.dirname, '../render/fixtures/exports');
const hasTools =
  process.getuid?.() === 0 &&
  existsSync('/usr/bin/busybox') &&
  ['runc', 'crun', 'systemd-tmpfiles', 'unshare'].every((tool) => spawnSync('which', [tool]).status === 0);

let base = '';
let deployment = '';
let rootfs = '';

beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'runtime-'));
  deployment = join(base, 'x.0');
  rootfs = join(deployment, 'rootfs');
  for (const path of [
    'bin',
    'proc',
    'sys',
    'dev',
    'etc',
    'tmp',
    'run/lock',
    'var/cache/web',
    'var/log/web',
    'data',
  ])
    mkdirSync(join(rootfs, path), { recursive: true });
  copyFileSync('/usr/bin/busybox', join(rootfs, 'bin/busybox'));
  for (const applet of ['sh', 'id', 'touch', 'mkdir', 'chown', 'stat', 'su', 'cat', 'true', 'readlink', 'rm'])
    symlinkSync('busybox', join(rootfs, 'bin', applet));
  symlinkSync('/dev/stderr', join(rootfs, 'var/log/web/error.log'));
  symlinkSync('../run', join(rootfs, 'var/run'));
  chmodSync(join(rootfs, 'tmp'), 0o1777);
  writeFileSync(join(rootfs, 'etc/passwd'), 'root:x:0:0::/:/bin/sh\nweb:x:999:998::/:/bin/sh\n');
  writeFileSync(join(rootfs, 'etc/group'), 'root:x:0:\nweb:x:998:\n');
  writeFileSync(join(rootfs, 'data/seed'), 'of the image');
  chownSync(join(rootfs, 'data'), 999, 998);
});
afterEach(() => rmSync(base, { recursive: true, force: true }));

/** The capabilities we may hand out here: a container around the tests may lack some. */
function ownCapabilities(): string[] {
  const bits = BigInt(`0x${/^CapBnd:\s*(\w+)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0'}`);
  return KERNEL_CAPABILITIES.filter((_, i) => ((bits >> BigInt(i)) & 1n) === 1n);
}

async function render(
  config: ImageConfig,
  set: Readonly<Record<string, string>> = {},
): Promise<RenderedDeployment> {
  return renderDeployment(
    deploymentInput({
      deploymentDirectory: deployment,
      rootfs,
      config,
      exports: await readExports(rootfs),
      facts: await readImageFacts(rootfs, factPaths(config)),
      values: valuesContext({
        set,
        allCapabilities: ownCapabilities(),
        directories: { run: join(base, 'run'), conf: join(base, 'etc'), state: join(base, 'state') },
      }),
      sourceMissing: (path) => !existsSync(path),
    }),
  );
}

function write(rendered: RenderedDeployment): void {
  for (const { path, content } of rendered.files) writeFileSync(join(deployment, path), content);
}

type Runtime = 'runc' | 'crun';

/**
 * The command that runs the bundle, in a mount namespace of its own so that nothing it mounts stays behind. crun does not
 * start where both cgroup versions are mounted, so it sees v2 alone.
 */
function command(runtime: Runtime): [string, string[]] {
  const root = join(base, 'state-of-runtime');
  const script = {
    runc: 'exec runc --root "$0" run x',
    crun:
      'umount -R /sys/fs/cgroup 2>/dev/null; mount -t cgroup2 none /sys/fs/cgroup && ' +
      'exec crun --root "$0" --cgroup-manager=disabled run x',
  };
  return ['unshare', ['--mount', '--propagation', 'private', 'sh', '-c', script[runtime], root]];
}

function run(runtime: Runtime): { status: number | null; output: string } {
  const [program, args] = command(runtime);
  const { status, stdout, stderr } = spawnSync(program, args, {
    cwd: deployment,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 60_000,
  });
  return { status, output: `${stdout}${stderr}` };
}

describe.skipIf(!hasTools)('a generated configuration', () => {
  it.each<Runtime>(['runc', 'crun'])(
    'lets an ordinary image start as root and drop to its user, under %s',
    async (runtime) => {
      const script = [
        'touch /etc/x 2>/dev/null && echo writable root',
        'mkdir /var/cache/web/client_temp && touch /run/web.pid /var/run/lock/y /tmp/z && echo wrote',
        'readlink /var/log/web/error.log',
        'stat -c "%a %u %g" /tmp /data',
        'cat /data/seed && echo',
        'touch /data/new && chown web:web /data/new && stat -c "%u %g" /data/new',
        'su web -c "touch /data/by-web && id -u && id -g"',
        'cat /proc/self/status | busybox grep -c CapAmb:.0000000000000000',
      ].join('; ');
      const config = imageConfig({ entrypoint: ['/bin/sh', '-c'], cmd: [script], volumes: ['/data'] });
      write(await render(config));
      expect(spawnSync('systemd-tmpfiles', ['--create', join(deployment, 'tmpfiles-x.conf')]).status).toBe(0);
      const { status, output } = run(runtime);
      expect(output.trim().split('\n')).toEqual([
        'wrote',
        '/dev/stderr',
        '1777 0 0',
        '755 999 998',
        'of the image',
        '999 998',
        '999',
        '998',
        '1',
      ]);
      expect(status).toBe(0);
      // What a volume holds is on the host, and the image is as it was.
      expect(existsSync(join(base, 'state/x/data/by-web'))).toBe(true);
      expect(existsSync(join(rootfs, 'data/by-web'))).toBe(false);
    },
  );

  it.each<Runtime>(['runc', 'crun'])(
    'gives another user its ids and low ports only, under %s',
    async (runtime) => {
      const cmd = ['/bin/sh', '-c', 'id -u; id -g; busybox grep CapEff /proc/self/status'];
      write(await render(imageConfig({ cmd, user: 'web' })));
      const { output } = run(runtime);
      expect(output.split(/\s+/).slice(0, 4)).toEqual(['999', '998', 'CapEff:', '0000000000000400']);
    },
  );

  it('can open its output by path under runc, even when that is a socket as the journal’s is', async () => {
    write(
      await render(
        imageConfig({ cmd: ['/bin/sh', '-c', 'echo by path > /dev/stdout; echo too > /proc/self/fd/2'] }),
      ),
    );
    const [program, args] = command('runc');
    // node hands a child sockets where it says pipe.
    const child = spawn(program, args, { cwd: deployment, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (bytes: Buffer) => (output += String(bytes)));
    const status = await new Promise((resolve) => child.on('close', resolve));
    expect([status, output.split('\n').sort()]).toEqual([0, ['', 'by path', 'too']]);
  });
});

/** What an installation would be given for variables that have no default. */
const SET = { MUST_BE_SET: 'x', KEEPER_DATA_DIR: '/data', ETCD_DATA_DIR: '/data' };

/** Binds of the machine's own folders become empty ones: a container of a test is not to see, let alone write, those. */
function bindElsewhere(spec: JsonRecord): JsonRecord {
  const mounts = (Array.isArray(spec['mounts']) ? (spec['mounts'] as JsonRecord[]) : []).map((mount, i) => {
    const { source, type } = mount;
    if (type !== 'bind' || typeof source !== 'string' || ['/dev', '/sys'].includes(source)) return mount;
    mkdirSync(join(base, `bind-${i}`), { recursive: true });
    return { ...mount, source: join(base, `bind-${i}`) };
  });
  return { ...spec, mounts };
}

async function refusalOf(spec: JsonRecord): Promise<string | undefined> {
  try {
    await checkHooks(spec, existsSync);
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}

function firstHook({ spec }: RenderedDeployment): string {
  const { prestart = [] } = Object(spec?.['hooks']) as { prestart?: { path: string }[] };
  return prestart[0]?.path ?? '';
}

/** With limits that any sandbox may set; the numbers of a configuration are compared in test/render. */
function runScript({ spec = {} }: RenderedDeployment, runtime: Runtime): ReturnType<typeof run> {
  const { rlimits, ...given } = Object(spec['process']) as { rlimits?: readonly JsonRecord[] };
  const process = {
    ...given,
    ...(rlimits === undefined
      ? {}
      : { rlimits: rlimits.map((limit) => ({ ...limit, hard: 1024, soft: 1024 })) }),
    args: ['/bin/sh', '-c', 'echo ran'],
    cwd: '/',
  };
  writeFileSync(join(deployment, 'config.json'), JSON.stringify(bindElsewhere({ ...spec, process })));
  return run(runtime);
}

describe.skipIf(!hasTools)('a configuration that an image brings', () => {
  it.each(exportsFolders().filter(({ path }) => existsSync(join(path, 'config.json.template'))))(
    '$name is accepted by runc and crun, or refused with the name of the field',
    async ({ path }) => {
      cpSync(path, join(rootfs, 'exports'), { recursive: true });
      const rendered = await render(imageConfig(), SET);
      write(rendered);
      const refused = await refusalOf(rendered.spec ?? {});
      const outcome = refused ?? (['runc', 'crun'] as const).map((runtime) => runScript(rendered, runtime));
      const ran = { status: 0, output: 'ran\n' };
      const isMissing = !/^(?:\/bin\/sh)?$/.test(firstHook(rendered));
      const refusal: unknown = expect.stringContaining('has a hooks.prestart[0].path');
      expect(outcome).toEqual(isMissing ? refusal : [ran, ran]);
    },
  );

  it.each([
    ['old-spec', 'crun', 'unknown version specified'],
    ['list-of-capabilities', 'runc', 'cannot unmarshal array'],
    ['hooks', 'crun', "Required field 'names' not present"],
  ] as const)('%s would not be accepted by %s as it is', async (name, runtime, refusal) => {
    cpSync(join(FIXTURES, name), join(rootfs, 'exports'), { recursive: true });
    const { values } = await render(imageConfig());
    const template = readFileSync(join(FIXTURES, name, 'config.json.template'), 'utf8');
    const text = template.replaceAll(/\$\{?(\w+)\}?/g, (_, variable: string) => String(values[variable]));
    writeFileSync(join(deployment, 'config.json'), text);
    const { status, output } = run(runtime);
    expect([status, output]).toEqual([1, expect.stringContaining(refusal)]);
  });
});
