import { constants, createReadStream, openSync } from 'node:fs';
import { pipeline, Readable, Transform, type TransformCallback } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { AtomicError, messageOf, systemCodeOf } from '../../errors.ts';
import { cleanPath } from '../../stream/tar/path.ts';
import { assembleTar } from '../../stream/tar-split/assemble.ts';
import type { ByteRange } from '../commit-object.ts';
import { METADATA } from '../names.ts';
import { parseCore, readRepositoryConfig } from '../repository-config.ts';
import type { Repository, StoredCommit } from '../repository.ts';
import { TreeFiles } from './tree-files.ts';

/** Four characters of base64 are three bytes. */
const GROUP = 4;

/**
 * A layer's tar, byte for byte as it was imported: out of the record in its commit, and the files of its tree. Memory is
 * bounded. It errors before its end when a file is not what it was; whoever reads it verifies the whole by the DiffID.
 * @param what subject of the error's sentence: "the layer sha256:… in /repo"
 * @throws AtomicError `unsupported` for a layer without a record; `store-invalid`
 */
export async function openLayerTar(
  repository: Repository,
  commit: StoredCommit,
  what: string,
): Promise<Readable> {
  const { tarSplit, metadata, root, checksum } = commit;
  if (tarSplit === undefined) {
    throw new AtomicError(
      'unsupported',
      `${what} has no record of the archive it came in, so that archive cannot be made again`,
      {
        hint: 'It was imported by a version that kept none, or the record was larger than the limit tar-split-size: delete the image and pull it again.',
      },
    );
  }
  const mode = parseCore(await readRepositoryConfig(repository.path)).get('mode') ?? 'bare';
  const tree = new TreeFiles(repository, root.tree, mode);
  const replaced = metadata.has(METADATA.filesReplaced);
  const open = (name: string, size: number): Iterable<Buffer> | AsyncIterable<Buffer> => {
    const shown = JSON.stringify(Buffer.from(name, 'latin1').toString('utf8'));
    const file = tree.find(cleanPath(name, what));
    if (file !== undefined) return tree.read(file, size, `${shown} of ${what}`);
    throw new AtomicError('store-invalid', `${what} has no file ${shown}, which its archive had`, {
      hint: 'Check the repo with `ostree fsck`.',
    });
  };
  const lines = readRecord(repository.objectPath(checksum, 'commit'), tarSplit, what);
  return Readable.from(tellReplaced(assembleTar(lines, open, what), replaced, what), { objectMode: false });
}

/** The record as lines: decoded and decompressed. */
async function* readRecord(path: string, { start, end }: ByteRange, what: string): AsyncGenerator<Buffer> {
  if (start >= end) return;
  const gunzip = createGunzip();
  const fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  pipeline(createReadStream('', { fd, start, end: end - 1 }), new FromBase64(), gunzip, () => undefined);
  try {
    yield* gunzip as AsyncIterable<Buffer>;
  } catch (error) {
    if (systemCodeOf(error)?.startsWith('Z_') !== true) throw error;
    throw new AtomicError(
      'store-invalid',
      `The record of the archive of ${what} is damaged: ${messageOf(error)}`,
      {
        cause: error,
        hint: 'Delete the image and pull it again.',
      },
    );
  } finally {
    gunzip.destroy();
  }
}

class FromBase64 extends Transform {
  #carry = '';

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    const text = this.#carry + chunk.toString('latin1');
    const whole = text.length - (text.length % GROUP);
    this.#carry = text.slice(whole);
    done(null, Buffer.from(text.slice(0, whole), 'base64'));
  }

  override _flush(done: TransformCallback): void {
    done(null, Buffer.from(this.#carry, 'base64'));
  }
}

/** A tar may have a file twice, and a tree only keeps the last one. */
async function* tellReplaced(
  tar: AsyncIterable<Buffer>,
  replaced: boolean,
  what: string,
): AsyncGenerator<Buffer> {
  try {
    yield* tar;
  } catch (error) {
    if (!replaced || !(error instanceof AtomicError)) throw error;
    throw new AtomicError(
      'unsupported',
      `${what} came in an archive that has a file twice; the first one is not kept, so that archive cannot be made again`,
      { cause: error, hint: 'Copy the image from where it was pulled from.' },
    );
  }
}
