import { diagnose, type Check } from '../../app/diagnose.ts';
import { diagnoseContainers } from '../../app/drift/diagnose-containers.ts';
import { EXIT } from '../exit-codes.ts';
import { openApp, type CommandContext } from './context.ts';

interface DoctorFlags {
  readonly rootfs: boolean;
}

/** Fails when an install would; ends with EXIT.drift when only containers are not what was recorded. */
export async function runDoctor(context: CommandContext, flags: DoctorFlags): Promise<number> {
  const app = await openApp(context);
  const { gatherHostFacts } = await import('../wiring.ts');
  const host = await gatherHostFacts(app);
  const checks = [...(await diagnose(app, host)), ...(await diagnoseContainers(app, flags))];
  context.output.result({ checks, host }, formatChecks(checks));
  if (checks.some(({ status }) => status === 'problem')) return EXIT.failed;
  return checks.some(({ status }) => status === 'drift') ? EXIT.drift : EXIT.ok;
}

/** A line for each check, and what to do on the next; a verdict at the end. */
export function formatChecks(checks: readonly Check[]): string[] {
  const nameWidth = Math.max(...checks.map(({ name }) => name.length));
  const indent = ' '.repeat('problem  '.length + nameWidth + 2);
  const problems = checks.filter(({ status }) => status === 'problem').length;
  const drifted = checks.filter(({ status }) => status === 'drift').length;
  return [
    ...checks.flatMap(({ name, status, found, advice }) => [
      `${status.padEnd('problem'.length)}  ${name.padEnd(nameWidth)}  ${found}`,
      ...(advice === '' ? [] : [`${indent}${advice}`]),
    ]),
    '',
    problems === 0
      ? 'System containers can be installed on this host.'
      : `${problems} ${problems === 1 ? 'problem has' : 'problems have'} to be solved before a container can be installed.`,
    ...(drifted === 0
      ? []
      : [`${drifted} ${drifted === 1 ? 'container is' : 'containers are'} not what was recorded.`]),
  ];
}
