import { describeContainers, type ListedContainer } from '../../app/list-containers.ts';
import { formatTable, type Column } from '../output/table.ts';
import { openApp, type CommandContext } from './context.ts';

interface TableFlags {
  readonly noheading?: boolean;
  readonly trunc: boolean;
  readonly quiet?: boolean;
}

interface ContainersListFlags extends TableFlags {
  readonly all?: boolean;
  readonly filter: readonly string[];
}

export async function runContainersList(context: CommandContext, flags: ContainersListFlags): Promise<void> {
  const containers = await describeContainers(await openApp(context), {
    all: flags.all === true,
    filters: flags.filter,
  });
  // `--quiet` is read by the program, `-q` by the command: atomic knew both here.
  const quiet = flags.quiet === true || context.output.options.quiet;
  context.output.result(containers.map(toDocument), formatContainers(containers, { ...flags, quiet }));
}

/** atomic's keys in atomic's order, then ours. */
export function toDocument({
  id,
  imageId,
  imageName,
  command,
  created,
  state,
  backend,
  runtime,
  failedUpdate,
}: ListedContainer) {
  return {
    id,
    image_id: imageId,
    image_name: imageName,
    name: id,
    command,
    created,
    state,
    backend,
    runtime,
    vulnerable: false,
    running: state === 'running',
    // Ours, behind atomic's.
    failed_update: failedUpdate ?? null,
  };
}

/** The table, or the ids. */
export function formatContainers(containers: readonly ListedContainer[], flags: TableFlags): string[] {
  // Whole: a name that is cut names nothing.
  if (flags.quiet === true) return containers.map(({ id }) => id);
  // atomic prints no heading over nothing here, and one in `images list`.
  if (containers.length === 0) return [];
  const column = (heading: string, width: number): Column => ({ heading, width, cut: flags.trunc });
  const columns = [
    // Where atomic marked containers that its scanner found vulnerable; we mark those whose last update failed.
    column('', 2),
    column('CONTAINER ID', 12),
    column('IMAGE', 20),
    column('NAME', 10),
    column('COMMAND', 10),
    column('CREATED', 16),
    column('STATE', 10),
    column('BACKEND', 10),
    column('RUNTIME', 10),
  ];
  const rows = containers.map(
    ({ id, imageName, command, created, state, backend, runtime, failedUpdate }) => [
      failedUpdate === undefined ? '' : '!',
      id,
      imageName,
      id,
      command,
      created.slice(0, 'YYYY-MM-DD HH:MM'.length),
      state,
      backend,
      runtime,
    ],
  );
  return [...formatTable(columns, rows, { heading: flags.noheading !== true }), ...explainMarks(containers)];
}

/** What a mark stands for; a table without marks has no line below it. */
function explainMarks(containers: readonly ListedContainer[]): string[] {
  return containers.flatMap(({ id, failedUpdate }) =>
    failedUpdate === undefined
      ? []
      : [`! The last update of ${id}, to ${failedUpdate.image}, did not start: see ${failedUpdate.path}`],
  );
}
