/**
 * Every cap on what foreign input may make us read, hold or write. A reader of foreign data names its limit from here,
 * so that this page is the whole list. Bytes unless the name says otherwise.
 *
 * Those in LIMITS are guards of ours, and an administrator may move them (`--limit NAME=VALUE`, `limits:` in
 * atomic.conf). The constants below them are not: they are the kernel's or a format's own, or hold what we wrote.
 */
import { AtomicError, type ErrorCode } from './errors.ts';

const KiB = 1024;
const MiB = 1024 * KiB;
const GiB = 1024 * MiB;
const TiB = 1024 * GiB;

/** What is read back of a manifest or config in the store: all that the limits below can let in. */
export const STORED_BYTES = 64 * MiB;

interface Limit {
  readonly unit: 'bytes' | 'count' | 'switch';
  readonly default: number;
  /** What no option can raise it above: memory, formats and our own readers hold that much and no more. */
  readonly max: number;
  /** What it caps, for people. */
  readonly caps: string;
}

function bytes(value: number, max: number, caps: string): Limit {
  return { unit: 'bytes', default: value, max, caps };
}

function count(value: number, max: number, caps: string): Limit {
  return { unit: 'count', default: value, max, caps };
}

/** The limits that can be moved. Names are part of the command line: none of them may change. */
export const LIMITS = {
  // The distribution specification asks registries to accept at least 4 MiB.
  'manifest-size': bytes(4 * MiB, STORED_BYTES, 'a manifest or index'),
  'config-size': bytes(8 * MiB, STORED_BYTES, "an image's config"),
  'index-depth': count(3, 16, 'indexes nested in each other on the way to a manifest'),
  'index-entries': count(1024, 65_536, 'entries of the indexes of which all images are copied'),
  // Docker stops at 127.
  layers: count(512, 8192, 'layers in one image'),
  'layer-size': bytes(64 * GiB, 16 * TiB, 'a layer as it is stored in a registry'),
  'layer-unpacked-size': bytes(128 * GiB, 16 * TiB, 'a layer after decompression, and the files in it'),
  // gzip cannot exceed 1032.
  'layer-ratio': count(
    1100,
    1_000_000,
    'decompressed bytes of a layer for each compressed one, once 64 MiB came out',
  ),
  'layer-entries': count(4_000_000, 1_000_000_000, 'entries in one layer'),
  'image-entries': count(16_000_000, 4_000_000_000, 'entries in the layers that one pull fetches'),
  'layer-names-size': bytes(
    512 * MiB,
    64 * GiB,
    "names of a layer's folders and hard links, which are held in memory",
  ),
  // xattrs may be 64 KiB each, and a file may have several.
  'tar-header-size': bytes(1 * MiB, 64 * MiB, 'PAX headers and long names before one entry of a tar'),
  // libostree refuses to pull objects of this kind that are larger than 128 MiB.
  'tar-split-size': bytes(
    64 * MiB,
    120 * MiB,
    "what is kept of a layer's archive besides its files (without it the layer can be used, not copied)",
  ),
  'export-size': bytes(1 * MiB, 8 * MiB, "a template or other file that is read out of an image's /exports"),
  'host-files': count(65_536, 1_000_000, "entries of an image's /exports/hostfs"),
  'passwd-size': bytes(4 * MiB, 64 * MiB, 'a passwd or group file of an image'),
  // Of a desktop with some ten thousand packages: half of it.
  'rpm-database-size': bytes(1 * GiB, 64 * GiB, 'an rpm database in a tree whose packages are compared'),
  // Three for each layer of each image, and a few.
  'archive-members': count(16_384, 1_000_000, 'members of an oci-archive or docker-archive'),
  'archive-unpacked-size': bytes(256 * GiB, 16 * TiB, 'such an archive after decompression'),
  tags: count(200_000, 10_000_000, 'tags of one repository that are listed'),
  'partial-size': bytes(4 * GiB, 16 * TiB, 'unfinished layers that are kept for the next pull, in all'),
  'free-space': {
    unit: 'switch',
    default: 1,
    max: 1,
    caps: 'check: refuse what will not fit before it is fetched; ignore: try',
  },
} as const satisfies Readonly<Record<string, Limit>>;

export type LimitName = keyof typeof LIMITS;
export const LIMIT_NAMES = Object.keys(LIMITS) as LimitName[];
export type LimitValues = Readonly<Partial<Record<LimitName, number>>>;
/** A limit by its name, or a fixed number that nobody can raise. */
export type Cap = LimitName | number;

