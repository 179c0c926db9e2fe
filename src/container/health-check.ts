/** Which check of a container counts, and how `info` keeps it. */
import { AtomicError } from '../errors.ts';
import { shellCommand, type HealthCheck } from '../image/health-check.ts';
import { isRecord, type JsonRecord } from '../image/json.ts';

/** A check with who asked for it: the image, or the user, whose choice outlives updates. */
export interface ChosenCheck extends HealthCheck {
  readonly source: 'image' | 'option';
}

/** What `--health-cmd` asks for: a command (none: no check), or the image's own. */
export type HealthOption = { readonly command: readonly string[] } | 'image';

/**
 * The value of `--health-cmd`: a command for a shell, a JSON list of a program and its arguments, `none` for no check,
 * `image` for the image's own.
 * @throws AtomicError `usage`
 */
export function parseHealthOption(text: string): HealthOption {
  if (text === 'none') return { command: [] };
  if (text === 'image') return 'image';
  if (text.trim() === '') throw new AtomicError('usage', '--health-cmd takes a command, none or image');
  // `[ -e /run/ready ]` is a command and no list.
  const words = readWords(parse(text));
  return { command: words === undefined || words.length === 0 ? shellCommand(text) : words };
}

/** The user's choice, now or before, else the image's; the times are always the image's. */
export function chooseHealthCheck(
  option: HealthOption | undefined,
  previous: ChosenCheck | undefined,
  image: HealthCheck,
): ChosenCheck {
  const kept = previous?.source === 'option' ? previous : undefined;
  const chosen = option === 'image' ? undefined : (option ?? kept);
  return chosen === undefined
    ? { ...image, source: 'image' }
    : { ...image, command: chosen.command, source: 'option' };
}

/** As `info` has it; undefined where an image has no check and nobody asked for one. */
export function formatHealthCheck(check: ChosenCheck | undefined): object | undefined {
  if (check === undefined || (check.source === 'image' && check.command.length === 0)) return undefined;
  return {
    source: check.source,
    command: check.command,
    'interval-ms': check.intervalMs,
    'timeout-ms': check.timeoutMs,
    'start-period-ms': check.startPeriodMs,
    'start-interval-ms': check.startIntervalMs ?? null,
    retries: check.retries,
  };
}

/** What `formatHealthCheck` wrote; anything else counts as no check. */
export function readHealthCheck(value: unknown): ChosenCheck | undefined {
  if (!isRecord(value)) return undefined;
  const command = readWords(value['command']);
  const number = (key: string): number => Number(value[key]);
  const times = ['interval-ms', 'timeout-ms', 'start-period-ms', 'retries'].map(number);
  if (command === undefined || !times.every((time) => Number.isSafeInteger(time) && time >= 0))
    return undefined;
  return {
    source: value['source'] === 'option' ? 'option' : 'image',
    command,
    intervalMs: number('interval-ms'),
    timeoutMs: number('timeout-ms'),
    startPeriodMs: number('start-period-ms'),
    startIntervalMs: readOptional(value, 'start-interval-ms'),
    retries: number('retries'),
  };
}

function readOptional(record: JsonRecord, key: string): number | undefined {
  const value = record[key];
  return typeof value === 'number' && Number.isSafeInteger(value) && value > 0 ? value : undefined;
}

function readWords(value: unknown): readonly string[] | undefined {
  return Array.isArray(value) && value.every((word) => typeof word === 'string') ? value : undefined;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
