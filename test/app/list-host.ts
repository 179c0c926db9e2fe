/** A host for lists in a temp folder: containers and images as atomic leaves them, a systemd that is only asked. */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { App } from '../../src/app/context.ts';
import type { ProgressEvent } from '../../src/events.ts';
import { createExec } from '../../src/host/exec.ts';
import { createFiles } from '../../src/host/files.ts';
import { createSelinux } from '../../src/host/selinux.ts';
import { createSystemd } from '../../src/service/systemd.ts';
import { blobRef, imageRef } from '../../src/store/names.ts';
import type { Digest } from '../../src/image/digest.ts';
import { ImageStore } from '../../src/store/image-store.ts';
import { FakeClock, FakeExec, propertyBlock } from '../service/fake-systemctl.ts';

/** The reference's `2026-11-22 03:27:02`, wherever the tests run. */
export const CREATED = new Date(2026, 10, 22, 3, 27, 2);

export interface ListHost {
  readonly app: App;
  readonly exec: FakeExec;
  readonly warnings: string[];
}

type Answer = NonNullable<ConstructorParameters<typeof FakeExec>[0]>;

/** @param answer is told the containers that are there behind `systemctl list-units` */
export function createListHost(folder: string, answer: Answer = answerShow()): ListHost {
  const exec = new FakeExec((line) =>
    answer(line.startsWith('systemctl list-units ') ? `${line} -- ${namesIn(folder).join(' ')}` : line),
  );
  const warnings: string[] = [];
  const notAsked = (): never => {
    throw new Error('not asked for');
  };
  const nothing = undefined;
  const app: App = {
    exec,
    files: createFiles(createExec()),
    selinux: createSelinux(createExec(), false),
    locks: { acquire: notAsked },
    identity: { uid: 0, gid: 0, architecture: 'amd64', variant: undefined },
    paths: {
      checkouts: join(folder, 'atomic'),
      repository: join(folder, 'repo'),
      preinstalled: join(folder, 'preinstalled'),
      units: join(folder, 'units'),
      tmpfiles: join(folder, 'tmpfiles'),
      conf: join(folder, 'atomic.conf'),
      runDirectory: '/run',
      stateDirectory: '/var/lib',
      confDirectory: '/etc',
    },
    conf: {
      ostreeRepository: nothing,
      checkoutPath: nothing,
      runtime: nothing,
      defaultStorage: nothing,
      httpProxy: nothing,
      httpsProxy: nothing,
      noProxy: nothing,
      limits: {},
    },
    environment: {},
    store: new ImageStore(join(folder, 'repo'), exec),
    services: createSystemd(exec, new FakeClock()),
    report: (event: ProgressEvent) => {
      if (event.event === 'warning') warnings.push(event.text);
    },
    signal: new AbortController().signal,
    program: '/usr/bin/atomic-ts',
    userAgent: 'atomic-ts/test',
    lockWaitMs: 0,
    findRepository: notAsked,
    openLocal: notAsked,
    loadTemplates: notAsked,
    readKernelCapabilities: notAsked,
  };
  return { app, exec, warnings };
}

type States = Readonly<Record<string, Readonly<Record<string, string>>>>;

/**
 * Answers systemctl's `list-units` for the containers that are there, and its `show` for any units: services are
 * `active`, unless told otherwise.
 */
export function answerShow(states: States = {}): (line: string) => string {
  return (line) => {
    const [command = '', names = ''] = line.split(' -- ');
    const stateOf = (name: string): States[string] => states[name] ?? { ActiveState: 'active' };
    const units = names.split(' ').filter(Boolean);
    if (command.startsWith('systemctl show ')) {
      return units
        .map((unit) => propertyBlock({ Id: unit, ...stateOf(unit.replace(/\.service$/, '')) }))
        .join('\n');
    }
    if (!command.startsWith('systemctl list-units ')) throw new Error(`not asked for: ${line}`);
    return units
      .map((name) => {
        const { ActiveState = 'active', SubState = 'x' } = stateOf(name);
        return `${name}.service loaded ${ActiveState} ${SubState} A text of its own\n`;
      })
      .join('');
  };
}

export interface ContainerOnDisk {
  readonly slot?: 0 | 1;
  readonly image?: string;
  readonly revision?: string;
  readonly args?: readonly string[];
  readonly created?: Date;
  readonly service?: boolean;
  readonly remote?: string;
  /** More of its config.json. */
  readonly config?: Readonly<Record<string, unknown>>;
}

function namesIn(folder: string): string[] {
  return ['atomic', 'preinstalled'].flatMap((name) =>
    existsSync(join(folder, name)) ? readdirSync(join(folder, name)) : [],
  );
}

/** Writes a deployment below `checkouts` and links the container to it. */
export function writeContainer(checkouts: string, name: string, options: ContainerOnDisk = {}): string {
  const path = join(checkouts, `${name}.${options.slot ?? 0}`);
  writeDeployment(path, options);
  symlinkSync(path, join(checkouts, name));
  return path;
}

