import { findContainer } from '../../app/containers.ts';
import type { App } from '../../app/context.ts';
import { repairDrift, type DriftRepair } from '../../app/drift/repair-drift.ts';
import { describeRecovery, type Subject } from '../../app/recover.ts';
import { repair, type RepairOutcome } from '../../app/repair.ts';
import { describeLost } from '../../app/sync-imports.ts';
import { parseContainerName, type ContainerName } from '../../container/name.ts';
import { isAtomicError } from '../../errors.ts';
import { EXIT } from '../exit-codes.ts';
import { openAppAsIs, readAccess, settleMs, type CommandContext, type RegistryFlags } from './context.ts';

interface RepairFlags extends RegistryFlags {
  readonly settle?: number;
  readonly dryRun?: boolean;
}

/** What was cut off, and for a container by name what has drifted. */
interface Repaired extends RepairOutcome {
  readonly drift: DriftRepair | undefined;
}

/** Fails when there is something that it could not put right; what a living process is at needs no repair. */
export async function runRepair(
  context: CommandContext,
  name: string | undefined,
  flags: RepairFlags,
): Promise<number> {
  const only = name === undefined ? undefined : parseContainerName(name);
  const app = await openAppAsIs(context);
  const outcome = await repair(app, only);
  const repaired =
    only === undefined ? { ...outcome, drift: undefined } : await withDrift(app, only, outcome, flags);
  context.output.result(toDocument(repaired), toLines(repaired, flags.dryRun === true));
  for (const { error } of repaired.failed) context.output.error(error);
  return repaired.failed.length === 0 ? EXIT.ok : EXIT.failed;
}

/** A container is judged once nothing of it is open any more, and when there still is one of that name. */
async function withDrift(
  app: App,
  name: ContainerName,
  outcome: RepairOutcome,
  flags: RepairFlags,
): Promise<Repaired> {
  const isOpen = outcome.busy.length > 0 || outcome.failed.length > 0;
  if (isOpen || (await findContainer(app, name)) === undefined) return { ...outcome, drift: undefined };
  try {
    const drift = await repairDrift(app, {
      name,
      dryRun: flags.dryRun === true,
      settleMs: settleMs(flags.settle),
      access: readAccess(flags),
    });
    return { ...outcome, drift };
  } catch (error) {
    if (!isAtomicError(error) || error.code === 'interrupted') throw error;
    return { ...outcome, drift: undefined, failed: [...outcome.failed, { subject: name, error }] };
  }
}

/** `container` is null for the image store. */
function toDocument({ repaired, lost, removed, busy, failed, drift }: Repaired) {
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
    drift: drift === undefined ? null : { steps: drift.steps, kept: drift.kept },
  };
}

function toLines({ repaired, lost, removed, busy, failed, drift }: Repaired, dryRun: boolean): string[] {
  const lines = [
    ...repaired.map(describeRecovery),
    ...(lost.length === 0 ? [] : [describeLost(lost)]),
    ...removed.map((path) => `Removed ${path}`),
    ...busy.map(({ message }) => message),
    ...driftLines(drift, dryRun),
  ];
  return lines.length === 0 && failed.length === 0 ? ['There is nothing to repair.'] : lines;
}

function driftLines(drift: DriftRepair | undefined, dryRun: boolean): string[] {
  if (drift === undefined || drift.steps.length === 0) return [];
  if (dryRun) return [...drift.steps, '', 'Nothing was changed.'];
  return [`${drift.name} is what was recorded again.`];
}
