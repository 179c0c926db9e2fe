/**
 * Carries out a plan on real files, with services that do nothing: what test/integration/durability.test.ts looks at
 * through strace. Arguments: the plan's file, the folder of journals, and `fail` for one whose service does not start.
 */
import { readFileSync } from 'node:fs';
import process from 'node:process';
import { createExec } from '../../src/host/exec.ts';
import { createFiles } from '../../src/host/files.ts';
import { applyPlan } from '../../src/transaction/apply.ts';
import type { Plan } from '../../src/transaction/plan.ts';

const [planFile = '', journals = '', mode] = process.argv.slice(2);
const plan = JSON.parse(readFileSync(planFile, 'utf8')) as Plan;
const done = (): Promise<void> => Promise.resolve();

try {
  await applyPlan(plan, journals, {
    files: createFiles(createExec()),
    services: {
      daemonReload: done,
      enable: done,
      disable: done,
      disableNow: done,
      start: done,
      stop: done,
      resetFailed: done,
      state: () => Promise.resolve({ active: false, enabled: false }),
      waitSettled: () =>
        Promise.resolve(mode === 'fail' ? { ok: false, reason: 'x', journal: '' } : { ok: true }),
      tmpfilesCreate: done,
      tmpfilesRemove: done,
    },
    containers: { exists: () => Promise.resolve(false), remove: done, run: done },
    store: { collectGarbage: done },
    packages: {
      installed: () => Promise.resolve(undefined),
      upgrade: done,
      erase: done,
      listAltered: () => Promise.resolve([]),
      database: () => Promise.resolve('/'),
    },
    report: () => undefined,
    signal: new AbortController().signal,
  });
} catch (error) {
  if (mode !== 'fail') throw error;
}
