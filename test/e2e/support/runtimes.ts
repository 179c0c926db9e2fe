/** OCI runtimes as a throw-away host can run them. */
import { readFileSync } from 'node:fs';
import type { Stage } from './stage.ts';

/**
 * crun lifts the limit of locked memory before it loads its filter of devices, and gives up where it may not: in a sandbox
 * even root lacks CAP_SYS_RESOURCE. Kernels since 5.11 do not count such filters by that limit, so that it is enough when
 * crun takes its call for done: a prlimit of RLIMIT_MEMLOCK, by it and by what it starts, does nothing.
 */
const CRUN_WITHOUT_THE_LIMIT = `#!/usr/bin/python3
import ctypes, os, platform, struct, sys

PRLIMIT64 = {'x86_64': 302, 'aarch64': 261}[platform.machine()]
RLIMIT_MEMLOCK = 8
ALLOW, DONE = 0x7fff0000, 0x00050000
LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06

# Offsets are those of struct seccomp_data; jumps count the instructions that are passed over.
program = b''.join(struct.pack('HBBI', *instruction) for instruction in [
    (LOAD, 0, 0, 0),
    (EQUAL, 0, 8, PRLIMIT64),
    (LOAD, 0, 0, 24),
    (EQUAL, 0, 6, RLIMIT_MEMLOCK),
    # Without a new limit it only asks for the old one.
    (LOAD, 0, 0, 32),
    (EQUAL, 1, 0, 0),
    (RETURN, 0, 0, DONE),
    (LOAD, 0, 0, 36),
    (EQUAL, 1, 0, 0),
    (RETURN, 0, 0, DONE),
    (RETURN, 0, 0, ALLOW),
])
code = ctypes.create_string_buffer(program, len(program))
filter = struct.pack('HxxxxxxQ', len(program) // 8, ctypes.addressof(code))
PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 22, 2
libc = ctypes.CDLL(None, use_errno=True)
if libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, filter, 0, 0) != 0:
    sys.exit('crun: ' + os.strerror(ctypes.get_errno()))
os.execv('/usr/bin/crun', ['/usr/bin/crun'] + sys.argv[1:])
`;
const CAP_SYS_RESOURCE = 24n;

/** The path of a runtime that works here. */
export async function prepareRuntime(stage: Stage, runtime: string): Promise<string> {
  if (runtime !== 'crun' || mayRaiseLimits()) return stage.shell('command -v "$1"', runtime);
  const program = '/usr/local/bin/crun';
  await stage.host.writeFile(program, CRUN_WITHOUT_THE_LIMIT, 0o755);
  return program;
}

function mayRaiseLimits(): boolean {
  const bounding = /^CapBnd:\s*(\S+)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0';
  return ((BigInt(`0x${bounding}`) >> CAP_SYS_RESOURCE) & 1n) === 1n;
}
