/**
 * What a tar is made of besides the contents of its files: with that and the files it can be put together again, byte
 * for byte. One JSON document a line: a segment of raw bytes (headers, padding, the end of the archive), or a file with
 * its name, size and checksum.
 * @see github.com/vbatts/tar-split, tar/storage/entry.go and tar/asm/disassemble.go, which wrote what skopeo stored
 */
import { isUtf8 } from 'node:buffer';
import { Crc64 } from '../crc64.ts';

/** The types of entries. */
export const FILE = 1;
export const SEGMENT = 2;

/** Bytes of one segment, so that nobody has to hold a long line: a whole number of base64's groups. */
const SEGMENT_BYTES = 48 * 1024;

/** Where the lines go. */
export interface LineSink {
  write(line: string): void;
  /** Calls back once it can take more, or with what keeps it from that: at once, in most cases. */
  waitForRoom(done: (error?: Error) => void): void;
}

/**
 * Takes a tar apart as a reader of it tells where a file's content begins. Files without content get no line of their
 * own, as nothing has to be read for them.
 */
export class Disassembler {
  readonly #sink: LineSink;
  readonly #crc = new Crc64();
  #position = 0;
  #pending: Buffer[] = [];
  #pendingBytes = 0;
  #file: { readonly name: string; readonly size: number; left: number } | undefined;

  constructor(sink: LineSink) {
    this.#sink = sink;
  }

  waitForRoom(done: (error?: Error) => void): void {
    this.#sink.waitForRoom(done);
  }

  /** Bytes that are no file's content. */
  segment(bytes: Buffer): void {
    for (let at = 0; at < bytes.length;) {
      const piece = bytes.subarray(at, at + SEGMENT_BYTES - this.#pendingBytes);
      this.#pending.push(piece);
      this.#pendingBytes += piece.length;
      at += piece.length;
      if (this.#pendingBytes === SEGMENT_BYTES) this.#flush();
    }
  }

  /**
   * A file whose content of `size` bytes, more than 0, comes next.
   * @param name as it stands in the tar; latin1, one character a byte
   */
  file(name: string, size: number): void {
    this.#flush();
    this.#file = { name, size, left: size };
  }

  content(bytes: Buffer): void {
    const file = this.#file;
    if (file === undefined) return;
    this.#crc.update(bytes);
    file.left -= bytes.length;
    if (file.left > 0) return;
    this.#file = undefined;
    const payload = this.#crc.digest().toString('base64');
    this.#write(`"type":${FILE},${nameField(file.name)},"size":${file.size}`, payload);
  }

  end(): void {
    this.#flush();
  }

  #flush(): void {
    if (this.#pendingBytes === 0) return;
    const payload = Buffer.concat(this.#pending, this.#pendingBytes).toString('base64');
    this.#pending = [];
    this.#pendingBytes = 0;
    this.#write(`"type":${SEGMENT}`, payload);
  }

  /** Base64 needs no escapes, and JSON.stringify would look for some in all of it. */
  #write(fields: string, payload: string): void {
    this.#sink.write(`{${fields},"payload":"${payload}","position":${this.#position++}}\n`);
  }
}

function nameField(name: string): string {
  const bytes = Buffer.from(name, 'latin1');
  return isUtf8(bytes)
    ? `"name":${JSON.stringify(bytes.toString('utf8'))}`
    : `"name_raw":"${bytes.toString('base64')}"`;
}
