/** OCI runtimes as a throw-away host can run them. */
import { readFileSync } from 'node:fs';
import type { Stage } from './stage.ts';

/** crun raises a limit to load its filter of devices: where even root may not, as in a sandbox, it runs without cgroups. */
const CRUN_WITHOUT_CGROUPS = `#!/bin/sh
case $* in
--help) /usr/bin/crun --help | grep -v systemd-cgroup ;;
*) exec /usr/bin/crun --cgroup-manager=disabled "$@" ;;
esac
`;
const CAP_SYS_RESOURCE = 24n;

/** The path of a runtime that works here. */
export async function prepareRuntime(stage: Stage, runtime: string): Promise<string> {
  if (runtime !== 'crun' || mayRaiseLimits()) return stage.shell('command -v "$1"', runtime);
  const program = '/usr/local/bin/crun';
  await stage.host.writeFile(program, CRUN_WITHOUT_CGROUPS, 0o755);
  return program;
}

function mayRaiseLimits(): boolean {
  const bounding = /^CapBnd:\s*(\S+)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0';
  return ((BigInt(`0x${bounding}`) >> CAP_SYS_RESOURCE) & 1n) === 1n;
}
