// Writes an OCI layout of a given shape: files of mixed sizes and compressibility, as a distribution's root has them.
// Usage: node bench/make-image.mjs DIR MEGABYTES FILES LAYERS [SEED]
import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync, createWriteStream, renameSync } from 'node:fs';
import { once } from 'node:events';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { join } from 'node:path';
import { PassThrough, Transform } from 'node:stream';

const [dir, megabytes, files, layers, seed = '1'] = process.argv.slice(2);
const random = generator(Number(seed));
const words = Array.from({ length: 4096 }, () =>
  Array.from({ length: 3 + Math.floor(random() * 9) }, () => 'etaoinshrdlucmfwypvbgkjqxz'[Math.floor(random() ** 2 * 26)]).join(''),
);

/** mulberry32: small, fast, the same everywhere. */
function generator(state) {
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** Two thirds of the bytes are words, one third is noise: gzip halves it, as it does a distribution's files. */
function content(size) {
  const buffer = Buffer.allocUnsafe(size);
  let at = 0;
  while (at < size) {
    if (random() < 0.0025) {
      const end = Math.min(size, at + 2048);
      for (; at < end; at++) buffer[at] = random() * 256;
    } else {
      at += buffer.write(`${words[Math.floor(random() * words.length)]} `, at, 'latin1') || size;
    }
  }
  return buffer;
}

function header(path, size, type, mode) {
  const block = Buffer.alloc(512);
  const cut = path.length > 100 ? path.lastIndexOf('/', 155) : 0;
  block.write(cut > 0 ? path.slice(cut + 1) : path, 0, 100, 'latin1');
  if (cut > 0) block.write(path.slice(0, cut), 345, 155, 'latin1');
  const octal = (value, offset, length) => block.write(`${value.toString(8).padStart(length - 1, '0')}\0`, offset, 'latin1');
  octal(mode, 100, 8);
  octal(0, 108, 8);
  octal(0, 116, 8);
  octal(size, 124, 12);
  octal(1700000000, 136, 12);
  block.write('        ', 148, 'latin1');
  block.write(type, 156, 'latin1');
  block.write('ustar\x0000', 257, 'latin1');
  block.write(`${block.reduce((sum, byte) => sum + byte, 0).toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return block;
}

async function writeLayer(number, fileCount, bytes) {
  const tar = new PassThrough({ highWaterMark: 1 << 20 });
  const diffId = createHash('sha256');
  const digest = createHash('sha256');
  let size = 0;
  const count = (hash, add) => new Transform({ transform(chunk, _, done) { hash.update(chunk); add(chunk.length); done(null, chunk); } });
  const temporary = join(dir, `blobs/sha256/layer-${number}.tmp`);
  const done = pipeline(tar, count(diffId, () => {}), createGzip({ level: 6 }), count(digest, (n) => (size += n)), createWriteStream(temporary));
  const put = async (buffer) => { if (!tar.write(buffer)) await once(tar, 'drain'); };
  let left = bytes;
  for (let i = 0; i < fileCount; i++) {
    const folder = `usr/share/layer${number}/d${Math.floor(i / 100)}`;
    if (i % 100 === 0) await put(header(`${folder}/`, 0, '5', 0o755));
    // Sizes spread over three orders of magnitude around the mean.
    const mean = left / (fileCount - i);
    const body = content(i === fileCount - 1 ? Math.floor(left) : Math.floor(mean * (0.02 + 2.9 * random() ** 2)));
    left = Math.max(0, left - body.length);
    await put(header(`${folder}/file-${i}.dat`, body.length, '0', i % 7 === 0 ? 0o755 : 0o644));
    await put(body);
    await put(Buffer.alloc((512 - (body.length % 512)) % 512));
  }
  tar.end(Buffer.alloc(1024));
  await done;
  const hex = digest.digest('hex');
  renameSync(temporary, join(dir, 'blobs/sha256', hex));
  return { diffId: `sha256:${diffId.digest('hex')}`, digest: `sha256:${hex}`, size };
}

function writeBlob(value) {
  const bytes = Buffer.from(JSON.stringify(value));
  const hex = createHash('sha256').update(bytes).digest('hex');
  writeFileSync(join(dir, 'blobs/sha256', hex), bytes);
  return { digest: `sha256:${hex}`, size: bytes.length };
}

mkdirSync(join(dir, 'blobs/sha256'), { recursive: true });
// The base is the largest layer; each one above is about half of the one below.
const weights = Array.from({ length: Number(layers) }, (_, i) => 1 / 1.8 ** i);
const total = weights.reduce((a, b) => a + b);
const made = [];
for (const [i, weight] of weights.entries()) {
  made.push(await writeLayer(i, Math.round((Number(files) * weight) / total), (Number(megabytes) * 1e6 * weight) / total));
}
const architecture = { x64: 'amd64', arm64: 'arm64' }[process.arch] ?? process.arch;
const config = writeBlob({
  architecture,
  os: 'linux',
  config: { Cmd: ['/bin/sh'], Env: ['PATH=/usr/bin:/bin'] },
  rootfs: { type: 'layers', diff_ids: made.map((layer) => layer.diffId) },
  history: [],
});
const manifest = writeBlob({
  schemaVersion: 2,
  mediaType: 'application/vnd.oci.image.manifest.v1+json',
  config: { mediaType: 'application/vnd.oci.image.config.v1+json', ...config },
  layers: made.map(({ digest, size }) => ({ mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip', digest, size })),
});
writeFileSync(join(dir, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
writeFileSync(
  join(dir, 'index.json'),
  JSON.stringify({
    schemaVersion: 2,
    manifests: [
      { mediaType: 'application/vnd.oci.image.manifest.v1+json', ...manifest, annotations: { 'org.opencontainers.image.ref.name': 'latest' } },
    ],
  }),
);
console.log(`${made.length} layers, ${made.reduce((sum, { size }) => sum + size, 0)} bytes compressed`);
