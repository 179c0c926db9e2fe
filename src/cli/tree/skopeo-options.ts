/** What people are used to from skopeo, which has options before its commands that count for a single one here. */
import { AtomicError } from '../../errors.ts';

export interface SkopeoWords {
  /** The command line as this program reads it. */
  readonly args: readonly string[];
  /** What some of the options are here: variables. */
  readonly environment: Readonly<Record<string, string>>;
}

const CHOOSING = ['copy', 'inspect', 'layers'];
const COMMANDS = new Set([...CHOOSING, 'list-tags', 'delete', 'login', 'logout']);
const PLATFORM = new Set(['--override-os', '--override-arch', '--override-variant']);
const VARIABLES: Readonly<Record<string, string>> = {
  '--tmpdir': 'TMPDIR',
  '--registries-conf': 'CONTAINERS_REGISTRIES_CONF',
};
/** Those that would be missed if they were ignored, and what to do instead. */
const REFUSED: Readonly<Record<string, string>> = {
  '--policy': 'Signatures are not verified by this program: leave it out, or verify them with another one.',
  '--registries.d': 'Signatures are kept in dir: alone: leave it out.',
  '--command-timeout': 'Put timeout(1) before the command: timeout 5m atomic-ts …',
};

/**
 * Reads the options that stand before the commands that skopeo has as well. `--override-…` goes behind the command,
 * where it belongs here; `--insecure-policy` asks for what is so anyway.
 * @throws AtomicError `usage` for one that cannot be done
 */
export function readSkopeoOptions(args: readonly string[]): SkopeoWords {
  const at = findCommand(args);
  const command = args[at] ?? '';
  if (!COMMANDS.has(command)) return { args, environment: {} };
  const kept: string[] = [];
  const moved: string[] = [];
  const environment: Record<string, string> = {};
  for (let i = 0; i < at; i++) {
    const word = args[i] ?? '';
    const [name = '', written] = /^(--[^=]+)=(.*)$/s.exec(word)?.slice(1) ?? [word];
    if (name in REFUSED)
      throw new AtomicError('usage', `${name} is not there`, { hint: REFUSED[name] ?? '' });
    const variable = VARIABLES[name];
    const takesValue = PLATFORM.has(name) || variable !== undefined;
    const value = takesValue && written === undefined ? (args[++i] ?? '') : (written ?? '');
    if (variable !== undefined) environment[variable] = value;
    else if (PLATFORM.has(name)) moved.push(`${name}=${value}`);
    else if (name !== '--insecure-policy') kept.push(word);
  }
  const behind = args.slice(at + 1).filter((word) => word !== '--insecure-policy');
  const rest = behind.map((word) => (command === 'copy' && word === '-q' ? '--quiet' : word));
  return { args: [...kept, command, ...(CHOOSING.includes(command) ? moved : []), ...rest], environment };
}

/** The first word that is no option, nor an option's value. */
function findCommand(args: readonly string[]): number {
  const takesNext = (word: string): boolean =>
    word === '--wait' || word in VARIABLES || word in REFUSED || PLATFORM.has(word);
  let at = 0;
  while (args[at]?.startsWith('-') === true) at += takesNext(args[at] ?? '') ? 2 : 1;
  return at;
}
