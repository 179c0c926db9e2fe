// Writes an OCI layout of a given shape, the same bytes each time: files of mixed sizes and compressibility.
//
//   node bench/make-image.mjs DIR MEGABYTES FILES LAYERS [SEED]
//
// The tag `latest` is the whole image; `base` is the same image without its last layer.
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createWriteStream, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { PassThrough, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';

const LETTERS = 'etaoinshrdlucmfwypvbgkjqxz';
const FILES_PER_FOLDER = 100;
const MEDIA = 'application/vnd.oci.image';

const [dir, megabytes, files, layers, seed = '1'] = process.argv.slice(2);
const random = createRandom(Number(seed));
const words = Array.from({ length: 4096 }, makeWord);

async function makeImage(bytes, fileCount, layerCount) {
  mkdirSync(join(dir, 'blobs/sha256'), { recursive: true });
  // The base is the largest layer; each one above is about half of the one below.
  const weights = Array.from({ length: layerCount }, (_, i) => 1 / 1.8 ** i);
  const total = weights.reduce((sum, weight) => sum + weight);
  const made = [];
  for (const [i, weight] of weights.entries()) {
    const share = weight / total;
    made.push(await writeLayer(i, Math.round(fileCount * share), bytes * share));
  }
  const manifests = [writeManifest(made, 'latest'), writeManifest(made.slice(0, -1), 'base')];
  writeFileSync(join(dir, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests }));
  writeFileSync(join(dir, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
}

/** mulberry32: small, fast, the same everywhere. */
function createRandom(state) {
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

function makeWord() {
  const length = 3 + Math.floor(random() * 9);
  return Array.from({ length }, () => LETTERS[Math.floor(random() ** 2 * LETTERS.length)]).join('');
}

/** Words, and two fifths of noise: gzip takes off a quarter. */
function makeContent(size) {
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

async function writeLayer(number, fileCount, bytes) {
  const tar = new PassThrough({ highWaterMark: 1 << 20 });
  const temporary = join(dir, `blobs/sha256/layer-${number}.tmp`);
  const unpacked = new Hasher();
  const packed = new Hasher();
  const written = pipeline(tar, unpacked, createGzip({ level: 6 }), packed, createWriteStream(temporary));
  for (const block of layerBlocks(number, fileCount, bytes)) {
    if (!tar.write(block)) await once(tar, 'drain');
  }
  tar.end(Buffer.alloc(1024));
  await written;
  const hex = packed.hash.digest('hex');
  renameSync(temporary, join(dir, 'blobs/sha256', hex));
  return { diffId: `sha256:${unpacked.hash.digest('hex')}`, digest: `sha256:${hex}`, size: packed.size };
}

function* layerBlocks(number, fileCount, bytes) {
  let left = bytes;
  for (let i = 0; i < fileCount; i++) {
    const folder = `usr/share/layer${number}/d${Math.floor(i / FILES_PER_FOLDER)}`;
    if (i % FILES_PER_FOLDER === 0) yield makeHeader(`${folder}/`, 0, '5', 0o755);
    // Sizes spread over three orders of magnitude around the mean; the last file takes what is left.
    const mean = left / (fileCount - i);
    const size = i === fileCount - 1 ? left : mean * (0.02 + 2.9 * random() ** 2);
    const content = makeContent(Math.floor(size));
    left = Math.max(0, left - content.length);
    yield makeHeader(`${folder}/file-${i}.dat`, content.length, '0', i % 7 === 0 ? 0o755 : 0o644);
    yield content;
    yield Buffer.alloc((512 - (content.length % 512)) % 512);
  }
}

/** A ustar header of root's. */
function makeHeader(path, size, type, mode) {
  const block = Buffer.alloc(512);
  const writeOctal = (value, offset, length) =>
    block.write(`${value.toString(8).padStart(length - 1, '0')}\0`, offset, 'latin1');
  block.write(path, 0, 100, 'latin1');
  writeOctal(mode, 100, 8);
  writeOctal(0, 108, 8);
  writeOctal(0, 116, 8);
  writeOctal(size, 124, 12);
  writeOctal(1700000000, 136, 12);
  block.write('        ', 148, 'latin1');
  block.write(type, 156, 'latin1');
  block.write('ustar\x0000', 257, 'latin1');
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return block;
}

function writeManifest(made, tag) {
  const config = writeBlob(`${MEDIA}.config.v1+json`, {
    architecture: { x64: 'amd64', arm64: 'arm64' }[process.arch] ?? process.arch,
    os: 'linux',
    config: { Cmd: ['/bin/sh'], Env: ['PATH=/usr/bin:/bin'] },
    rootfs: { type: 'layers', diff_ids: made.map(({ diffId }) => diffId) },
    history: [],
  });
  const mediaType = `${MEDIA}.manifest.v1+json`;
  const manifest = writeBlob(mediaType, {
    schemaVersion: 2,
    mediaType,
    config,
    layers: made.map(({ digest, size }) => ({ mediaType: `${MEDIA}.layer.v1.tar+gzip`, digest, size })),
  });
  return { ...manifest, annotations: { 'org.opencontainers.image.ref.name': tag } };
}

function writeBlob(mediaType, value) {
  const bytes = Buffer.from(JSON.stringify(value));
  const hex = createHash('sha256').update(bytes).digest('hex');
  writeFileSync(join(dir, 'blobs/sha256', hex), bytes);
  return { mediaType, digest: `sha256:${hex}`, size: bytes.length };
}

/** Passes bytes on, hashed and counted. */
class Hasher extends Transform {
  hash = createHash('sha256');
  size = 0;

  _transform(chunk, _encoding, done) {
    this.hash.update(chunk);
    this.size += chunk.length;
    done(null, chunk);
  }
}

await makeImage(Number(megabytes) * 1e6, Number(files), Number(layers));
