import { isAbsolute, join } from 'node:path';
import { formatExactJson, parseExactJson } from '../container/exact-json.ts';
import { AtomicError, messageOf } from '../errors.ts';
import { isRecord, type JsonRecord } from '../image/json.ts';

export interface ApartRun {
  /** Instead of its own; empty: its own. */
  readonly command: readonly string[];
  /** Whether our standard streams are a terminal. */
  readonly terminal: boolean;
  /** The bundle that paths in it are relative to, when it is run from another folder. */
  readonly bundle?: string;
}

/**
 * The runtime configuration of a container for one run beside its service: with the environment, folder, user and
 * capabilities that it has, but another command. Its cgroup is the runtime's own choice, so that it is not the service's.
 * @param path the file that the text is from, for the error's sentence.
 * @throws AtomicError `spec-invalid`
 */
export function specApart(text: string, path: string, { command, terminal, bundle }: ApartRun): string {
  const spec = parseSpec(text, path);
  const { cgroupsPath: _cgroup, ...linux } = recordOf(spec['linux']);
  const placed = bundle === undefined ? spec : { ...spec, ...placeIn(bundle, spec) };
  return formatExactJson({ ...placed, process: processOf(spec, { command, terminal }), linux });
}

/**
 * The process alone, for a container that runs: `RUNTIME exec --process`.
 * @throws AtomicError `spec-invalid`
 */
export function processApart(text: string, path: string, run: Omit<ApartRun, 'bundle'>): string {
  return formatExactJson(processOf(parseSpec(text, path), run));
}

function processOf(spec: JsonRecord, { command, terminal }: Omit<ApartRun, 'bundle'>): JsonRecord {
  const { consoleSize: _size, ...own } = recordOf(spec['process']);
  // A program that was made for no terminal gets one only for a command that is typed.
  const wanted = command.length > 0 || own['terminal'] === true;
  return {
    ...own,
    terminal: terminal && wanted && holdsTerminals(spec),
    ...(command.length === 0 ? {} : { args: command }),
  };
}

/** Whether a container has a place for a terminal of its own: without one its runtime would fail to make it. */
function holdsTerminals({ mounts }: JsonRecord): boolean {
  const listed: readonly unknown[] = Array.isArray(mounts) ? mounts : [];
  return listed.some(
    (mount) =>
      isRecord(mount) &&
      (mount['type'] === 'devpts' ||
        (isBind(mount) && ['/dev', '/dev/pts'].includes(String(mount['destination'])))),
  );
}

function parseSpec(text: string, path: string): JsonRecord {
  let spec: unknown;
  try {
    spec = parseExactJson(text);
  } catch (error) {
    throw new AtomicError('spec-invalid', `The file ${path} is not valid JSON: ${messageOf(error)}`, {
      cause: error,
    });
  }
  if (isRecord(spec)) return spec;
  throw new AtomicError('spec-invalid', `The file ${path} is not a JSON object`);
}

/** runtime-spec config.md: root.path and the source of a bind mount may be relative to the bundle. */
function placeIn(bundle: string, spec: JsonRecord): JsonRecord {
  const place = (path: unknown): unknown =>
    typeof path === 'string' && !isAbsolute(path) ? join(bundle, path) : path;
  const root = recordOf(spec['root']);
  const mounts: readonly unknown[] = Array.isArray(spec['mounts']) ? spec['mounts'] : [];
  return {
    root: { ...root, path: place(root['path']) },
    mounts: mounts.map((mount) =>
      isRecord(mount) && isBind(mount) ? { ...mount, source: place(mount['source']) } : mount,
    ),
  };
}

function isBind({ type, options }: JsonRecord): boolean {
  const words: readonly unknown[] = Array.isArray(options) ? options : [];
  return type === 'bind' || words.includes('bind') || words.includes('rbind');
}

function recordOf(value: unknown): JsonRecord {
  return isRecord(value) ? value : {};
}
