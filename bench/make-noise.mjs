// Writes an OCI layout of layers that nobody can compress, with the tag `latest`; for copies, which do not look into them.
//
//   node bench/make-noise.mjs DIR MEGABYTES LAYERS
import { createHash, randomFillSync } from 'node:crypto';
import { closeSync, mkdirSync, openSync, renameSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';

const MEGABYTE = 1_000_000;
const MEDIA = 'application/vnd.oci.image';

const [dir, megabytes, layers] = process.argv.slice(2);
const blobs = join(dir, 'blobs/sha256');

mkdirSync(blobs, { recursive: true });
const made = Array.from({ length: Number(layers) }, () => writeLayer(Math.round(megabytes / layers)));
const diff_ids = made.map(({ digest }) => digest);
const config = writeJson('config', {
  architecture: 'amd64',
  os: 'linux',
  rootfs: { type: 'layers', diff_ids },
});
const manifest = writeJson('manifest', { schemaVersion: 2, config, layers: made });
const entry = { ...manifest, annotations: { 'org.opencontainers.image.ref.name': 'latest' } };
writeFileSync(join(dir, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests: [entry] }));
writeFileSync(join(dir, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');

function writeLayer(size) {
  const hash = createHash('sha256');
  const temporary = join(blobs, 'layer.tmp');
  const file = openSync(temporary, 'w');
  const noise = Buffer.alloc(MEGABYTE);
  for (let i = 0; i < size; i++) {
    randomFillSync(noise);
    hash.update(noise);
    writeSync(file, noise);
  }
  closeSync(file);
  const hex = hash.digest('hex');
  renameSync(temporary, join(blobs, hex));
  return { mediaType: `${MEDIA}.layer.v1.tar+gzip`, digest: `sha256:${hex}`, size: size * MEGABYTE };
}

function writeJson(kind, value) {
  const bytes = Buffer.from(JSON.stringify(value));
  const hex = createHash('sha256').update(bytes).digest('hex');
  writeFileSync(join(blobs, hex), bytes);
  return { mediaType: `${MEDIA}.${kind}.v1+json`, digest: `sha256:${hex}`, size: bytes.length };
}
