import { formatSize } from '../../app/format-size.ts';
import { listStats, type ContainerStats } from '../../app/processes.ts';
import { parseContainerName } from '../../container/name.ts';
import { formatTable } from '../output/table.ts';
import { openApp, type CommandContext } from './context.ts';
import { formatClock } from './top.ts';

export async function runStats(context: CommandContext, names: readonly string[]): Promise<void> {
  const app = await openApp(context);
  const { readProcesses } = await import('../wiring.ts');
  const stats = await listStats(app, names.map(parseContainerName), readProcesses);
  context.output.result(
    stats.map(({ memoryLimitBytes, readBytes, writtenBytes, ...known }) => ({
      ...known,
      memoryLimitBytes: memoryLimitBytes ?? null,
      readBytes: readBytes ?? null,
      writtenBytes: writtenBytes ?? null,
    })),
    formatStats(stats),
  );
}

export function formatStats(stats: readonly ContainerStats[]): string[] {
  const size = (bytes: number | undefined): string => (bytes === undefined ? '-' : formatSize(bytes));
  const headings: [string, number][] = [
    ['CONTAINER', 10],
    ['PROCESSES', 9],
    ['%CPU', 5],
    ['TIME', 8],
    ['MEMORY', 9],
    ['LIMIT', 9],
    ['READ', 9],
    ['WRITTEN', 9],
  ];
  const rows = stats.map((item) => [
    item.container,
    String(item.processes),
    item.cpuPercent.toFixed(1),
    formatClock(item.cpuSeconds),
    size(item.memoryBytes),
    size(item.memoryLimitBytes),
    size(item.readBytes),
    size(item.writtenBytes),
  ]);
  return formatTable(
    headings.map(([heading, width]) => ({ heading, width })),
    rows,
    { heading: true },
  );
}
