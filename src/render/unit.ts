import { AtomicError } from '../errors.ts';
import type { Value } from '../container/variables.ts';
import { renderOwnTemplate, type Templates } from './own-template.ts';
import { substitute } from './substitute.ts';

/** How a container without a unit of its own is run. */
export interface DefaultUnit {
  /**
   * The runtime starts the container and ends (`run -d`): systemd follows the container's own process. Attached, the
   * runtime stays, and is what systemd follows.
   */
  readonly detached: boolean;
  /** From the image: SIGQUIT…; see `readStopSignal`. */
  readonly stopSignal: string | undefined;
  readonly runtime: string;
}

/**
 * The unit of a container that brings no service.template.
 *
 * Attached, there is no ExecStop: the runtime passes systemd's one signal on, where a `kill` before it would make two, and
 * many programs take the second for an order to drop everything. A runtime that had to be killed leaves its container
 * behind, so that is removed; 143 is what the runtime exits with when the container died of SIGTERM.
 */
export function renderDefaultUnit(
  values: Readonly<Record<string, Value>>,
  { detached, stopSignal, runtime }: DefaultUnit,
  templates: Templates,
): string {
  return renderOwnTemplate(templates.service, {
    name: values['NAME'],
    detached,
    stopSignal,
    execStartPre: values['EXEC_STARTPRE'],
    execStart: values['EXEC_START'],
    execStop: '',
    execStopPost: detached ? values['EXEC_STOPPOST'] : `-${runtime} delete --force '${values['NAME'] ?? ''}'`,
    workingDirectory: values['DESTDIR'],
    pidFile: values['PIDFILE'],
    wantedBy: 'multi-user.target',
  });
}

/**
 * The unit out of an image's service.template.
 * @param path the template file, for error sentences.
 * @throws AtomicError `template-invalid`, `variable-unset`, `unit-invalid`
 */
export function renderUnit(template: string, path: string, values: Readonly<Record<string, Value>>): string {
  const text = substitute(template, path, values);
  checkUnit(text, path);
  return text;
}

/**
 * Refuses a unit that systemd would not load as a service: no [Service], nothing to run, or more than one ExecStart in a
 * service that is not oneshot. What systemd merely warns of is left to it.
 * @throws AtomicError `unit-invalid`
 * @see systemd.service(5), systemd.syntax(7)
 */
export function checkUnit(text: string, path: string): void {
  const settings = readServiceSection(text);
  const refuse = (found: string): AtomicError =>
    new AtomicError('unit-invalid', `The unit made from ${path} ${found}`);
  if (settings === undefined) throw refuse('has no [Service] section');
  const type = settings.get('Type')?.at(-1);
  const starts = settings.get('ExecStart') ?? [];
  if (starts.length === 0 && type !== 'oneshot') throw refuse('has no ExecStart= in its [Service] section');
  if (starts.length > 1 && type !== 'oneshot')
    throw refuse(`has ${starts.length} ExecStart= lines; only Type=oneshot may have more than one`);
}

/** The settings of [Service], one without a value undoing those before it; undefined when there is no such section. */
function readServiceSection(text: string): Map<string, string[]> | undefined {
  let section = '';
  let settings: Map<string, string[]> | undefined;
  for (const line of joinContinued(text)) {
    const name = /^\[(.*)\]$/.exec(line)?.[1];
    section = name ?? section;
    if (section !== 'Service') continue;
    settings ??= new Map();
    const equals = line.indexOf('=');
    if (name !== undefined || equals === -1) continue;
    const key = line.slice(0, equals).trimEnd();
    const value = line.slice(equals + 1).trimStart();
    const list = settings.get(key) ?? [];
    if (value === '') list.length = 0;
    else list.push(value);
    settings.set(key, list);
  }
  return settings;
}

/** The lines of a unit without comments; a backslash at the end goes on with the next line that is no comment. */
function joinContinued(text: string): string[] {
  const lines: string[] = [];
  let begun = '';
  for (const raw of text.split('\n')) {
    const line = raw.trim();
    if (/^[#;]/.test(line) || (line === '' && begun === '')) continue;
    if (line.endsWith('\\')) {
      begun += `${line.slice(0, -1)} `;
      continue;
    }
    lines.push(`${begun}${line}`);
    begun = '';
  }
  return begun === '' ? lines : [...lines, begun];
}

/**
 * An image's StopSignal as systemd and runtimes both know it; a realtime signal becomes its number, since runtimes know
 * no names for those. Undefined for none, for SIGTERM, which is sent anyway, and for a text that is no signal.
 * @see image-spec config.md, "StopSignal": SIGNAME or SIGRTMIN+n
 */
export function readStopSignal(text: string | undefined): string | undefined {
  const match = /^(?:(\d{1,2})|(?:SIG)?(?:RTMIN\+(\d{1,2})|RTMAX-(\d{1,2})|([A-Z][A-Z0-9]{1,9})))$/.exec(
    text ?? '',
  );
  if (match === null) return undefined;
  const [, number, fromMin, fromMax, name] = match;
  if (number !== undefined) return number === '15' ? undefined : number;
  // The C library keeps the first two realtime signals to itself.
  if (fromMin !== undefined) return String(34 + Number(fromMin));
  if (fromMax !== undefined) return String(64 - Number(fromMax));
  return name === undefined || name === 'TERM' ? undefined : `SIG${name}`;
}