/** Decompressed bytes before `layer-ratio` counts: a small layer of zeros is no bomb. */
export const RATIO_FLOOR_BYTES = 64 * MiB;
/** A token server's answer. */
export const TOKEN_BYTES = 1 * MiB;
/** The part of an error answer's body that is read for its message. */
export const ERROR_BODY_BYTES = 64 * KiB;
/** One page of a list of tags, and how many pages are followed. */
export const LIST_PAGE_BYTES = 4 * MiB;
export const LIST_PAGES = 1000;
/** An answer of the Docker engine that is not an image: its version, an image's details, how loading one went. */
export const ENGINE_ANSWER_BYTES = 1 * MiB;
/** Answers that only say that the real one will come (1xx), before it does. */
export const INTERIM_ANSWERS = 16;
/** Redirects followed for one request. */
export const REDIRECTS = 5;
/** A path inside a layer, as Linux has it (PATH_MAX). */
export const PATH_BYTES = 4096;
/** A file's name, as Linux has it (NAME_MAX). */
export const NAME_BYTES = 255;
/** Files of our own on disk (info, journal, units that we rendered). */
export const OWN_JSON_BYTES = 16 * MiB;
/** Output kept of a child process; more is cut off. */
export const CHILD_OUTPUT_BYTES = 8 * MiB;
/** A configuration file of the host (atomic.conf, auth.json). */
export const CONFIG_FILE_BYTES = 1 * MiB;
/** A password that is piped in; some are tokens with a signature. */
export const PASSWORD_BYTES = 64 * KiB;
/** What a credential helper may answer, and how long it may take: it may ask a person to unlock something. */
export const CREDENTIAL_HELPER_BYTES = 64 * KiB;
export const CREDENTIAL_HELPER_MS = 30_000;

/** A package that is built from an image's spec, the time that takes, and what is shown of what the build said. */
export const FOREIGN_PACKAGE_BYTES = 2 * GiB;
export const FOREIGN_BUILD_MS = 600_000;
export const BUILD_LOG_BYTES = 2 * KiB;

/** Simple signatures of one image in a repo or a folder. */
export const SIGNATURES = 128;
/** A line of a tar-split record: ours are short, Go's hold all that stands between two files. */
export const TAR_SPLIT_LINE_BYTES = 128 * MiB;

/** Kept of what a health check printed; Docker keeps as much. */
export const HEALTH_OUTPUT_CHARACTERS = 4096;
/** Most that an image can ask of us for its health check: how long we wait for it while its service starts. */
export const HEALTH_INTERVAL_MS = 600_000;
export const HEALTH_TIMEOUT_MS = 600_000;
export const HEALTH_START_PERIOD_MS = 3_600_000;
/** Failures in a row. */
export const HEALTH_RETRIES = 100;

/** A smaller layer is fetched again instead of being kept half. */
export const PARTIAL_FLOOR_BYTES = 8 * MiB;
/** How long one is kept. */
export const PARTIAL_AGE_MS = 7 * 24 * 3_600_000;

/** Time without a byte before a connection counts as dead. */
export const IDLE_TIMEOUT_MS = 60_000;
/** A blob that brings less in that time while somebody waits for it counts as broken off as well: a trickle never ends. */
export const SLOW_BYTES = 64 * KiB;
export const SLOW_WINDOW_MS = 60_000;
/** Time for an answer that is read whole: a manifest, a token, a page of a list. */
export const WHOLE_ANSWER_MS = 300_000;
/** Time to connect, and to the first byte of an answer. */
export const CONNECT_TIMEOUT_MS = 20_000;
/** Time a registry may take to store a blob that was sent to it; one on slow storage copies gigabytes before it answers. */
export const UPLOAD_STORE_TIMEOUT_MS = 600_000;
/** Tries of one request that fails for a passing reason, the first included. */
export const REQUEST_TRIES = 4;
/** A connection that broke off after so many bytes of a blob is no failed try: a large one may break often. */
export const RESUME_PROGRESS_BYTES = 8 * MiB;
/**
 * Bytes of an upload that are kept until the registry has them, so that one that broke can go on: more than sockets
 * on the way hold. A smaller blob is read whole before the first byte is sent.
 */
export const UPLOAD_KEPT_BYTES = 8 * MiB;
/** A part of a blob for a registry that does not take it whole, and the smallest that one can be brought down to. */
export const UPLOAD_PART_BYTES = 4 * MiB;
export const UPLOAD_PART_MIN_BYTES = 256 * KiB;
/** URLs of one foreign layer that are tried. */
export const FOREIGN_URLS = 4;
/** The longest wait that a registry's Retry-After can ask of us. */
export const RETRY_AFTER_MAX_MS = 60_000;

let moved: LimitValues = {};

