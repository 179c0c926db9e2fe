import { listImageVersions, readImageVersion, type ImageVersion } from '../../app/image-versions.ts';
import type { InspectedKind } from '../../app/inspected.ts';
import { formatTable } from '../output/table.ts';
import { openApp, requireOstree, type CommandContext } from './context.ts';

interface VersionFlags {
  readonly storage?: string;
}

const ID_CHARACTERS = 12;

/** `images version`: of an image, or of all. */
export function runImagesVersion(
  context: CommandContext,
  text: string | undefined,
  flags: VersionFlags,
): Promise<void> {
  return show(context, text, 'image', flags);
}

/** `version`: the same, and of a container's image. */
export function runVersion(
  context: CommandContext,
  text: string | undefined,
  flags: VersionFlags,
): Promise<void> {
  return show(context, text, 'any', flags);
}

async function show(
  context: CommandContext,
  text: string | undefined,
  kind: InspectedKind,
  flags: VersionFlags,
): Promise<void> {
  requireOstree(flags.storage);
  const app = await openApp(context);
  const versions =
    text === undefined ? await listImageVersions(app) : [await readImageVersion(app, text, kind)];
  context.output.result(versions, formatVersions(versions));
}

/** As atomic printed it: the name's column is wider than any name, and an empty line follows. */
export function formatVersions(versions: readonly ImageVersion[]): string[] {
  const columns = [
    { heading: 'IMAGE NAME', width: 12, margin: 9 },
    { heading: 'VERSION', width: 9 },
    { heading: 'IMAGE ID', width: 10 },
  ];
  const rows = versions.map(({ name, version, id }) => [name, version, id.slice(0, ID_CHARACTERS)]);
  // The heading's cells do not grow with the ids, as in atomic.
  const [heading = '', ...lines] = formatTable(columns, rows, { heading: true });
  return [heading.replace(/ +$/, '  '), ...lines, ''];
}
