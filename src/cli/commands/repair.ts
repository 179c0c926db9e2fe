import { describeRecovery, type Subject } from '../../app/recover.ts';
import { repair, type RepairOutcome } from '../../app/repair.ts';
import { describeLost } from '../../app/sync-imports.ts';
import { parseContainerName } from '../../container/name.ts';
import { EXIT } from '../exit-codes.ts';
import { openAppAsIs, type CommandContext } from './context.ts';

/** Fails when there is something that it could not put right; what a living process is at needs no repair. */
export async function runRepair(context: CommandContext, name: string | undefined): Promise<number> {
  const only = name === undefined ? undefined : parseContainerName(name);
  const outcome = await repair(await openAppAsIs(context), only);
  context.output.result(toDocument(outcome), toLines(outcome));
  for (const { error } of outcome.failed) context.output.error(error);
  return outcome.failed.length === 0 ? EXIT.ok : EXIT.failed;
}

/** `container` is null for the image store. */
function toDocument({ repaired, lost, removed, busy, failed }: RepairOutcome) {
  const container = (subject: Subject | string): string | null => subject ?? null;
  return {
    repaired: repaired.map(({ plan, pid, outcome }) => ({
      container: container(plan.container),
      action: plan.action,
      pid,
      outcome,
    })),
    lost,
    removed,
    busy: busy.map(({ subject, message }) => ({ container: container(subject), message })),
    failed: failed.map(({ subject, error: { code, message } }) => ({
      container: container(subject),
      code,
      message,
    })),
  };
}

function toLines({ repaired, lost, removed, busy, failed }: RepairOutcome): string[] {
  const lines = [
    ...repaired.map(describeRecovery),
    ...(lost.length === 0 ? [] : [describeLost(lost)]),
    ...removed.map((path) => `Removed ${path}`),
    ...busy.map(({ message }) => message),
  ];
  return lines.length === 0 && failed.length === 0 ? ['There is nothing to repair.'] : lines;
}
