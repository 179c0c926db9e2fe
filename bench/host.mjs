// The throw-away host that everything is measured in, with a registry in it.
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const SCRIPT = fileURLToPath(new URL('../test/host/host', import.meta.url));

/** Where the place for data is in the host. */
export const DATA = '/bench';
export const REGISTRY = 'localhost:5000';
export const REGISTRY_LOG = `${DATA}/registry.log`;

/** Boots it with all its state in `folder`. */
export async function bootHost(folder) {
  const name = `bench-${process.pid}`;
  const env = { ...process.env, TMPDIR: folder };
  const script = (args, input) => runScript(args, env, input);
  await check(script(['start', name, '--owner', String(process.pid), '--bind', `${folder}:${DATA}`]));

  /** Runs a shell script; fails when it does. Gives what it printed. */
  const sh = (text, ...args) => check(script(['exec', name, '--', 'bash', '-ec', text, 'bash', ...args]));

  return {
    sh,
    /** Wall and CPU seconds of a command and all that it starts. */
    async time(command, input = '') {
      const text = 'TIMEFORMAT="@@ %R %U %S"; time "$@" >/dev/null';
      const { stderr } = await check(
        script(['exec', name, '--', 'bash', '-ec', text, 'bash', ...command], input),
      );
      const [, wall, user, system] = /@@ (\S+) (\S+) (\S+)\n$/.exec(stderr) ?? [];
      return { wall: Number(wall), cpu: Number(user) + Number(system) };
    },
    stop: () => script(['stop', name]),
  };
}

/** Starts a registry whose blobs lie in the place, `folder` as seen from here, and waits for it. */
export async function startRegistry(host, folder) {
  const config = {
    version: 0.1,
    log: { level: 'error' },
    storage: { filesystem: { rootdirectory: `${DATA}/registry` } },
    http: { addr: REGISTRY },
  };
  // JSON is YAML.
  writeFileSync(join(folder, 'registry.yml'), JSON.stringify(config));
  await host.sh(`
    program=$(command -v docker-registry || command -v registry)
    setsid "$program" serve ${DATA}/registry.yml >${REGISTRY_LOG} 2>&1 </dev/null &
    for _ in {1..100}; do curl -sf http://${REGISTRY}/v2/ >/dev/null && exit 0; sleep 0.1; done
    cat ${REGISTRY_LOG} >&2
    exit 1`);
}

async function check(running) {
  const { code, stdout, stderr, args } = await running;
  if (code !== 0)
    throw new Error(`${args.slice(2).join(' ').trim()}\nfailed with status ${code}:\n${stderr}`);
  return { stdout, stderr };
}

function runScript(args, env, input = '') {
  return new Promise((resolve, reject) => {
    // In a session of its own: Ctrl-C is for us, who stop the host in good order.
    const child = spawn(SCRIPT, args, { env, detached: true });
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (chunk) => (stdout += chunk));
    child.stderr.on('data', (chunk) => (stderr += chunk));
    child.on('error', reject);
    child.on('close', (code) => resolve({ code: code ?? 255, stdout, stderr, args }));
    child.stdin.on('error', () => undefined);
    child.stdin.end(input);
  });
}
