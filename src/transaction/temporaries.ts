import { basename, dirname, join } from 'node:path';
import type { HostFiles } from '../host/ports.ts';
import type { OpenJournal } from './journal.ts';
import type { Step } from './plan.ts';

/**
 * Removes the files that a process was writing beside their places when it died: see host/files/replace.ts. A journal
 * tells where to look, its own folder included.
 */
export async function removeTemporaries({ path, plan }: OpenJournal, files: HostFiles): Promise<void> {
  for (const written of [path, ...plan.steps.flatMap(writtenPaths)]) {
    for (const name of await files.list(dirname(written))) {
      if (isTemporaryOf(name, written)) await files.remove(join(dirname(written), name));
    }
  }
}

/** The files and links that a step, or its way back, puts in place. */
function writtenPaths(step: Step): string[] {
  switch (step.kind) {
    case 'create-file':
    case 'replace-file':
    case 'remove-file':
    case 'switch-link':
    case 'remove-ref':
      return [step.path];
    case 'create-host-file':
      return [step.file.path];
    default:
      return [];
  }
}

function isTemporaryOf(name: string, path: string): boolean {
  const start = `.${basename(path).slice(0, 32)}.`;
  return name.startsWith(start) && /^[0-9a-f]{12}\.atomic-new$/.test(name.slice(start.length));
}
