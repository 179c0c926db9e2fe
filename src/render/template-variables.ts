/** The variables of an image's templates, before anybody has installed it: which have a value, and which need one. */
import { FORCED_VARIABLES, type Value, type ValueSource } from '../container/variables.ts';
import { listVariables } from './substitute.ts';

export interface TemplateText {
  /** Inside /exports. */
  readonly file: string;
  readonly text: string;
}

export interface TemplateVariable {
  readonly name: string;
  /** Its value without --set; undefined when it has none, or one that only an installation gives. */
  readonly value: string | undefined;
  /** Undefined when it has to be set. */
  readonly source: ValueSource | undefined;
  /** Files of /exports that use it, sorted. */
  readonly usedIn: readonly string[];
}

export interface VariablesInput {
  readonly templates: readonly TemplateText[];
  /** defaultValues of the image's manifest.json. */
  readonly defaults: Readonly<Record<string, string>>;
  /** What this host gives, by variable; undefined where only an installation can tell. */
  readonly host: Readonly<Record<string, string | undefined>>;
}

/** These are the host's to give whether an image uses them or not: atomic lists them for every image. */
const ALWAYS_LISTED = [
  'RUN_DIRECTORY',
  'STATE_DIRECTORY',
  'CONF_DIRECTORY',
  'UUID',
  'PIDFILE',
  'ALL_PROCESS_CAPABILITIES',
];

/** All variables that templates use or that have a default, by name; the same precedence as `computeValues`, without --set. */
export function describeVariables({ templates, defaults, host }: VariablesInput): TemplateVariable[] {
  const usedIn = new Map<string, Set<string>>();
  for (const { file, text } of templates) {
    for (const name of listVariables(text)) usedIn.set(name, (usedIn.get(name) ?? new Set()).add(file));
  }
  const names = new Set([...usedIn.keys(), ...Object.keys(defaults), ...ALWAYS_LISTED]);
  return [...names].sort().map((name) => ({
    name,
    ...defaultOf(name, defaults, host),
    usedIn: [...(usedIn.get(name) ?? [])].sort(),
  }));
}

function defaultOf(
  name: string,
  defaults: VariablesInput['defaults'],
  host: VariablesInput['host'],
): Pick<TemplateVariable, 'value' | 'source'> {
  if (FORCED_VARIABLES.has(name)) return { value: undefined, source: 'forced' };
  if (Object.hasOwn(host, name)) return { value: host[name], source: 'host' };
  if (Object.hasOwn(defaults, name)) return { value: defaults[name], source: 'manifest' };
  return { value: undefined, source: name === 'UUID' ? 'generated' : undefined };
}

/** A text with what is known filled in, and every other variable standing for itself: to see what a template may become. */
export function sampleValues(
  text: string,
  known: Readonly<Record<string, Value | undefined>>,
): Record<string, Value> {
  return Object.fromEntries(
    listVariables(text).map((name) => [name, (Object.hasOwn(known, name) ? known[name] : undefined) ?? name]),
  );
}
