/** The functions of systeminformation that are cheap enough, loaded by `doctor` only: see transport/registry/undici.ts. */
export { cpu, fsSize, mem, osInfo } from 'systeminformation';
