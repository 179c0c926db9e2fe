/** What the end-to-end tests play on: a throw-away host with the program installed as `make install` does it. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { writeOciLayout, type TaggedImage } from '../../fixtures/image-builder.ts';
import { bootHost, type ExecOptions, type ExecResult, type Host } from '../../host/host.ts';

export const CHECKOUTS = '/var/lib/containers/atomic';
export const UNITS = '/etc/systemd/system';
export const REPOSITORY = `${CHECKOUTS}/.storage/ostree`;
/** As images are named in the registry of the host. */
export const REGISTRY = 'localhost:5000';

/** Enough to see that a service stays up, where waiting is not the point. */
const SETTLE = ['--settle', '0.3'];
const ACCESS_LOG = '/var/log/registry.log';
const REGISTRY_CONFIG = JSON.stringify({
  version: 0.1,
  log: { level: 'error', accesslog: { disabled: false } },
  storage: { filesystem: { rootdirectory: '/var/lib/registry' } },
  http: { addr: '127.0.0.1:5000', secret: 'only for this test' },
});

export interface Stage {
  readonly host: Host;
  /** A folder of this machine that the host has as /images. */
  readonly images: string;
  /** Runs the program; a failure is an answer. Commands that start a service settle for a moment only. */
  atomic(args: readonly string[], options?: ExecOptions): Promise<ExecResult>;
  /** The same for one that has to succeed: what it printed to stdout. @throws Error with all that was printed */
  succeed(...args: string[]): Promise<string>;
  /** Runs any program in the host: its stdout, trimmed. @throws Error when it fails */
  run(program: string, ...args: string[]): Promise<string>;
  /** A shell script in the host, its arguments as $1… */
  shell(script: string, ...args: string[]): Promise<string>;
  /** Writes an OCI layout; gives its name on the host's command line, without a tag. */
  addLayout(name: string, ...images: readonly TaggedImage[]): string;
  /** Puts an image into the registry, by way of our own `copy`; gives its name there. */
  push(image: TaggedImage['image'], name: string): Promise<string>;
  /** What the registry was asked since the last call, as `METHOD PATH`. */
  takeRequests(): Promise<string[]>;
  close(): Promise<void>;
}

/** @param registry whether to start a registry on the host's loopback */
export async function openStage({ registry = true }: { registry?: boolean } = {}): Promise<Stage> {
  const images = mkdtempSync(join(tmpdir(), 'atomic-ts-e2e-'));
  let host: Host | undefined;
  const close = async (): Promise<void> => {
    await host?.stop();
    rmSync(images, { recursive: true, force: true });
  };
  try {
    host = await bootHost({ binds: [`${images}:/images`] });
    const stage = buildStage(host, images, close);
    // A copy: dist/ may be built again while the host is up.
    await stage.run('make', '--silent', '-C', process.cwd(), 'install', 'PREFIX=/usr');
    if (registry) await startRegistry(stage);
    return stage;
  } catch (error) {
    await close();
    throw error;
  }
}

