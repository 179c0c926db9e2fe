/** Signals that hit the program at a chosen moment: when it runs another program. */
import type { ExecOptions } from '../../host/host.ts';
import type { Stage } from './stage.ts';

export interface Fault {
  readonly signal: 'INT' | 'TERM' | 'KILL';
  /** `systemctl start`: the program and one of its arguments. */
  readonly at: string;
  /** Whether that program has done its work by then. Killed before, it is never run; otherwise it runs on. */
  readonly when: 'before' | 'after';
}

const FOLDER = '/opt/faults';
const PROGRAMS = ['ostree', 'systemctl', 'systemd-tmpfiles', 'rpm'];
/** Strikes its parent once; everything else is passed on to the real program. */
const WRAPPER = `#!/bin/sh
program=/usr/bin/\${0##*/}
case "\${0##*/} $* " in
"\${FAULT_AT%% *}"*" \${FAULT_AT#* } "*) mkdir /run/fault-struck 2>/dev/null || exec "$program" "$@" ;;
*) exec "$program" "$@" ;;
esac
[ "$FAULT_WHEN" = before ] || "$program" "$@" || exit
kill -s "$FAULT_SIGNAL" "$PPID"
[ "$FAULT_WHEN" = after ] || [ "$FAULT_SIGNAL" = KILL ] || exec "$program" "$@"
`;

/** Puts the programs that strike into the host. */
export async function prepareFaults(stage: Stage): Promise<void> {
  for (const program of PROGRAMS) await stage.host.writeFile(`${FOLDER}/${program}`, WRAPPER, 0o755);
}

/** Options for a command that is to be struck. */
export async function strike(stage: Stage, { signal, at, when }: Fault): Promise<ExecOptions> {
  const path = await stage.shell('rm -rf /run/fault-struck; echo "$PATH"');
  return { env: { PATH: `${FOLDER}:${path}`, FAULT_SIGNAL: signal, FAULT_AT: at, FAULT_WHEN: when } };
}

/** Whether the last fault has struck: a test that was never struck shows nothing. */
export async function hasStruck(stage: Stage): Promise<boolean> {
  return (await stage.host.exec('rmdir', ['/run/fault-struck'])).code === 0;
}
