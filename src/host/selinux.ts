import { existsSync } from 'node:fs';
import { toolMissing } from './exec/failure.ts';
import type { Exec, Selinux } from './ports.ts';

/** Is there when SELinux is on, enforcing or permissive: selinux(8). */
const SWITCH = '/sys/fs/selinux/enforce';

/** SELinux by its own programs: the labels are the loaded policy's, whatever that is. */
export function createSelinux(exec: Exec, isOn: boolean = existsSync(SWITCH)): Selinux {
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
  };
}
