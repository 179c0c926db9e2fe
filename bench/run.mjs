// Measures dist/ side by side with a shell pipeline of C programs (bench/yardstick.sh) and with other tools, in a
// throw-away host with a registry in it. Prints seconds and ratios: only the ratios mean something elsewhere.
//
//   node bench/run.mjs                 an image of 150 MB, 14,000 files, 6 layers
//   BENCH_LARGE=1 node bench/run.mjs   also one of 1 GB, 112,000 files, 6 layers: minutes
//   BENCH_ONLY=lists node bench/run.mjs   only the lists, of few and of many containers and images
//   BENCH_ONLY=copy node bench/run.mjs    only the copies beside skopeo's, of 100 MB and of 1 GB
//
// BENCH_ROUNDS: samples of each (5); BENCH_IMAGES: a folder that keeps the images for the next time.
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { measureCopy } from './copy.mjs';
import { alternate, printTable } from './figures.mjs';
import { bootHost, DATA, REGISTRY, REGISTRY_LOG, startRegistry } from './host.mjs';
import { measureLists } from './lists.mjs';
import { enterNamespace, makePlace } from './place.mjs';
import { clean, importSubjects, installCommand, peerSubjects, PROGRAM, PROGRAM_FOLDER } from './subjects.mjs';

const LARGE = process.env.BENCH_LARGE === '1';
const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 5);
const GIGABYTES = LARGE ? 10 : 3;
const IMAGES = [
  { name: 'medium', megabytes: 150, files: 14_000, layers: 6, rounds: ROUNDS },
  ...(LARGE
    ? [{ name: 'large', megabytes: 1000, files: 112_000, layers: 6, rounds: Math.min(ROUNDS, 3) }]
    : []),
];

if (!(await enterNamespace())) await main();

async function main() {
  const place = makePlace(GIGABYTES);
  let booting;
  const measure = async () => {
    console.log(`node ${process.version}, ${ROUNDS} samples of each in turn, data on ${place.description}`);
    cpSync(new URL('../dist', import.meta.url), join(place.folder, PROGRAM_FOLDER), { recursive: true });
    booting = bootHost(place.folder);
    const host = await booting;
    const { BENCH_ONLY: only } = process.env;
    if (only !== 'lists') await startRegistry(host, place.folder);
    if (only === undefined) {
      for (const image of IMAGES) await measureImage(host, image, place.folder);
      await measureStart(host);
    }
    if (only !== 'copy') await measureLists(host, place.folder, ROUNDS);
    if (only !== 'lists') await measureCopy(host, place.folder, ROUNDS);
  };
  try {
    await Promise.race([measure(), interruption()]);
  } catch (error) {
    console.error(`bench: ${error.message}`);
    process.exitCode = 1;
  } finally {
    const host = await booting?.catch(() => undefined);
    await host?.stop();
    place.remove();
  }
}

/** Never comes true, and fails at the first signal. A second one ends us at once; the next boot of a host cleans up. */
function interruption() {
  return new Promise((_, reject) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
      process.once(signal, () => reject(new Error(`interrupted by ${signal}`)));
    }
  });
}

async function measureImage(host, image, folder) {
  const { name, megabytes, files, rounds } = image;
  const layers = await pushImage(host, image, folder);
  const packed = Math.round(layers.reduce((sum, { size }) => sum + size, 0) / 1e6);
  const shape = `${megabytes} MB (${packed} compressed), ${files} files, ${layers.length} layers`;
  const [install, pull, shared] = [
    { name, layers, install: true },
    { name, layers, install: false },
    { name, layers, install: true, base: `${name}:base` },
  ].map((options) => importSubjects(host, options));
  printTable(`Cold install: ${shape}`, await alternate(rounds, [...install, ...peerSubjects(host, name)]));
  printTable('Pull: into the repo, no checkout', await alternate(rounds, pull));
  printTable('Install on a shared base: all layers but the last are there', await alternate(rounds, shared));
  await measureMemory(host, name);
  if (name === IMAGES[0].name) await measureUpdate(host, name);
  await clean(host);
}

/** Makes an image and puts it into the registry; its layers, base first. */
async function pushImage(host, { name, megabytes, files, layers }, folder) {
  const kept = process.env.BENCH_IMAGES;
  const layout = join(kept ?? folder, `${megabytes}-${files}-${layers}`);
  if (!existsSync(join(layout, 'index.json'))) {
    console.log(`making the ${name} image`);
    const script = fileURLToPath(new URL('make-image.mjs', import.meta.url));
    execFileSync(process.execPath, [script, layout, megabytes, files, layers].map(String));
  }
  if (kept !== undefined) execFileSync('cp', ['-r', layout, folder]);
  const inside = `${DATA}/${megabytes}-${files}-${layers}`;
  for (const tag of ['latest', 'base']) {
    const copy = `skopeo copy --quiet --dest-tls-verify=false oci:${inside}:${tag} docker://${REGISTRY}/${name}:${tag}`;
    await host.sh(copy);
  }
  const read = (path) => JSON.parse(readFileSync(join(layout, path), 'utf8'));
  const [manifest] = read('index.json').manifests;
  const { layers: made } = read(`blobs/${manifest.digest.replace(':', '/')}`);
  // What is left is the registry's copy, which is then read once: the network is not what is measured.
  await host.sh(`rm -rf ${inside}; cat $(find ${DATA}/registry -name data) >/dev/null`);
  return made;
}

async function measureMemory(host, name) {
  await clean(host);
  const file = `${DATA}/memory`;
  const hook = new URL('report-memory.mjs', import.meta.url);
  const variables = [`NODE_OPTIONS=--import=${hook}`, `BENCH_MEMORY_FILE=${file}`];
  await host.time(['env', ...variables, ...installCommand(name)]);
  const { stdout } = await host.sh(`cat ${file}`);
  console.log(
    `\nMemory of our own process at most, in that install: ${Math.round(Number(stdout) / 1024)} MiB`,
  );
}

async function measureUpdate(host, name) {
  await clean(host);
  await host.time(installCommand(name));
  const update = [...PROGRAM, 'update', 'bench'];
  const figures = await alternate(ROUNDS, [
    { name: 'node -e 0', reset: nothing, run: () => host.time(['node', '-e', '0']) },
    { name: 'atomic-ts update', reset: nothing, run: () => host.time(update) },
  ]);
  printTable('Update without a change', figures);
  const trace = `${DATA}/trace`;
  await host.sh(`: >${REGISTRY_LOG}; strace -f -qq -e trace=execve -o ${trace} "$@" >/dev/null`, ...update);
  const { stdout } = await host.sh(
    `grep -c ' = 0$' ${trace}; grep -cF '/blobs/' ${REGISTRY_LOG} || :; grep -cF '/manifests/' ${REGISTRY_LOG} || :`,
  );
  const [programs, blobs, manifests] = stdout.trim().split('\n').map(Number);
  console.log(`  other programs started: ${programs - 1}; blobs fetched: ${blobs}, manifests: ${manifests}`);
}

async function measureStart(host) {
  const subject = (name, command) => ({ name, reset: nothing, run: () => host.time(command) });
  const figures = await alternate(ROUNDS * 4, [
    subject('node -e 0', ['node', '-e', '0']),
    subject('atomic-ts --version', [...PROGRAM, '--version']),
    subject('atomic-ts containers list', [...PROGRAM, 'containers', 'list']),
  ]);
  printTable('Start-up', figures);
}

async function nothing() {}
