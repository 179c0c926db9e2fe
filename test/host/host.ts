import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

const SCRIPT = fileURLToPath(new URL('host', import.meta.url));
const EXEC_TIMEOUT_MS = 120_000;

export interface HostOptions {
  /** Folders of this machine to show in the host, as `SRC:DST`. The checkout and node are there without it. */
  readonly binds?: readonly string[];
}

export interface ExecOptions {
  readonly input?: string | Uint8Array;
  /** Added to the host's own small environment; nothing of ours is passed on. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** After it the command is terminated and `code` is 124; two minutes when not given. */
  readonly timeoutMs?: number;
}

export interface ExecResult {
  /** The exit status; 128+n when signal n ended the command. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A throw-away host: this machine's root, copy-on-write, under a systemd of its own. */
export interface Host {
  readonly name: string;
  /** The host's root as seen from here. Absolute symlinks in it point into our own root: read through `readFile`. */
  readonly root: string;
  /** Runs a command in the host, as root. A failing command is an answer and not an error. */
  exec(command: string, args?: readonly string[], options?: ExecOptions): Promise<ExecResult>;
  /** @throws Error when the file cannot be written. The folders above it are made. */
  writeFile(path: string, content: string | Uint8Array, mode?: number): Promise<void>;
  /** @throws Error when the file cannot be read. */
  readFile(path: string): Promise<string>;
  /** Shuts it down and boots it again: its files stay, /run and all that ran is gone. @throws Error with its log */
  reboot(): Promise<void>;
  /** Powers it off and removes all of it; may be called again. */
  stop(): Promise<void>;
}

let booted = 0;

/**
 * Boots a throw-away host, which belongs to this process: should we be killed, the next boot ends it.
 * @throws Error with the boot's log when it does not come up; needs root.
 */
export async function bootHost(options: HostOptions = {}): Promise<Host> {
  booted += 1;
  const name = `test-${process.pid}-${booted}`;
  const binds = (options.binds ?? []).flatMap((bind) => ['--bind', bind]);
  const state = await callScript(['start', name, '--owner', String(process.pid), ...binds]);
  const findRoot = async (): Promise<string> => {
    const leader = await readFile(`${state.trim()}/leader`, 'utf8');
    return `/proc/${leader.split(' ', 1).join('')}/root`;
  };
  let root = await findRoot();

  const exec: Host['exec'] = (command, args = [], execOptions = {}) =>
    runScript(['exec', name, '--', ...wrapCommand(execOptions), command, ...args], execOptions.input);

  return {
    name,
    get root() {
      return root;
    },
    exec,
    async reboot() {
      await callScript(['reboot', name]);
      root = await findRoot();
    },
    async writeFile(path, content, mode = 0o644) {
      // Not by way of /dev/stdin: node's pipes are sockets, which cannot be opened by name.
      const script = 'mkdir -p -- "${1%/*}" && cat >"$1" && chmod "$2" "$1"';
      const written = await exec('sh', ['-c', script, 'sh', path, mode.toString(8)], { input: content });
      if (written.code !== 0) throw new Error(`cannot write ${path} in ${name}: ${written.stderr}`);
    },
    async readFile(path) {
      const { code, stdout, stderr } = await exec('cat', ['--', path]);
      if (code !== 0) throw new Error(`cannot read ${path} in ${name}: ${stderr}`);
      return stdout;
    },
    async stop() {
      await callScript(['stop', name]);
    },
  };
}

function wrapCommand({ env = {}, cwd = '/', timeoutMs = EXEC_TIMEOUT_MS }: ExecOptions): string[] {
  const variables = Object.entries(env).map(([key, value]) => `${key}=${value}`);
  return ['timeout', '--kill-after=5', String(timeoutMs / 1000), 'env', '-C', cwd, ...variables];
}

async function callScript(args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await runScript(args);
  if (code !== 0) throw new Error(`host ${args.join(' ')} failed with status ${code}:\n${stderr}`);
  return stdout;
}

function runScript(args: readonly string[], input: string | Uint8Array = ''): Promise<ExecResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(SCRIPT, args);
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
    child.stderr.on('data', (chunk: Buffer) => err.push(chunk));
    child.on('error', reject);
    child.on('close', (code) =>
      resolve({
        // Without a code it was our script that was killed, and not the command.
        code: code ?? 255,
        stdout: Buffer.concat(out).toString(),
        stderr: Buffer.concat(err).toString(),
      }),
    );
    // A command that does not read its input is no failure.
    child.stdin.on('error', () => undefined);
    child.stdin.end(input);
  });
}
