/**
 * A program of its own, for the host's loopback: a registry with one repository for each thing that can go wrong.
 * `node hostile-registry.mjs FILE` writes the address it listens on to FILE and stays.
 */
import { createHash } from 'node:crypto';
import { renameSync, writeFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { buildImage, buildIndex, type BuiltImage, type BuiltIndex } from '../../fixtures/image-builder.ts';
import type { Fault } from '../../registry/fake-faults.ts';
import { startFakeRegistry } from '../../registry/fake-registry.ts';
import { busyboxLayer, hostPlatform, STAY } from './images.ts';

const registry = await startFakeRegistry();
const spec = { config: { Cmd: ['sh', '-c', STAY] }, platform: hostPlatform() };

/** Each has a layer of its own, or the store would have it from another repository. */
function makeGood(repository: string): BuiltImage {
  const own = Array.from({ length: 8000 }, (_, i) =>
    createHash('sha256').update(`${repository} ${i}`).digest(),
  );
  return buildImage({
    ...spec,
    layers: [{ entries: [{ path: 'own', content: Buffer.concat(own) }] }, busyboxLayer()],
  });
}

/** `fault` strikes when the repository is asked for a path that begins with `on`: `manifests/` or `blobs/`. */
function add(repository: string, fault?: Fault, on = '', times?: number): void {
  const image = makeGood(repository);
  addImage(repository, image);
  const layer = image.layers[0]?.descriptor.digest ?? '';
  const path = `/v2/${repository}/${on === 'blobs/' ? `blobs/${layer}` : on}`;
  if (fault !== undefined) registry.addFault(new RegExp(`GET ${path}`), fault, times);
}

function addImage(repository: string, image: BuiltImage | BuiltIndex): void {
  for (const one of image.kind === 'index' ? image.images : [image]) {
    registry.addManifest(repository, one.manifest, one.mediaType);
    for (const blob of one.blobs.values()) registry.addBlob(blob);
  }
  registry.addManifest(repository, image.manifest, image.mediaType, 'latest');
}

function status(code: number, headers: Record<string, string> = {}, message = ''): Fault {
  const body = message === '' ? '' : JSON.stringify({ errors: [{ code: 'X', message }] });
  return { kind: 'status', status: code, headers, body };
}

/** The blob's digest is right, and its gzip stream ends in the middle. */
function cutGzip(): BuiltImage {
  const whole = gzipSync(Buffer.alloc(100_000, 'atomic'));
  const layer = {
    tar: whole.subarray(0, whole.length / 2),
    compression: 'none',
    mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip',
  } as const;
  return buildImage({ ...spec, layers: [layer] });
}

add('good');
add('unauthorized', status(401, { 'www-authenticate': 'Basic realm="x"' }, 'who are you'));
add('denied', status(403, {}, 'not for you'));
add('missing', status(404));
add('failing', status(500, {}, 'on fire'));
add('limited', status(429, { 'retry-after': '1' }), 'manifests/', 2);
add('always-limited', status(429, { 'retry-after': '0' }, 'slow down'), 'manifests/');
add('wrong-bytes', { kind: 'wrong-bytes' }, 'blobs/');
add('truncated', { kind: 'short', after: 1000 }, 'blobs/');
add('silent', { kind: 'silent' }, 'manifests/');
add('stalled', { kind: 'stall', after: 100_000 }, 'blobs/');
addImage('cut-gzip', cutGzip());
const elsewhere = buildImage({ ...spec, layers: [], platform: { os: 'linux', architecture: 'mips64le' } });
addImage('elsewhere', buildIndex([elsewhere]));

const file = process.argv[2] ?? '';
writeFileSync(`${file}.new`, registry.host);
renameSync(`${file}.new`, file);
