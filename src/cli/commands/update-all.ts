import { updateAll, type UpdateResult } from '../../app/update-all.ts';
import type { UpdateOutcome } from '../../app/update.ts';
import { AtomicError } from '../../errors.ts';
import { EXIT } from '../exit-codes.ts';
import { formatTable } from '../output/table.ts';
import { openApp, readAccess, readHealth, settleMs, type CommandContext } from './context.ts';
import type { UpdateFlags } from './update.ts';

/** Ends with 4 when services did not come up and nothing else went wrong, with 1 when something did. */
export async function runUpdateAll(context: CommandContext, flags: UpdateFlags): Promise<number> {
  if (flags.set.length > 0 || flags.rebase !== undefined) {
    throw incompatible("--all doesn't support --set or --rebase");
  }
  if (flags.dryRun === true || flags.display === true) {
    throw incompatible("--all doesn't support --dry-run: preview the containers one by one");
  }
  const { output } = context;
  const results = await updateAll(
    await openApp(context),
    {
      pull: flags.pull === true,
      settleMs: settleMs(flags.settle),
      health: readHealth(flags),
      dryRun: false,
      force: flags.force === true,
      access: readAccess(flags),
    },
    (outcome) => tell(context, outcome),
  );
  output.result(results.map(toDocument), ['', 'SUMMARY', '', ...formatSummary(results)]);
  const failures = results.flatMap(({ error }) => (error === undefined ? [] : [error]));
  if (failures.length === 0) return EXIT.ok;
  return failures.every(({ code }) => code === 'update-failed') ? EXIT.updateFailed : EXIT.failed;
}

/** @throws AtomicError `usage` */
export function incompatible(why: string): AtomicError {
  return new AtomicError('usage', `Incompatible options specified.  ${why}`);
}

function tell({ output }: CommandContext, outcome: UpdateOutcome | AtomicError): void {
  if (outcome instanceof AtomicError) output.error(outcome);
  else if (outcome.kind === 'unchanged' && !output.options.json) {
    output.line('Latest version already installed.');
  }
}

function toDocument({ name, before, after, latest, status, error }: UpdateResult) {
  return {
    name,
    before,
    after,
    latest: latest ?? null,
    status,
    error: error === undefined ? null : { code: error.code, message: error.message },
  };
}

/** As atomic prints it: ids and names are cut. */
export function formatSummary(results: readonly UpdateResult[]): string[] {
  const column = (heading: string, width: number) => ({ heading, width, cut: true });
  const columns = [
    column('Container', 15),
    column('Image ID before update', 32),
    column('Image ID after update', 32),
    column('Latest image ID', 32),
    column('Status', 15),
  ];
  const rows = results.map(({ name, before, after, latest, status }) => [
    name,
    before,
    after,
    latest ?? '<NOT FOUND>',
    status,
  ]);
  return formatTable(columns, rows, { heading: true });
}
