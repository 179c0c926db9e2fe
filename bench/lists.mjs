// Lists of few and of many: containers and images that nobody installed, written as an installation leaves them.
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { alternate, printTable } from './figures.mjs';
import { DATA } from './host.mjs';
import { PROGRAM } from './subjects.mjs';

const SIZES = [
  { containers: 5, images: 5 },
  { containers: 500, images: 300 },
];
/** As many capabilities as a kernel has: most of what an `info` holds. */
const CAPABILITIES = Array.from({ length: 41 }, (_, i) => `"CAP_${i}_OF_THE_KERNEL"`).join(',\n');
const LISTS = [
  ['containers', 'list', '--all'],
  ['images', 'list'],
  ['images', 'list', '--all'],
];

/** Prints for each list how much longer many take than few, and how many programs each starts. */
export async function measureLists(host, folder, rounds) {
  const sets = [];
  for (const { containers, images } of SIZES) {
    const name = `lists-${containers}`;
    for (let i = 0; i < containers; i++) writeContainer(join(folder, name), `${DATA}/${name}`, i, containers);
    await writeImages(host, `${DATA}/${name}/repo`, images);
    sets.push({ label: `${containers} containers, ${images} images`, folder: `${DATA}/${name}` });
  }
  await writeUnits(host, Math.max(...SIZES.map(({ containers }) => containers)));
  for (const list of LISTS) {
    const commands = sets.map(({ label, folder: place }) => ({
      name: label,
      command: [
        'env',
        `ATOMIC_OSTREE_CHECKOUT_PATH=${place}`,
        `ATOMIC_OSTREE_REPO=${place}/repo`,
        ...PROGRAM,
        ...list,
      ],
    }));
    const subjects = commands.map(({ name, command }) => ({
      name,
      reset: async () => undefined,
      run: () => host.time(command),
    }));
    printTable(`atomic-ts ${list.join(' ')}`, await alternate(rounds, subjects));
    const counts = [];
    for (const { command } of commands) counts.push(await countPrograms(host, command));
    console.log(`  other programs started: ${counts.join(' and ')}`);
  }
}

/** All that a command starts, itself aside: `env` becomes it. */
async function countPrograms(host, command) {
  const trace = `${DATA}/trace`;
  const script = `strace -f -qq -e trace=execve -o ${trace} "$@" >/dev/null; grep -c ' = 0$' ${trace}`;
  const { stdout } = await host.sh(script, ...command);
  return Number(stdout) - 2;
}

function writeContainer(folder, place, number, total) {
  const name = nameOf(number);
  const deployment = join(folder, `${name}.0`);
  mkdirSync(join(deployment, 'rootfs'), { recursive: true });
  const info = {
    image: imageOf(number),
    revision: idOf(number),
    created: 1_700_000_000 + total,
    values: { RUN_DIRECTORY: '/run', NAME: name, ALL_PROCESS_CAPABILITIES: CAPABILITIES },
    'has-container-service': true,
    'installed-files': [],
    runtime: '/usr/sbin/runc',
  };
  const mounts = Array.from({ length: 20 }, (_, i) => ({
    destination: `/mnt/${i}`,
    type: 'bind',
    source: `/srv/${name}/${i}`,
    options: ['rbind', 'ro'],
  }));
  const spec = { ociVersion: '1.0.2', process: { args: ['/usr/bin/run.sh'] }, mounts };
  writeFileSync(join(deployment, 'info'), JSON.stringify(info, undefined, 4));
  writeFileSync(join(deployment, 'config.json'), JSON.stringify(spec, undefined, 4));
  symlinkSync(`${place}/${name}.0`, join(folder, name));
}

/** Their commits alone: a list reads nothing else. */
async function writeImages(host, repo, count) {
  const images = Array.from({ length: count }, (_, i) => `${imageOf(i)} ${idOf(i)}`).join('\n');
  await host.sh(
    `
    mkdir -p $1 /tmp/nothing
    ostree --repo=$1 init --mode=bare
    while read -r image id; do
      ref=$(sed 's|/|_2F|g' <<<"$image")_3Alatest
      blob='"size":1084233,"digest":"sha256:'$id'"'
      manifest='{"schemaVersion":2,"config":{'$blob'},"layers":[{'$blob'}]}'
      commit() { ostree --repo=$repo commit --no-bindings --fsync=false --parent=none --tree=dir=/tmp/nothing --subject= "$@" >/dev/null; }
      repo=$1
      commit --branch=ociimage/$ref --add-metadata-string=docker.manifest="$manifest" --add-metadata-string=docker.digest=sha256:$id
      commit --branch=ociimage/$id --add-metadata-string=docker.size=1084233 --add-metadata-string=of=$id
    done <<<"$2"`,
    repo,
    images,
  );
}

/** systemd has to look at each when it is asked for it. */
async function writeUnits(host, count) {
  const names = Array.from({ length: count }, (_, i) => nameOf(i)).join(' ');
  await host.sh(
    `
    for name in $1; do
      printf '[Service]\\nExecStart=/bin/true\\n' >/etc/systemd/system/$name.service
    done
    systemctl daemon-reload`,
    names,
  );
}

function nameOf(number) {
  return `listed-${String(number).padStart(3, '0')}`;
}

function imageOf(number) {
  return `registry.example.com/team/${nameOf(number)}`;
}

function idOf(number) {
  return number.toString(16).padStart(64, '0');
}
