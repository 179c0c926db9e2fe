import { endianness, machine } from 'node:os';
import type { HostIdentity } from './ports.ts';

/** node's names of processors as Go (and so every image) spells them; the others are spelled alike. */
const GOARCH: Readonly<Record<string, string>> = { x64: 'amd64', ia32: '386', mipsel: 'mipsle' };

/** Who we are and what runs here. */
export function readIdentity(): HostIdentity {
  const architecture = goArchitecture(process.arch, endianness());
  return {
    uid: process.getuid?.() ?? 0,
    gid: process.getgid?.() ?? 0,
    architecture,
    variant: architecture === 'arm' ? armVariant(machine()) : undefined,
  };
}

export function goArchitecture(arch: string, order: 'LE' | 'BE'): string {
  if (arch === 'ppc64') return order === 'LE' ? 'ppc64le' : 'ppc64';
  return GOARCH[arch] ?? arch;
}

/** `v7` of the kernel's `armv7l`; a 32-bit program on a 64-bit processor runs all that v7 can. */
export function armVariant(machineName: string): string {
  return /^armv([567])/.exec(machineName)?.[1]?.replace(/^/, 'v') ?? 'v7';
}
