/** A container as atomic 1.22 with skopeo's ostree transport left it on a host: made by hand, without a line of ours. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { hexOf } from '../../../src/image/digest.ts';
import type { BuiltImage } from '../../fixtures/image-builder.ts';
import { CHECKOUTS, REPOSITORY, UNITS, type Stage } from './stage.ts';

export interface AtomicContainer {
  readonly name: string;
  /** As its info spells it: without `:latest`. */
  readonly image: string;
  readonly built: BuiltImage;
  readonly configJson: string;
  readonly unit: string;
  readonly tmpfiles: string;
  readonly values: Readonly<Record<string, string | number>>;
}

/** Brings the image in as skopeo did, and checks it out, writes and enables everything as atomic did. */
export async function layDown(stage: Stage, container: AtomicContainer): Promise<void> {
  const { name, image, built } = container;
  await stage.run('mkdir', '-p', REPOSITORY);
  await stage.run('ostree', `--repo=${REPOSITORY}`, 'init', '--mode=bare');
  await commitImage(stage, image, built);
  const deployment = `${CHECKOUTS}/${name}.0`;
  await stage.run('mkdir', '-p', `${deployment}/rootfs`);
  for (const { descriptor } of built.layers) {
    const ref = `ociimage/${hexOf(descriptor.digest)}`;
    const options = ['--union', '--whiteouts', '--require-hardlinks'];
    await stage.run('ostree', `--repo=${REPOSITORY}`, 'checkout', ...options, ref, `${deployment}/rootfs`);
  }
  const commit = await stage.run('ostree', `--repo=${REPOSITORY}`, 'rev-parse', imageRef(image));
  // As Python's json.dump wrote it: an indent of 4, and no newline at the end.
  const info = JSON.stringify(describe(container, commit), undefined, 4);
  const files = [
    [`${deployment}/config.json`, container.configJson],
    [`${deployment}/${name}.service`, container.unit],
    [`${deployment}/tmpfiles-${name}.conf`, container.tmpfiles],
    [`${deployment}/info`, info],
    [`${UNITS}/${name}.service`, container.unit],
    [`/etc/tmpfiles.d/${name}.conf`, container.tmpfiles],
  ] as const;
  for (const [path, content] of files) await stage.host.writeFile(path, content);
  await stage.run('ln', '-s', deployment, `${CHECKOUTS}/${name}`);
  await stage.run('systemctl', 'daemon-reload');
  await stage.run('systemd-tmpfiles', '--create', `/etc/tmpfiles.d/${name}.conf`);
  await stage.run('systemctl', 'enable', name);
  await stage.run('systemctl', 'start', name);
}

/** The ref of an image, by the one rule: what is no letter, digit, dot or dash becomes its hex. */
function imageRef(image: string): string {
  const hex = (char: string): string => `_${char.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`;
  return `ociimage/${`${image}:latest`.replace(/[^A-Za-z0-9.-]/g, hex)}`;
}

async function commitImage(stage: Stage, image: string, built: BuiltImage): Promise<void> {
  const commit = async (ref: string, tree: string, metadata: Record<string, string>): Promise<void> => {
    const strings = Object.entries(metadata).map(([key, value]) => `--add-metadata-string=${key}=${value}`);
    const options = ['--no-bindings', '--subject=', '--tar-autocreate-parents', `--branch=${ref}`];
    await stage.run('ostree', `--repo=${REPOSITORY}`, 'commit', ...options, `--tree=${tree}`, ...strings);
  };
  for (const { descriptor, diffId, tar } of built.layers) {
    writeFileSync(join(stage.images, 'layer.tar'), tar);
    await commit(`ociimage/${hexOf(descriptor.digest)}`, 'tar=/images/layer.tar', {
      'docker.size': String(descriptor.size),
      'docker.uncompressed_size': String(tar.length),
      'docker.uncompressed_digest': diffId,
      'tarsplit.output': 'H4sIAAAJbogA/+yc32+iShTH3',
    });
  }
  await stage.host.writeFile('/var/tmp/config/content', built.config);
  await commit(`ociimage/${hexOf(built.configDigest)}`, 'dir=/var/tmp/config', {
    'docker.size': String(built.config.length),
  });
  await stage.host.writeFile('/var/tmp/manifest/manifest.json', built.manifest);
  await commit(imageRef(image), 'dir=/var/tmp/manifest', {
    'docker.manifest': built.manifest.toString(),
    signatures: '0',
    'docker.digest': built.digest,
  });
}

/** The keys of an info in atomic's order; none of ours. */
function describe({ image, built, values }: AtomicContainer, commit: string): object {
  return {
    image,
    revision: hexOf(built.digest),
    'ostree-commit': commit,
    created: 1_795_318_022,
    values,
    'has-container-service': true,
    'installed-files': [],
    'installed-files-checksum': {},
    'installed-files-template': [],
    'rename-installed-files': {},
    'rpm-installed': null,
    'system-package': 'no',
    remote: null,
    'use-links': true,
    runtime: '/usr/bin/runc',
  };
}
