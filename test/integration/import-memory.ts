/** Run as a process of its own: imports a gzip layer of so many MiB into a repo, and prints its own peak memory in MiB. */
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { createExec } from '../../src/host/exec.ts';
import { digestFromHex } from '../../src/image/digest.ts';
import { ImageStore } from '../../src/store/image-store.ts';
import { writeTar } from '../fixtures/tar-writer.ts';

const MEBIBYTE = 1024 * 1024;

async function main(repository: string, megabytes: number): Promise<void> {
  // Bytes that do not compress, the same in every file: a member of gzip is made once and sent many times.
  const content = Buffer.alloc(MEBIBYTE);
  for (let i = 0, x = 1; i < MEBIBYTE; i++) {
    x = (Math.imul(x, 1_103_515_245) + 12_345) >>> 0;
    content[i] = x >>> 23;
  }
  const body = gzipSync(content, { level: 1 });
  function* members(): Generator<[unpacked: Buffer, packed: Buffer]> {
    for (let i = 0; i < megabytes; i++) {
      const head = writeTar([{ path: `folder/file${i}`, headerSize: MEBIBYTE }], { end: false });
      yield [head, gzipSync(head)];
      yield [content, body];
    }
    const end = writeTar([]);
    yield [end, gzipSync(end)];
  }
  const [diffId, digest] = [createHash('sha256'), createHash('sha256')];
  let size = 0;
  for (const [unpacked, packed] of members()) {
    diffId.update(unpacked);
    digest.update(packed);
    size += packed.length;
  }
  const store = new ImageStore(repository, createExec());
  const layer = await store.importLayer({
    descriptor: { mediaType: '', digest: digestFromHex('sha256', digest.digest('hex')), size },
    diffId: digestFromHex('sha256', diffId.digest('hex')),
    bytes: Readable.from(
      (function* () {
        for (const [, packed] of members()) yield packed;
      })(),
      { objectMode: false },
    ),
    what: 'the layer',
    onProgress: () => undefined,
  });
  await layer.publish();
  console.log(Math.round(process.resourceUsage().maxRSS / 1024));
}

const [repository = '', megabytes] = process.argv.slice(2);
void main(repository, Number(megabytes));