/**
 * Moves limits for this process: once, at its start. Handing them to every reader of foreign bytes instead would put
 * a parameter for strangers into each function between.
 * @returns what takes it back, for tests
 */
export function moveLimits(values: LimitValues): () => void {
  const before = moved;
  moved = { ...moved, ...values };
  return () => {
    moved = before;
  };
}

/** The number behind a cap, as it holds now. */
export function limitOf(cap: Cap): number {
  return typeof cap === 'number' ? cap : (moved[cap] ?? LIMITS[cap].default);
}

/**
 * The error of something that is over a cap, with the way to raise it where there is one.
 * @param found how much it would take, where that is known
 */
export function limitExceeded(cap: Cap, sentence: string, found = 0): AtomicError {
  if (typeof cap === 'number') {
    return new AtomicError('limit-exceeded', sentence, {
      hint: 'This limit is fixed, and no ordinary image comes near it: look at what it is made of.',
    });
  }
  const { max } = LIMITS[cap];
  const enough = Math.min(max, Math.max(found, 2 * limitOf(cap)));
  const hint =
    found > max || limitOf(cap) >= max
      ? `No more than ${formatLimit(cap, max)} can be allowed: look at what the image is made of.`
      : `If the image is to be trusted: --limit ${cap}=${formatLimit(cap, enough)} (or limits: in atomic.conf).`;
  return new AtomicError('limit-exceeded', sentence, { hint });
}

/** A value as it is written on a command line: a size is rounded up to three digits or more. */
export function formatLimit(name: LimitName, value: number): string {
  const { unit } = LIMITS[name];
  if (unit === 'switch') return value === 0 ? 'ignore' : 'check';
  if (unit === 'count') return String(value);
  for (const [letter, factor] of [...SUFFIXES].reverse()) {
    if (value >= factor && (value % factor === 0 || value >= 100 * factor))
      return `${Math.ceil(value / factor)}${letter}`;
  }
  return String(value);
}

const SUFFIXES: ReadonlyMap<string, number> = new Map([
  ['K', KiB],
  ['M', MiB],
  ['G', GiB],
  ['T', TiB],
]);

/**
 * Reads one limit: a count, a size (`8G`, `8GiB`: powers of 1024), or a word.
 * @param where subject of the error's sentence: "--limit", "limits in /etc/atomic.conf"
 * @throws AtomicError with `code`, naming the limits there are
 */
export function parseLimit(name: string, text: string, where: string, code: ErrorCode): LimitValues {
  if (!isLimitName(name)) {
    throw new AtomicError(code, `${where} names ${JSON.stringify(name)}, and there is no such limit`, {
      hint: `Limits are ${LIMIT_NAMES.join(', ')}.`,
    });
  }
  const { unit, max } = LIMITS[name];
  const value = unit === 'switch' ? parseSwitch(text) : parseNumber(text, unit);
  if (value !== undefined && value <= max) return { [name]: value };
  const takes =
    unit === 'switch'
      ? 'check or ignore'
      : `a ${unit === 'bytes' ? 'size such as 512K, 8M or 2G' : 'number'} from 1 to ${formatLimit(name, max)}`;
  throw new AtomicError(code, `${where} gives ${name} the value ${JSON.stringify(text)}; it takes ${takes}`, {
    hint: `It stands at ${formatLimit(name, LIMITS[name].default)} by default: ${LIMITS[name].caps}.`,
  });
}

/** `NAME=VALUE` of a command line. @throws AtomicError `usage` */
export function parseLimitOption(option: string): LimitValues {
  const equals = option.indexOf('=');
  if (equals === -1) {
    throw new AtomicError('usage', `--limit takes NAME=VALUE, and ${JSON.stringify(option)} has no "="`, {
      hint: `Limits are ${LIMIT_NAMES.join(', ')}.`,
    });
  }
  return parseLimit(option.slice(0, equals), option.slice(equals + 1), '--limit', 'usage');
}

function isLimitName(name: string): name is LimitName {
  return Object.hasOwn(LIMITS, name);
}

function parseNumber(text: string, unit: 'bytes' | 'count'): number | undefined {
  const match = /^([0-9]{1,15})(?:([KMGT])(?:iB)?)?$/.exec(text);
  const [, digits = '', suffix = ''] = match ?? [];
  if (match === null || (suffix !== '' && unit === 'count')) return undefined;
  const value = Number(digits) * (SUFFIXES.get(suffix) ?? 1);
  return value >= 1 ? value : undefined;
}

function parseSwitch(text: string): number | undefined {
  return text === 'check' ? 1 : text === 'ignore' ? 0 : undefined;
}
