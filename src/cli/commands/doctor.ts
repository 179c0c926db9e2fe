import { diagnose, type Check } from '../../app/diagnose.ts';
import { EXIT } from '../exit-codes.ts';
import { openApp, type CommandContext } from './context.ts';

/** Fails when an install would. */
export async function runDoctor(context: CommandContext): Promise<number> {
  const app = await openApp(context);
  const { gatherHostFacts } = await import('../wiring.ts');
  const host = await gatherHostFacts(app);
  const checks = await diagnose(app, host);
  context.output.result({ checks, host }, formatChecks(checks));
  return checks.some(({ status }) => status === 'problem') ? EXIT.failed : EXIT.ok;
}

/** A line for each check, and what to do on the next; a verdict at the end. */
export function formatChecks(checks: readonly Check[]): string[] {
  const nameWidth = Math.max(...checks.map(({ name }) => name.length));
  const indent = ' '.repeat('problem  '.length + nameWidth + 2);
  const problems = checks.filter(({ status }) => status === 'problem').length;
  return [
    ...checks.flatMap(({ name, status, found, advice }) => [
      `${status.padEnd('problem'.length)}  ${name.padEnd(nameWidth)}  ${found}`,
      ...(advice === '' ? [] : [`${indent}${advice}`]),
    ]),
    '',
    problems === 0
      ? 'System containers can be installed on this host.'
      : `${problems} ${problems === 1 ? 'problem has' : 'problems have'} to be solved before a container can be installed.`,
  ];
}
