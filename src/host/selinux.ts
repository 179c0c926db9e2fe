import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AtomicError } from '../errors.ts';
import { toolMissing } from './exec/failure.ts';
import type { Exec, Selinux } from './ports.ts';

/** Is there when SELinux is on, enforcing or permissive: selinux(8). */
const SWITCH = '/sys/fs/selinux/enforce';
/** Holds `config` and a folder for each policy: selinux_config(5). */
const CONFIGURATION = '/etc/selinux';

/** SELinux by its own programs: the labels are the loaded policy's, whatever that is. */
export function createSelinux(
  exec: Exec,
  isOn: boolean = existsSync(SWITCH),
  configuration = CONFIGURATION,
): Selinux {
  return {
    isOn,
    async requireTools() {
      for (const program of isOn ? ['restorecon', 'matchpathcon'] : [])
        if ((await exec.find(program)) === undefined) throw toolMissing(program);
    },
    async restoreLabels(paths) {
      // Only the type is set, as for whoever runs it by hand: user and role are the administrator's.
      if (isOn && paths.length > 0) await exec.run('restorecon', ['--', ...paths]);
    },
    async hasLabelFor(file, place) {
      if (!isOn) return true;
      const found = await exec.run('stat', ['--format=%C', '--', file]);
      const wanted = await exec.run('matchpathcon', ['-n', '-m', 'file', place]);
      return found.stdout.trim() === wanted.stdout.trim();
    },
    sharedLabel: async () => (isOn ? readSharedLabel(configuration) : undefined),
  };
}

/** `file = "LABEL"` in the policy's lxc_contexts, which is where atomic and Docker look. */
async function readSharedLabel(configuration: string): Promise<string> {
  const config = await readFile(join(configuration, 'config'), 'utf8').catch(() => '');
  const policy = /^SELINUXTYPE=([\w-]+)\s*$/m.exec(config)?.[1] ?? 'targeted';
  const path = join(configuration, policy, 'contexts/lxc_contexts');
  const contexts = await readFile(path, 'utf8').catch(() => '');
  const label = /^file\s*=\s*"([\w.:,-]+)"\s*$/m.exec(contexts)?.[1];
  if (label !== undefined) return label;
  throw new AtomicError('host-file', `${path} does not name a label for files that containers share`, {
    hint: 'Install the policy for containers (container-selinux), or mount without --shared.',
  });
}