function buildStage(host: Host, images: string, close: () => Promise<void>): Stage {
  let layouts = 0;
  const run: Stage['run'] = async (program, ...args) => {
    const result = await host.exec(program, args);
    if (result.code !== 0) throw new Error(`${program} ${args.join(' ')}: ${show(result)}`);
    return result.stdout.trim();
  };
  // By way of a shell, which tells of a program's end by a signal as of an exit status.
  const atomic: Stage['atomic'] = (args, options = {}) =>
    host.exec('sh', ['-c', '"$@"; exit $?', 'sh', 'atomic-ts', ...args, ...settleOptions(args)], options);
  const succeed: Stage['succeed'] = async (...args) => {
    const result = await atomic(args);
    if (result.code !== 0) throw new Error(`atomic-ts ${args.join(' ')}: ${show(result)}`);
    return result.stdout;
  };
  const addLayout: Stage['addLayout'] = (name, ...tagged) => {
    writeOciLayout(join(images, name), tagged);
    return `oci:/images/${name}`;
  };
  return {
    host,
    images,
    atomic,
    succeed,
    run,
    shell: (script, ...args) => run('sh', '-euc', script, 'sh', ...args),
    addLayout,
    async push(image, name) {
      layouts += 1;
      const layout = addLayout(`pushed-${layouts}`, { image });
      await succeed('copy', layout, `docker://${REGISTRY}/${name}`);
      return `${REGISTRY}/${name}`;
    },
    async takeRequests() {
      const log = await run('sh', '-c', `cat ${ACCESS_LOG}; : >${ACCESS_LOG}`);
      return [...log.matchAll(/"([A-Z]+ \/v2\/\S*) HTTP/g)].map(([, request = '']) => request);
    },
    close,
  };
}

function settleOptions(args: readonly string[]): readonly string[] {
  const command = args.find((arg) => arg !== 'containers' && !arg.startsWith('-')) ?? '';
  const isGiven = args.some((arg) => arg.startsWith('--settle'));
  return ['install', 'update', 'rollback', 'repair'].includes(command) && !isGiven ? SETTLE : [];
}

async function startRegistry(stage: Stage): Promise<void> {
  await stage.host.writeFile('/etc/registry.yml', REGISTRY_CONFIG);
  // Appending, so that the log can be emptied while it is open.
  const log = ['StandardOutput', 'StandardError'].map((name) => `--property=${name}=append:${ACCESS_LOG}`);
  const serve = '$(command -v docker-registry || command -v registry) serve /etc/registry.yml';
  await stage.run('systemd-run', '--quiet', '--unit=registry', ...log, 'sh', '-c', `exec ${serve}`);
  await waitForPage(stage, `http://${REGISTRY}/v2/`, '{}');
  await stage.takeRequests();
}

/** Starts the registry of hostile-registry.ts on the host's loopback; gives its address. */
export async function startHostileRegistry(stage: Stage): Promise<string> {
  await build({
    entryPoints: [fileURLToPath(new URL('hostile-registry.ts', import.meta.url))],
    outfile: join(stage.images, 'hostile-registry.mjs'),
    bundle: true,
    format: 'esm',
    platform: 'node',
    logLevel: 'error',
  });
  const node = await stage.shell('command -v node');
  const program = ['/images/hostile-registry.mjs', '/run/hostile-registry'];
  await stage.run('systemd-run', '--quiet', '--unit=hostile-registry', node, ...program);
  return stage.shell('until cat /run/hostile-registry 2>/dev/null; do sleep 0.05; done');
}

/** Asks until the answer has `expected` in it. @throws Error with the last answer when it does not within 20 s */
export async function waitForPage(stage: Stage, url: string, expected: string): Promise<void> {
  const script = `i=0
    until curl -sS --max-time 2 "$1" 2>&1 | tee /tmp/page | grep -qF -- "$2"; do
      i=$((i + 1)); [ $i -lt 200 ] || { cat /tmp/page >&2; exit 1; }; sleep 0.1
    done`;
  await stage.shell(script, url, expected);
}

/**
 * Everything that a change of a container may touch, one line each: files with their modes and contents, services,
 * containers of the runtimes. Not the image store, our locks, and folders of ours that hold nothing.
 */
export function takeSnapshot(stage: Stage): Promise<string> {
  return stage.shell(`
    cd /
    {
      find etc/systemd/system etc/tmpfiles.d -printf '%p %y %m %U:%G %l\\n'
      find var/lib/containers -mindepth 2 -path '*/.storage' -prune -o -path '*/.atomic-ts' -prune -o \\
        -path '*/rootfs/*' -prune -o -printf '%p %y %m %U:%G %l\\n'
      find var/lib/containers -path '*/.atomic-ts/*' ! -type d ! -path '*/locks/*' -print
      find run run/runc run/crun var/lib -maxdepth 1 ! -path run/runc ! -path run/crun ! -path run/shm ! -path run/mount ! -path run/atomic-ts \\
        -printf '%p %y %m %U:%G\\n' 2>/dev/null || true
    } | LC_ALL=C sort
    find etc/systemd/system etc/tmpfiles.d var/lib/containers/*/ -maxdepth 2 -type f -exec sha256sum {} + | LC_ALL=C sort -k2
    systemctl list-units --all --no-legend --plain --type=service --state=loaded | awk '{ print $1, $3 }' |
      grep -Ev '^(systemd-|dbus|getty|user)' | LC_ALL=C sort`);
}

/** What is not as it was in a snapshot: lines that are gone with `-`, new ones with `+`; empty when nothing changed. */
export async function listChanges(stage: Stage, before: string): Promise<string[]> {
  const was = new Set(before.split('\n'));
  const now = new Set((await takeSnapshot(stage)).split('\n'));
  return [
    ...[...was].filter((line) => !now.has(line)).map((line) => `- ${line}`),
    ...[...now].filter((line) => !was.has(line)).map((line) => `+ ${line}`),
  ];
}

/** The info of a container's deployment in use. */
export async function readInfo(stage: Stage, name: string): Promise<Info> {
  return JSON.parse(await stage.host.readFile(`${CHECKOUTS}/${name}/info`)) as Info;
}

export interface Info {
  readonly image: string;
  readonly values: Readonly<Record<string, unknown>>;
  readonly [key: string]: unknown;
}

export function show({ code, stdout, stderr }: ExecResult): string {
  return `status ${code}\n${stdout}${stderr}`;
}
