import { readImageInfo, type ContainerValues, type ImageInfo } from '../../app/image-info.ts';
import type { InspectedKind } from '../../app/inspected.ts';
import type { ValueSource } from '../../container/variables.ts';
import { AtomicError } from '../../errors.ts';
import { escapeLine } from '../../escape.ts';
import { formatTable } from '../output/table.ts';
import { openApp, readAccess, requireOstree, type CommandContext, type RegistryFlags } from './context.ts';

interface InfoFlags extends RegistryFlags {
  readonly remote?: boolean;
  readonly variables?: boolean;
  readonly container?: boolean;
  readonly trunc: boolean;
  readonly storage?: string;
}

/** atomic's words for a value that an installation gives, and for one that has to be set. */
const SET_BY_OS = '{SET_BY_OS}';
const TO_BE_SET = '{DEF_VALUE}';
const VALUE_WIDTH = 48;

/** `images info`: an image only. */
export async function runImagesInfo(context: CommandContext, text: string, flags: InfoFlags): Promise<void> {
  await show(context, text, 'image', flags);
}

/** `info`: an image, or a container by its name. */
export async function runInfo(context: CommandContext, text: string, flags: InfoFlags): Promise<void> {
  await show(context, text, flags.container === true ? 'container' : 'any', flags);
}

async function show(
  context: CommandContext,
  text: string,
  kind: InspectedKind,
  flags: InfoFlags,
): Promise<void> {
  requireOstree(flags.storage);
  const { remote = false, variables = false } = flags;
  if (remote && (variables || kind === 'container')) {
    throw new AtomicError(
      'usage',
      `--remote cannot be given together with ${variables ? '--variables' : '--container'}: both need what is on this host`,
    );
  }
  const info = await readImageInfo(await openApp(context), { text, kind, remote, access: readAccess(flags) });
  context.output.result(toDocument(info), variables ? formatVariables(info, flags) : formatInfo(info));
}

export function toDocument({ imageName, digest, labels, variables, container }: ImageInfo) {
  return {
    imageName,
    digest: digest ?? null,
    labels: labels ?? null,
    variables:
      variables?.map(({ name, value, source, usedIn }) => ({
        name,
        default: value ?? null,
        source: source ?? null,
        mustBeSet: source === undefined,
        usedIn,
      })) ?? null,
    container:
      container === undefined
        ? null
        : {
            name: container.name,
            values: container.values.map(({ name, value, source }) => ({
              name,
              value,
              source: source ?? null,
            })),
          },
  };
}

/** As atomic printed it; a container's values stand in place of its image's defaults. */
export function formatInfo({ imageName, labels = {}, variables, container }: ImageInfo): string[] {
  const line = (key: string, value: string): string => `${escapeLine(key)}: ${escapeLine(value)}`;
  const section = (heading: string, lines: readonly string[]): string[] =>
    lines.length === 0 ? [] : ['', '', heading, ...lines];
  const head = [
    line('Image Name', imageName),
    ...Object.entries(labels)
      .map(([key, value]) => line(key, value))
      .sort(),
  ];
  if (container !== undefined) {
    const values = container.values.map(({ name, value, source }) =>
      line(name, `${value} (${source ?? 'not recorded'})`),
    );
    return [
      ...head,
      ...section(`Values of the container ${container.name}, and where each is from:`, values),
      '',
    ];
  }
  const of = (set: boolean): NonNullable<ImageInfo['variables']> =>
    (variables ?? []).filter(({ source }) => source !== 'forced' && (source !== undefined) === set);
  return [
    ...head,
    ...section(
      'Template variables with default value, but overridable with --set:',
      of(true).map(({ name, value, source }) =>
        line(name, source === 'manifest' && value !== undefined ? value : SET_BY_OS),
      ),
    ),
    ...section(
      'Template variables that has no default value, and must be set with --set:',
      of(false).map(({ name }) => line(name, TO_BE_SET)),
    ),
    '',
  ];
}

const SOURCES: Readonly<Record<ValueSource, string>> = {
  forced: 'always filled in',
  set: '--set',
  host: 'this host',
  manifest: "the image's manifest.json",
  generated: 'drawn once',
};

/** A table: of an image's variables with what they are without --set, or of a container's with what they are. */
export function formatVariables(
  { variables = [], container }: ImageInfo,
  { trunc }: Pick<InfoFlags, 'trunc'>,
): string[] {
  return container === undefined ? formatDefaults(variables, trunc) : formatValues(container, trunc);
}

function formatDefaults(variables: NonNullable<ImageInfo['variables']>, trunc: boolean): string[] {
  const rows = variables.map(({ name, value, source, usedIn }) => [
    name,
    shorten(value ?? (source === undefined ? '' : SET_BY_OS), trunc),
    source === undefined ? 'must be set' : SOURCES[source],
    usedIn.join(', '),
  ]);
  return table(['VARIABLE', 'DEFAULT', 'FROM', 'USED IN'], rows);
}

function formatValues({ values }: ContainerValues, trunc: boolean): string[] {
  const rows = values.map(({ name, value, source }) => [
    name,
    shorten(String(value), trunc),
    source === undefined ? 'not recorded' : SOURCES[source],
  ]);
  return table(['VARIABLE', 'VALUE', 'FROM'], rows);
}

function table(headings: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const columns = headings.map((heading) => ({ heading, width: heading.length + 1, margin: 1 }));
  return formatTable(columns, rows, { heading: true }).map((line) => line.trimEnd());
}

/** ALL_PROCESS_CAPABILITIES has forty lines. */
function shorten(value: string, trunc: boolean): string {
  const line = value.trim().replace(/\s*\n\s*/g, ' ');
  const characters = Array.from(line);
  if (!trunc || characters.length <= VALUE_WIDTH) return line;
  return `${characters.slice(0, VALUE_WIDTH - 1).join('')}…`;
}
