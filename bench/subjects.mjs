// What is measured: our program, the yardstick, and other tools that do a comparable job.
import { fileURLToPath } from 'node:url';
import { DATA, REGISTRY } from './host.mjs';

/** Where the program is in the host: a copy, which a new build does not touch. */
export const PROGRAM_FOLDER = 'program';
export const PROGRAM = ['node', `${DATA}/${PROGRAM_FOLDER}/atomic-ts.js`];
const YARDSTICK = fileURLToPath(new URL('yardstick.sh', import.meta.url));
/** Beside our own store, so that both write to one file system. */
const YARDSTICK_STATE = '/var/lib/containers/yardstick';
const YARDSTICK_UNIT = '/etc/systemd/system/yardstick.service';
const CHECKOUTS = '/var/lib/containers/atomic';

export const pullCommand = (name) => [...PROGRAM, 'pull', `http:${REGISTRY}/${name}`];
const INSTALL = [...PROGRAM, 'install', '--system', '--no-start', '--name', 'bench'];
export const installCommand = (name) => [...INSTALL, `http:${REGISTRY}/${name}`];

/** Takes away all that our program has made; what was written before is on the disk when the next run begins. */
export async function clean(host) {
  await host.sh(`
    rm -rf ${CHECKOUTS} ${YARDSTICK_STATE} ${DATA}/peer
    rm -f /etc/systemd/system/{,*.wants/}{bench,yardstick}.service /etc/tmpfiles.d/bench.conf
    systemctl daemon-reload
    sync --file-system ${DATA}`);
}

/**
 * The yardstick and our program: an image into the repo, and installed when that is asked for.
 * @param base an image that is there before, without the last layer of `layers`
 */
export function importSubjects(host, { name, layers, install, base }) {
  const runYardstick = (wanted, ...rest) => {
    const command = [YARDSTICK, `http://${REGISTRY}/v2/${name}`, `${YARDSTICK_STATE}/repo`, ...rest];
    return host.time(command, wanted.map(({ digest, size }) => `${digest} ${size}\n`).join(''));
  };
  const begin = async (prepare) => {
    await clean(host);
    await host.sh(`mkdir -p ${YARDSTICK_STATE}`);
    if (base !== undefined) await prepare();
    await host.sh(`sync --file-system ${DATA}`);
  };
  return [
    {
      name: 'yardstick',
      reset: () => begin(() => runYardstick(layers.slice(0, -1))),
      run: () =>
        install ? runYardstick(layers, `${YARDSTICK_STATE}/tree`, YARDSTICK_UNIT) : runYardstick(layers),
    },
    {
      name: install ? 'atomic-ts install' : 'atomic-ts pull',
      reset: () => begin(() => host.time(pullCommand(base))),
      run: () => host.time(install ? installCommand(name) : pullCommand(name)),
    },
  ];
}

/** Other tools, each with what it can do: none of them makes a service. */
export function peerSubjects(host, name) {
  const peer = `${DATA}/peer`;
  const from = `docker://${REGISTRY}/${name}`;
  const reset = () => clean(host).then(() => host.sh(`mkdir -p ${peer}`));
  const skopeo = `skopeo copy --src-tls-verify=false ${from} oci:${peer}/oci:image`;
  const unpack = `umoci unpack --image ${peer}/oci:image ${peer}/bundle`;
  const podman = `podman --root ${peer}/root --runroot ${peer}/run --storage-driver overlay`;
  return [
    { name: 'skopeo copy, umoci unpack', command: `${skopeo} && ${unpack}` },
    { name: 'podman pull', command: `${podman} pull --tls-verify=false ${from}` },
  ].map(({ name: subject, command }) => ({
    name: subject,
    reset,
    run: () => host.time(['bash', '-ec', command]),
  }));
}
