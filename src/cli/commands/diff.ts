import { diff, type DiffOutcome } from '../../app/diff/diff.ts';
import type { RpmTree } from '../../app/diff/rpm-packages.ts';
import { AtomicError } from '../../errors.ts';
import { escapeLine } from '../../escape.ts';
import { openApp, type CommandContext } from './context.ts';

interface DiffFlags {
  readonly metadata?: boolean;
  readonly keywords?: readonly string[];
  /** False for --no-files. */
  readonly files: boolean;
  readonly namesOnly?: boolean;
  readonly rpms?: boolean;
  readonly verbose?: boolean;
}

type ShownFlags = Pick<DiffFlags, 'verbose' | 'namesOnly'>;

const INDENT = ' '.repeat(5);
/** Columns of packages are no narrower. */
const COLUMN = 30;

/** Ends with 0 also when they differ, as atomic did: the answer is what is printed. */
export async function runDiff(
  context: CommandContext,
  first: string,
  second: string,
  flags: DiffFlags,
): Promise<void> {
  const { files, keywords, rpms = false, metadata = false, namesOnly = false } = flags;
  if (!files && !rpms && !metadata) {
    const sentence = 'When repressing a file diff, you must choose to diff RPMs (-r) or metadata (-m)';
    throw new AtomicError('usage', sentence);
  }
  const outcome = await diff(await openApp(context), {
    names: [first, second],
    files,
    keywords: keywords?.includes('all') === true ? undefined : keywords,
    rpms,
    namesOnly,
    metadata,
  });
  context.output.result(toDiffDocument(outcome), formatDiff(outcome, flags));
}

/** atomic's keys: a name's own things below the name, and what files of both differ in. */
export function toDiffDocument({ names, files, rpms, metadata }: DiffOutcome): Record<string, unknown> {
  const sides = names.map((name, i): [string, unknown] => [
    name,
    {
      ...(files === undefined ? {} : { unique_files: files.unique[i] }),
      ...(rpms === undefined ? {} : rpmDocument(rpms, i)),
      ...(metadata === undefined ? {} : { unique_metadata: metadata[i] }),
    },
  ]);
  return Object.fromEntries([
    ...sides,
    ...(files === undefined ? [] : [['files_differ', files.changed] as const]),
  ]);
}

function rpmDocument(rpms: readonly [RpmTree, RpmTree], which: number): Record<string, unknown> {
  const [own, other] = which === 0 ? rpms : [rpms[1], rpms[0]];
  const there = new Set(other.packages);
  return {
    release: own.release,
    all_rpms: own.packages,
    unique_rpms: own.packages.filter((name) => !there.has(name)),
    common_rpms: own.packages.filter((name) => there.has(name)),
  };
}

/** As atomic printed it, empty lines included. */
export function formatDiff({ names, files, rpms, metadata }: DiffOutcome, flags: ShownFlags): string[] {
  return [
    ...(files === undefined ? [] : formatFiles(names, files)),
    ...(rpms === undefined ? [] : formatRpms(names, rpms, flags)),
    ...(metadata === undefined ? [] : formatMetadata(names, metadata)),
  ];
}

function formatFiles(
  [first, second]: DiffOutcome['names'],
  { unique, changed }: NonNullable<DiffOutcome['files']>,
): string[] {
  const indent = (text: string): string => `${INDENT}${escapeLine(text)}`;
  const section = (heading: string, lines: readonly string[]): string[] =>
    lines.length === 0 ? [] : ['', heading, ...lines.map(indent)];
  const lines = [
    ...section(`Files only in ${first}:`, unique[0]),
    ...section(`Files only in ${second}:`, unique[1]),
    ...section(
      'Common files that are different: (reason)',
      changed.map(({ path, reasons }) => `${path} (${reasons.join(' ')})`),
    ),
  ];
  const none = ['', `There are no file differences between ${first} and ${second}`];
  return [...(lines.length === 0 ? none : lines), '', ''];
}

function formatRpms(
  [first, second]: DiffOutcome['names'],
  [one, other]: readonly [RpmTree, RpmTree],
  { verbose = false, namesOnly = false }: ShownFlags,
): string[] {
  const [here, there] = [new Set(one.packages), new Set(other.packages)];
  const all = [...new Set([...one.packages, ...other.packages])].sort();
  if (all.every((name) => here.has(name) && there.has(name))) {
    const same = namesOnly
      ? `${first} and ${second} has the same RPMs.  Versions may differ.  Remove --names-only to see if there are version differences.`
      : `${first} and ${second} have no different RPMs`;
    return ['', same];
  }
  const width = Math.max(COLUMN, ...all.map((name) => escapeLine(name).length));
  const row = (left: string, right: string): string =>
    `${escapeLine(left).padEnd(width)} | ${escapeLine(right).padEnd(width)}`;
  const rule = row('-'.repeat(width), '-'.repeat(width));
  const releases = [one, other].map(({ release }) => pieces(release, width - 2));
  const shown = verbose ? all : all.filter((name) => !here.has(name) || !there.has(name));
  return [
    '',
    row(first, second),
    rule,
    ...Array.from({ length: Math.max(...releases.map(({ length }) => length)) }, (_line, i) =>
      row(releases[0]?.[i] ?? '', releases[1]?.[i] ?? ''),
    ),
    rule,
    ...shown.map((name) => row(here.has(name) ? name : '', there.has(name) ? name : '')),
  ];
}

function pieces(text: string, width: number): string[] {
  return Array.from({ length: Math.ceil(text.length / width) }, (_piece, i) =>
    text.slice(i * width, (i + 1) * width),
  );
}

function formatMetadata(
  names: DiffOutcome['names'],
  metadata: NonNullable<DiffOutcome['metadata']>,
): string[] {
  if (metadata.every((document) => Object.keys(document).length === 0))
    return ['', `${names[0]} and ${names[1]} have no differences in their metadata`];
  return names.flatMap((name, i) => [
    '',
    `Metadata only in ${name}:`,
    ...JSON.stringify(metadata[i], undefined, 4).split('\n'),
  ]);
}
