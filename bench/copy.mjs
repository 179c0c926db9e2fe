// A copy out of a registry into a folder, beside skopeo's. Both are bound by the registry and the disk: what is compared
// is the CPU time, and what is told of is the memory, which must not grow with the image.
import { execFileSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { alternate, printTable } from './figures.mjs';
import { DATA, REGISTRY } from './host.mjs';
import { PROGRAM } from './subjects.mjs';

const SIZES = [
  { megabytes: 100, layers: 5 },
  { megabytes: 1000, layers: 5 },
];
/** What our copy may cost of skopeo's CPU time. */
const CPU_RATIO = 1.3;

export async function measureCopy(host, folder, rounds) {
  for (const { megabytes, layers } of SIZES) {
    const name = `noise-${megabytes}`;
    await pushNoise(host, folder, name, megabytes, layers);
    const out = `${DATA}/copied`;
    const places = [`docker://${REGISTRY}/${name}`, `dir:${out}`];
    const skopeo = ['skopeo', '--insecure-policy', 'copy', '--quiet', '--src-tls-verify=false', ...places];
    const ours = [...PROGRAM, '--quiet', 'copy', '--src-tls-verify=false', ...places];
    const reset = () => host.sh(`rm -rf ${out}; sync --file-system ${DATA}`);
    const figures = await alternate(rounds, [
      { name: 'skopeo copy', reset, run: () => host.time(skopeo) },
      { name: 'atomic-ts copy', reset, run: () => host.time(ours) },
    ]);
    printTable(`Copy docker:// to dir:, ${megabytes} MB, ${layers} layers`, figures);
    const ratio = figures[1].cpu / figures[0].cpu;
    console.log(`  CPU time of skopeo's: ${ratio.toFixed(2)} (at most ${CPU_RATIO} is wanted)`);
    console.log(`  memory of our own process at most: ${await measurePeak(host, ours, reset)} MiB`);
    await host.sh(`rm -rf ${out} ${DATA}/registry/docker`);
  }
}

async function pushNoise(host, folder, name, megabytes, layers) {
  const layout = join(folder, name);
  const script = fileURLToPath(new URL('make-noise.mjs', import.meta.url));
  execFileSync(process.execPath, [script, layout, megabytes, layers].map(String));
  await host.sh(
    `skopeo --insecure-policy copy -q --dest-tls-verify=false oci:${DATA}/${name}:latest docker://${REGISTRY}/${name}`,
  );
  rmSync(layout, { recursive: true });
  // Read once: the disk is not what is measured.
  await host.sh(`cat $(find ${DATA}/registry -name data) >/dev/null`);
}

async function measurePeak(host, command, reset) {
  await reset();
  const file = `${DATA}/memory`;
  const hook = new URL('report-memory.mjs', import.meta.url);
  await host.time(['env', `NODE_OPTIONS=--import=${hook}`, `BENCH_MEMORY_FILE=${file}`, ...command]);
  const { stdout } = await host.sh(`cat ${file}`);
  return Math.round(Number(stdout) / 1024);
}
