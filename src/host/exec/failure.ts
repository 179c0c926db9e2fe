import { basename } from 'node:path';
import { AtomicError, FREE_SPACE_HINT, type ErrorCode } from '../../errors.ts';
import { escapeLine } from '../../escape.ts';

const DETAIL_LINES = 20;
const LINE_CHARACTERS = 500;
const DISK_FULL = /no space left on device|min-free-space|disk quota exceeded/i;

/** Packages of the programs we call, where they are not named like the program: [Fedora's, Debian's]. */
const PACKAGES: Readonly<Record<string, readonly [string, string]>> = {
  flock: ['util-linux', 'util-linux'],
  mount: ['util-linux', 'mount'],
  umount: ['util-linux', 'mount'],
  rm: ['coreutils', 'coreutils'],
  sync: ['coreutils', 'coreutils'],
  matchpathcon: ['libselinux-utils', 'selinux-utils'],
  restorecon: ['policycoreutils', 'policycoreutils'],
  rpmbuild: ['rpm-build', 'rpm'],
  stat: ['coreutils', 'coreutils'],
  systemctl: ['systemd', 'systemd'],
  journalctl: ['systemd', 'systemd'],
  'systemd-analyze': ['systemd', 'systemd'],
  'systemd-tmpfiles': ['systemd', 'systemd'],
};

/** `ostree commit`: the program and its first word that is no option. Other arguments may hold secrets. */
export function nameCommand(program: string, args: readonly string[]): string {
  const word = args.find((arg) => /^[a-z][a-z-]*$/.test(arg));
  return word === undefined ? basename(program) : `${basename(program)} ${word}`;
}

/** What to install to have a program. */
function installHint(program: string): string {
  const name = basename(program);
  const [fedora, debian] = PACKAGES[name] ?? [name, name];
  return `Install it: dnf install ${fedora}, or apt-get install ${debian}.`;
}

export function toolMissing(program: string, cause?: unknown): AtomicError {
  return new AtomicError('tool-missing', `Cannot run ${program}: it is not installed`, {
    hint: installHint(program),
    cause,
  });
}

/** The repo that an ostree command works on. */
export function placeOf(args: readonly string[]): string | undefined {
  return args.find((arg) => arg.startsWith('--repo='))?.slice('--repo='.length);
}

/**
 * The error of a program that ended badly.
 * @param ending says how: "exit status 1"
 * @param place where it writes, when that is known
 */
export function commandFailed(
  command: string,
  ending: string,
  stderr: string,
  cause?: unknown,
  place?: string,
): AtomicError {
  const lines = lastLines(stderr);
  const last = lines.at(-1);
  const diskFull = DISK_FULL.test(stderr);
  const code: ErrorCode = diskFull ? 'disk-full' : 'command-failed';
  const disk = place === undefined ? 'the disk' : `the disk of ${place}`;
  const sentence = diskFull ? `${command} found no space left on ${disk}` : `${command} failed (${ending})`;
  return new AtomicError(code, last === undefined ? sentence : `${sentence}: ${last}`, {
    ...(lines.length > 1 ? { details: lines.join('\n') } : {}),
    ...(diskFull ? { hint: FREE_SPACE_HINT } : {}),
    cause,
  });
}

function lastLines(stderr: string): string[] {
  const lines = stderr
    .split('\n')
    .map((line) => line.trimEnd())
    .filter((line) => line !== '');
  return lines
    .slice(-DETAIL_LINES)
    .map((line) => escapeLine(line.slice(0, LINE_CHARACTERS).replaceAll('\t', ' ')));
}
