import { readFile } from 'node:fs/promises';
import type { MountPoint } from '../ports.ts';

/** What is mounted in our mount namespace, in the order in which it was: proc(5), /proc/PID/mountinfo. */
export async function listMounts(): Promise<MountPoint[]> {
  return parseMounts(await readFile('/proc/self/mountinfo', 'utf8'));
}

/** `ID PARENT DEVICE ROOT PLACE OPTIONS [TAG…] - TYPE SOURCE SUPEROPTIONS` on each line. */
export function parseMounts(table: string): MountPoint[] {
  return table.split('\n').flatMap((line) => {
    const [mount = '', filesystem = ''] = line.split(' - ');
    const [, , device, , place] = mount.split(' ');
    const [type, source] = filesystem.split(' ');
    if (device === undefined || place === undefined || type === undefined) return [];
    return [{ place: decode(place), device, type, source: decode(source ?? '') }];
  });
}

/** Spaces and the like stand as `\040`. */
function decode(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_match, octal: string) => String.fromCharCode(parseInt(octal, 8)));
}
