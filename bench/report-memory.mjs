// Imported into a node that is measured: tells at its exit how much memory it had at most, in KiB.
import { writeFileSync } from 'node:fs';

const { BENCH_MEMORY_FILE } = process.env;
process.on('exit', () => writeFileSync(BENCH_MEMORY_FILE, String(process.resourceUsage().maxRSS)));
