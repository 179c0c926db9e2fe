import { deleteContainers, findDoomedContainers, type DoomedContainer } from '../../app/delete-containers.ts';
import { parseContainerName } from '../../container/name.ts';
import { AtomicError } from '../../errors.ts';
import { EXIT } from '../exit-codes.ts';
import { confirm, requireConfirmed } from '../output/confirm.ts';
import { formatTable } from '../output/table.ts';
import { openApp, requireOstree, type CommandContext } from './context.ts';

interface ContainersDeleteFlags {
  readonly all?: boolean;
  readonly force?: boolean;
  readonly storage?: string;
}

/** Ends with 1 when one of them could not be deleted, or nobody said yes. */
export async function runContainersDelete(
  context: CommandContext,
  names: readonly string[],
  flags: ContainersDeleteFlags,
): Promise<number> {
  requireOstree(flags.storage);
  const { output, assumeYes } = context;
  const all = flags.all === true;
  if (all !== (names.length === 0)) {
    throw new AtomicError('usage', 'You must select --all or provide a list of containers to delete.');
  }
  requireConfirmed(context.command, assumeYes, output.options.json);
  const app = await openApp(context);
  const doomed = await findDoomedContainers(app, all ? 'all' : names.map(parseContainerName));
  if (doomed.length > 0 && !output.options.json) {
    const heading = assumeYes
      ? 'The following containers will be deleted.'
      : 'Do you wish to delete the following containers?';
    for (const line of [heading, '', ...formatDoomed(doomed)]) output.line(line);
  }
  if (!assumeYes && doomed.length > 0) {
    output.line('');
    if (!(await confirm('Confirm (y/N) ', app.signal))) {
      output.line('Nothing was deleted.');
      return EXIT.failed;
    }
  }
  const { deleted, failed } = await deleteContainers(app, doomed, flags.force === true, (error) =>
    output.error(error),
  );
  output.result(
    {
      deleted,
      failed: failed.map(({ name, error }) => ({ name, code: error.code, message: error.message })),
    },
    doomed.length === 0 ? ['There is no container to delete.'] : [],
  );
  return failed.length === 0 ? EXIT.ok : EXIT.failed;
}

/** As atomic prints it; names are not cut, since they are what is agreed to. */
export function formatDoomed(doomed: readonly DoomedContainer[]): string[] {
  const columns = [
    { heading: '', width: 2 },
    { heading: 'ID', width: 12 },
    { heading: 'NAME', width: 20 },
    { heading: 'IMAGE_NAME', width: 25 },
    { heading: 'STORAGE', width: 10 },
  ];
  const rows = doomed.map(({ name, image }) => ['', name, name, image, 'ostree']);
  return formatTable(columns, rows, { heading: true });
}
