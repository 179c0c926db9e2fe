import { readFile } from 'node:fs/promises';
import { AtomicError } from '../errors.ts';

/** In the order of their numbers: linux/capability.h. */
const CAPABILITIES: readonly string[] = [
  'CHOWN',
  'DAC_OVERRIDE',
  'DAC_READ_SEARCH',
  'FOWNER',
  'FSETID',
  'KILL',
  'SETGID',
  'SETUID',
  'SETPCAP',
  'LINUX_IMMUTABLE',
  'NET_BIND_SERVICE',
  'NET_BROADCAST',
  'NET_ADMIN',
  'NET_RAW',
  'IPC_LOCK',
  'IPC_OWNER',
  'SYS_MODULE',
  'SYS_RAWIO',
  'SYS_CHROOT',
  'SYS_PTRACE',
  'SYS_PACCT',
  'SYS_ADMIN',
  'SYS_BOOT',
  'SYS_NICE',
  'SYS_RESOURCE',
  'SYS_TIME',
  'SYS_TTY_CONFIG',
  'MKNOD',
  'LEASE',
  'AUDIT_WRITE',
  'AUDIT_CONTROL',
  'SETFCAP',
  'MAC_OVERRIDE',
  'MAC_ADMIN',
  'SYSLOG',
  'WAKE_ALARM',
  'BLOCK_SUSPEND',
  'AUDIT_READ',
  'PERFMON',
  'BPF',
  'CHECKPOINT_RESTORE',
].map((name) => `CAP_${name}`);

/** The capabilities of a kernel whose highest number is `last`, in order; numbers that have no name yet are left out. */
export function capabilitiesUpTo(last: number): string[] {
  return CAPABILITIES.slice(0, last + 1);
}

/** All capabilities of the running kernel: capabilities(7), /proc/sys/kernel/cap_last_cap. */
export async function readKernelCapabilities(): Promise<string[]> {
  const text = (await readFile('/proc/sys/kernel/cap_last_cap', 'latin1')).trim();
  if (!/^\d{1,3}$/.test(text)) {
    throw new AtomicError(
      'internal',
      `/proc/sys/kernel/cap_last_cap holds ${JSON.stringify(text)}, which is no number`,
    );
  }
  return capabilitiesUpTo(Number(text));
}
