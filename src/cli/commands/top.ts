import { formatLocalTime } from '../../app/local-time.ts';
import { listProcesses, type ContainerProcess } from '../../app/processes.ts';
import { formatSize } from '../../app/format-size.ts';
import { parseContainerName } from '../../container/name.ts';
import { AtomicError } from '../../errors.ts';
import { escapeLine } from '../../escape.ts';
import { formatTable, type Column } from '../output/table.ts';
import { openApp, type CommandContext } from './context.ts';

const OPTIONAL = ['ppid', 'time', 'stime'] as const;
type Optional = (typeof OPTIONAL)[number];

interface TopFlags {
  readonly optional: readonly string[];
}

export async function runTop(
  context: CommandContext,
  names: readonly string[],
  flags: TopFlags,
): Promise<void> {
  const optional = readOptional(flags.optional);
  const app = await openApp(context);
  const { readProcesses } = await import('../wiring.ts');
  const processes = await listProcesses(app, names.map(parseContainerName), readProcesses);
  context.output.result(processes.map(toDocument), formatProcesses(processes, optional, new Date()));
}

function readOptional(fields: readonly string[]): Optional[] {
  return fields.map((given) => {
    const field = OPTIONAL.find((name) => name === given.toLowerCase());
    if (field !== undefined) return field;
    throw new AtomicError(
      'usage',
      `--optional takes ${OPTIONAL.join(', ')}, and not ${JSON.stringify(given)}`,
    );
  });
}

function toDocument(process: ContainerProcess) {
  const { container, pid, parent, user, uid, gid, command } = process;
  const { cpuPercent, cpuSeconds, memoryPercent, residentBytes, ageSeconds } = process;
  return {
    container,
    pid,
    ppid: parent,
    user,
    uid,
    gid,
    cpuPercent,
    cpuSeconds,
    memoryPercent,
    residentBytes,
    ageSeconds,
    command,
  };
}

/** atomic's columns, with the user's name and what is in memory. */
export function formatProcesses(
  processes: readonly ContainerProcess[],
  optional: readonly Optional[],
  now: Date,
): string[] {
  const shown = new Set<string>(optional);
  const cells: [Column, (process: ContainerProcess) => string][] = [
    [{ heading: 'CONTAINER', width: 10 }, ({ container }) => container],
    [{ heading: 'PID', width: 7 }, ({ pid }) => String(pid)],
    [{ heading: 'USER', width: 8 }, ({ user }) => user],
    [{ heading: '%CPU', width: 5 }, ({ cpuPercent }) => cpuPercent.toFixed(1)],
    [{ heading: '%MEM', width: 5 }, ({ memoryPercent }) => memoryPercent.toFixed(1)],
    [{ heading: 'RSS', width: 9 }, ({ residentBytes }) => formatSize(residentBytes)],
    ...(shown.has('time') ? [column('TIME', 8, ({ cpuSeconds }) => formatClock(cpuSeconds))] : []),
    ...(shown.has('stime')
      ? [
          column('STIME', 19, ({ ageSeconds }) =>
            formatLocalTime(new Date(now.getTime() - ageSeconds * 1000)),
          ),
        ]
      : []),
    ...(shown.has('ppid') ? [column('PPID', 7, ({ parent }) => String(parent))] : []),
    [{ heading: 'UID', width: 5 }, ({ uid }) => String(uid)],
    [{ heading: 'GID', width: 5 }, ({ gid }) => String(gid)],
    [{ heading: 'CMD', width: 10 }, ({ command }) => escapeLine(command.join(' '))],
  ];
  const rows = processes.map((process) => cells.map(([, show]) => show(process)));
  return formatTable(
    cells.map(([shape]) => shape),
    rows,
    { heading: true },
  );
}

function column(
  heading: string,
  width: number,
  show: (process: ContainerProcess) => string,
): [Column, typeof show] {
  return [{ heading, width }, show];
}

/** As ps(1) writes processor time: `[DD-]HH:MM:SS`. */
export function formatClock(seconds: number): string {
  const whole = Math.floor(seconds);
  const days = Math.floor(whole / 86_400);
  const parts = [Math.floor(whole / 3600) % 24, Math.floor(whole / 60) % 60, whole % 60];
  return `${days > 0 ? `${days}-` : ''}${parts.map((part) => String(part).padStart(2, '0')).join(':')}`;
}
