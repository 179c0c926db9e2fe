// What is measured: our program, the yardstick, and other tools that do a comparable job.
import { fileURLToPath } from 'node:url';
import { DATA, REGISTRY } from './host.mjs';

/** Where the program is in the host: a copy, which a new build does not touch. */
export const PROGRAM_FOLDER = 'program';
export const PROGRAM = ['node', `${DATA}/${PROGRAM_FOLDER}/atomic-ts.js`];
const YARDSTICK = fileURLToPath(new URL('yardstick.sh', import.meta.url));
/** Beside our own store, so that both write to one file system. */
const YARDSTICK_STATE = '/var/lib/containers/yardstick';
const CHECKOUTS = '/var/lib/containers/atomic';

export const pullCommand = (name) => [...PROGRAM, 'pull', `http:${REGISTRY}/${name}`];
const INSTALL = [...PROGRAM, 'install', '--system', '--no-start', '--name', 'bench'];
export const installCommand = (name) => [...INSTALL, `http:${REGISTRY}/${name}`];

/** Takes away all that our program has made; what was written before is on the disk when the next run begins. */
export async function clean(host) {
  await host.sh(`
    rm -rf ${CHECKOUTS} ${YARDSTICK_STATE} ${DATA}/peer
    rm -f /etc/systemd/system/bench.service /etc/systemd/system/*.wants/bench.service /etc/tmpfiles.d/bench.conf
    systemctl daemon-reload
    sync --file-system ${DATA}`);
}

/** Our program against the yardstick; `base` names an image that is there before. */
export function importSubjects(host, { name, layers, checkout, base }) {
  const list = layers.map(({ digest, size }) => `${digest} ${size}\n`).join('');
  const yardstick = (input, withCheckout) => {
    const command = [YARDSTICK, `http://${REGISTRY}/v2/${name.split(':')[0]}`, `${YARDSTICK_STATE}/repo`];
    return host.time(withCheckout ? [...command, `${YARDSTICK_STATE}/tree`] : command, input);
  };
  const baseList = list.split('\n').slice(0, -2).join('\n');
  return [
    {
      name: 'yardstick',
      async reset() {
        await clean(host);
        await host.sh(`mkdir -p ${YARDSTICK_STATE}`);
        if (base !== undefined) await yardstick(`${baseList}\n`, false);
        await host.sh(`sync --file-system ${DATA}`);
      },
      run: () => yardstick(list, checkout),
    },
    {
      name: checkout ? 'atomic-ts install' : 'atomic-ts pull',
      async reset() {
        await clean(host);
        if (base !== undefined) await host.time(pullCommand(base));
        await host.sh(`sync --file-system ${DATA}`);
      },
      run: () => host.time(checkout ? installCommand(name) : pullCommand(name)),
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
