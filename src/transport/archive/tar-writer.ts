import type { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { Header, Pax } from 'tar';

const BLOCK = 512;
/** Two zero blocks end a tar: POSIX pax, "ustar Interchange Format". */
const END = Buffer.alloc(2 * BLOCK);
/** So that the same image gives the same bytes, wherever and by whomever it is written. */
const FIXED = { mode: 0o644, uid: 0, gid: 0, mtime: new Date(0) };

/** Writes a tar of regular files, one member after the other. */
export interface TarWriter {
  /**
   * @param size of what follows; more or less of it makes the archive a damaged one
   * @throws what `bytes` failed with, or what the archive's stream did; nothing can be added afterwards
   */
  add(name: string, size: number, bytes: Readable | Uint8Array): Promise<void>;
  /** Writes the end of the archive, and ends its stream. */
  end(): void;
}

/** @param archive is not destroyed when a member fails: whoever made it knows how to give it up */
export function createTarWriter(archive: Writable): TarWriter {
  async function* parts(
    name: string,
    size: number,
    bytes: Readable | Uint8Array,
  ): AsyncGenerator<Uint8Array> {
    yield encodeHeader(name, size);
    if (bytes instanceof Uint8Array) yield bytes;
    else yield* bytes as AsyncIterable<Buffer>;
    yield Buffer.alloc((BLOCK - (size % BLOCK)) % BLOCK);
  }
  return {
    async add(name, size, bytes) {
      await pipeline(parts(name, size, bytes), archive, { end: false });
    },
    end: () => void archive.end(END),
  };
}

/** A header block; a name or size that it has no room for goes before it, in an extended header. */
function encodeHeader(path: string, size: number): Buffer {
  const header = new Header({ path, size, type: 'File', ...FIXED });
  const block = Buffer.alloc(BLOCK);
  header.encode(block);
  return header.needPax ? Buffer.concat([new Pax({ path, size, ...FIXED }).encode(), block]) : block;
}
