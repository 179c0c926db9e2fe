import { readFile } from 'node:fs/promises';
import { systemCodeOf } from '../errors.ts';
import type { ProcessFacts } from './ports.ts';

/** Ticks of proc(5) in a second: the kernel's USER_HZ, the same on all of node's platforms. */
const TICKS = 100;

/** What processes do; one that has ended meanwhile is left out. In the order of their numbers. */
export async function readProcesses(pids: readonly number[], proc = '/proc'): Promise<ProcessFacts[]> {
  const uptime = Number((await readText(`${proc}/uptime`)).split(' ', 1).join(''));
  const facts = await Promise.all([...pids].sort((a, b) => a - b).map((pid) => readOne(proc, pid, uptime)));
  return facts.filter((fact) => fact !== undefined);
}

async function readOne(proc: string, pid: number, uptime: number): Promise<ProcessFacts | undefined> {
  const read = (name: string): Promise<string> => readText(`${proc}/${pid}/${name}`);
  try {
    const [stat, status, command, cgroup] = await Promise.all(
      ['stat', 'status', 'cmdline', 'cgroup'].map(read),
    );
    return { pid, ...parseProcess({ stat, status, command, cgroup }, uptime) };
  } catch (error) {
    if (['ENOENT', 'ESRCH'].includes(systemCodeOf(error) ?? '')) return undefined;
    throw error;
  }
}

interface ProcessTexts {
  readonly stat?: string | undefined;
  readonly status?: string | undefined;
  readonly command?: string | undefined;
  readonly cgroup?: string | undefined;
}

/** @param uptime seconds since the boot, from which a start is counted */
function parseProcess(
  { stat = '', status = '', command = '', cgroup = '' }: ProcessTexts,
  uptime: number,
): Omit<ProcessFacts, 'pid'> {
  // The name stands in parentheses and may itself hold some; fields are counted from the one behind it, the third.
  const name = stat.slice(stat.indexOf('(') + 1, stat.lastIndexOf(')'));
  const fields = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .map(Number);
  const field = (number: number): number => fields[number - 3] ?? 0;
  const line = (key: string): number =>
    Number(new RegExp(`^${key}:\\s*(\\d+)`, 'm').exec(status)?.[1] ?? '0');
  const words = command.split('\0');
  // The last one is ended as well; a program may have written over all of them.
  if (words.at(-1) === '') words.pop();
  return {
    parent: field(4),
    uid: line('Uid'),
    gid: line('Gid'),
    cpuSeconds: (field(14) + field(15)) / TICKS,
    ageSeconds: Math.max(0, uptime - field(22) / TICKS),
    residentBytes: line('VmRSS') * 1024,
    command: words.length > 0 ? words : [`[${name}]`],
    cgroup: /^0::(.*)$/m.exec(cgroup)?.[1],
  };
}

function readText(path: string): Promise<string> {
  return readFile(path, 'utf8');
}