export function writeDeployment(path: string, options: ContainerOnDisk = {}): void {
  const { image = 'docker.io/hello', revision = 'a'.repeat(64), args = ['/usr/bin/run.sh'] } = options;
  mkdirSync(path, { recursive: true });
  const info = {
    image,
    revision,
    created: (options.created ?? CREATED).getTime() / 1000,
    values: {},
    'has-container-service': options.service ?? true,
    runtime: '/usr/bin/runc',
    ...(options.remote === undefined ? {} : { remote: options.remote }),
  };
  writeFileSync(join(path, 'info'), JSON.stringify(info, undefined, 4));
  writeFileSync(
    join(path, 'config.json'),
    JSON.stringify({ ociVersion: '1.0.2', process: { args }, ...options.config }),
  );
}

export interface ImageOnDisk {
  readonly name: string;
  readonly digest: Digest;
  readonly layers: readonly { readonly digest: Digest; readonly size: number }[];
  readonly config: Digest;
  readonly created?: Date;
}

/** Writes an image's ref and commit as skopeo did. */
export function writeImage(repository: string, { name, digest, layers, config, created }: ImageOnDisk): void {
  const manifest = {
    schemaVersion: 2,
    mediaType: 'application/vnd.docker.distribution.manifest.v2+json',
    config: { mediaType: 'application/vnd.docker.container.image.v1+json', size: 2523, digest: config },
    layers: layers.map((layer) => ({
      mediaType: 'application/vnd.docker.image.rootfs.diff.tar.gzip',
      ...layer,
    })),
  };
  const metadata = {
    'docker.manifest': JSON.stringify(manifest),
    signatures: '0',
    'docker.digest': digest,
  };
  writeCommit(repository, imageRef(name), metadata, created);
}

export function writeBlob(repository: string, digest: Digest, created?: Date): void {
  writeCommit(repository, blobRef(digest), { 'docker.size': '1', name: digest }, created);
}

export function writeCommit(
  repository: string,
  ref: string,
  metadata: Readonly<Record<string, string>>,
  created: Date = CREATED,
): void {
  const object = serializeCommit(metadata);
  const checksum = createHash('sha256').update(object).digest('hex');
  const folder = join(repository, 'objects', checksum.slice(0, 2));
  mkdirSync(folder, { recursive: true });
  mkdirSync(join(repository, 'refs/heads/ociimage'), { recursive: true });
  const path = join(folder, `${checksum.slice(2)}.commit`);
  writeFileSync(path, object);
  utimesSync(path, created, created);
  writeFileSync(join(repository, 'refs/heads', ref), `${checksum}\n`);
}

/** A commit object, `(a{sv}aya(say)sstayay)`: GVariant specification section 2.5. */
export function serializeCommit(metadata: Readonly<Record<string, string>>): Buffer {
  const entries = serializeArray(Object.entries(metadata).map(([key, value]) => serializeEntry(key, value)));
  const members: [bytes: Buffer, alignment: number, hasOffset: boolean][] = [
    [entries, 8, true],
    [Buffer.alloc(0), 1, true],
    [Buffer.alloc(0), 1, true],
    [Buffer.from('\0'), 1, true],
    [Buffer.from('\0'), 1, true],
    [Buffer.alloc(8), 8, false],
    [Buffer.alloc(32), 1, true],
    [Buffer.alloc(32), 1, false],
  ];
  let bytes = Buffer.alloc(0);
  const ends: number[] = [];
  for (const [member, alignment, hasOffset] of members) {
    bytes = Buffer.concat([pad(bytes, alignment), member]);
    if (hasOffset) ends.push(bytes.length);
  }
  return appendOffsets(bytes, ends.reverse());
}

function serializeEntry(key: string, value: string): Buffer {
  const name = Buffer.from(`${key}\0`);
  const entry = Buffer.concat([pad(name, 8), Buffer.from(`${value}\0\0s`)]);
  return appendOffsets(entry, [name.length]);
}

function serializeArray(elements: readonly Buffer[]): Buffer {
  let bytes = Buffer.alloc(0);
  const ends: number[] = [];
  for (const element of elements) {
    bytes = Buffer.concat([pad(bytes, 8), element]);
    ends.push(bytes.length);
  }
  return appendOffsets(bytes, ends);
}

/** Offsets are as wide as the whole, offsets included, needs. */
function appendOffsets(bytes: Buffer, offsets: readonly number[]): Buffer {
  const width = [1, 2, 4].find((size) => bytes.length + offsets.length * size < 256 ** size) ?? 4;
  const tail = Buffer.alloc(offsets.length * width);
  for (const [i, offset] of offsets.entries()) tail.writeUIntLE(offset, i * width, width);
  return Buffer.concat([bytes, tail]);
}

function pad(bytes: Buffer, alignment: number): Buffer {
  return Buffer.concat([bytes, Buffer.alloc((alignment - (bytes.length % alignment)) % alignment)]);
}
