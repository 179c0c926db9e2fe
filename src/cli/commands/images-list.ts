import { describeImages, type ListedImage } from '../../app/list-images.ts';
import { formatTable } from '../output/table.ts';
import { openApp, type CommandContext } from './context.ts';

interface TableFlags {
  readonly noheading?: boolean;
  readonly trunc: boolean;
  readonly quiet?: boolean;
}

interface ImagesListFlags extends TableFlags {
  readonly all?: boolean;
  readonly filter: readonly string[];
}

/** As many characters of an id as are shown, and as find an image again. */
const ID_CHARACTERS = 12;

export async function runImagesList(context: CommandContext, flags: ImagesListFlags): Promise<void> {
  const images = await describeImages(await openApp(context), {
    all: flags.all === true,
    filters: flags.filter,
  });
  // `--quiet` is read by the program, `-q` by the command: atomic knew both here.
  const quiet = flags.quiet === true || context.output.options.quiet;
  context.output.result(images.map(toDocument), formatImages(images, { ...flags, quiet }));
}

/** atomic's keys in atomic's order; nothing is scanned for vulnerabilities. */
export function toDocument({ repo, tag, isDangling, used, id, created, virtualSize, backend }: ListedImage) {
  return {
    repo,
    tag,
    is_dangling: isDangling,
    used,
    vulnerable: false,
    id,
    type: 'image',
    created,
    virtual_size: virtualSize,
    backend,
    vuln_info: {},
  };
}

/** The table, or the ids. */
export function formatImages(images: readonly ListedImage[], flags: TableFlags): string[] {
  const shownId = (id: string): string => (flags.trunc ? id.slice(0, ID_CHARACTERS) : id);
  if (flags.quiet === true) return images.map(({ id }) => shownId(id));
  const columns = [
    { heading: '', width: 2 },
    { heading: 'REPOSITORY', width: 10, margin: 2 },
    { heading: 'TAG', width: 3, margin: 2 },
    { heading: 'IMAGE ID', width: 14, margin: 1 },
    { heading: 'CREATED', width: 18 },
    { heading: 'VIRTUAL SIZE', width: 14 },
    { heading: 'TYPE', width: 10 },
  ];
  const rows = images.map(({ repo, tag, isDangling, used, id, created, virtualSize, backend }) => [
    isDangling ? '*' : used ? '>' : '',
    repo,
    tag,
    shownId(id),
    created.slice(0, 'YYYY-MM-DD HH:MM'.length),
    virtualSize,
    backend,
  ]);
  return formatTable(columns, rows, { heading: flags.noheading !== true });
}
