/**
 * What an import recorded of a layer's entries, kept beside the repo's objects in the folder that ostree leaves to
 * others: `REPO/extensions/atomic-ts/layers-1/HEX`. It is a cache: without it (a layer that skopeo imported) it is
 * made again from the layer's tree, where every folder then counts as one with an entry of its own.
 *
 * Format 1: records ended by NUL. `d MODE UID GID PATH` (`D`: with xattrs), `p PATH` (implied folder), `f PATH`,
 * `w PATH`, `o PATH`, `r PATH` (replaced by nothing), `h PATH` followed by `t TARGET`, and `n PATH` (the first with
 * a stored name); MODE in octal; paths as they are stored (UTF-8), relative and clean.
 */
import { createReadStream, createWriteStream } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { AtomicError, describeDiskFull } from '../errors.ts';
import { hexOf, type Digest } from '../image/digest.ts';
import { makeFolder } from '../make-folder.ts';
import type { LayerRecord } from '../stream/tar/recorder.ts';

const FLUSH_CHARACTERS = 64 * 1024;

export function indexFolder(repository: string): string {
  return join(repository, 'extensions/atomic-ts/layers-1');
}

/** Where the index of a layer is. */
export function indexPath(repository: string, layer: Digest): string {
  return join(indexFolder(repository), hexOf(layer));
}

/** Writes an index next to its place (paths come as latin1, one character a byte); `publish` puts it there, `discard` removes it. */
export class LayerIndexWriter {
  readonly #temporary: string;
  readonly #path: string;
  readonly #stream;
  #pending = '';
  #failure: Error | undefined;

  private constructor(path: string) {
    this.#path = path;
    this.#temporary = `${path}.${process.pid}.tmp`;
    this.#stream = createWriteStream(this.#temporary, { encoding: 'latin1' });
    this.#stream.on('error', (error) => (this.#failure = error));
  }

  static async create(repository: string, layer: Digest): Promise<LayerIndexWriter> {
    const path = indexPath(repository, layer);
    await makeFolder(indexFolder(repository));
    return new LayerIndexWriter(path);
  }

  write(record: LayerRecord): void {
    this.#pending += formatRecord(record);
    if (this.#pending.length > FLUSH_CHARACTERS) this.#flush();
  }

  async publish(): Promise<void> {
    this.#flush();
    this.#stream.end();
    // An error is kept by the listener, and closes the stream as well.
    if (!this.#stream.closed) await new Promise<void>((resolve) => this.#stream.once('close', resolve));
    if (this.#failure !== undefined) throw describeDiskFull(this.#failure, this.#path);
    await rename(this.#temporary, this.#path);
  }

  async discard(): Promise<void> {
    // The file is opened in the background: before the stream is closed it may not be there yet.
    const closed = new Promise<void>((resolve) => this.#stream.once('close', resolve));
    this.#stream.destroy();
    if (!this.#stream.closed) await closed;
    await rm(this.#temporary, { force: true });
  }

  #flush(): void {
    this.#stream.write(this.#pending, 'latin1');
    this.#pending = '';
  }
}

function formatRecord(record: LayerRecord): string {
  switch (record.kind) {
    case 'directory':
      return `${record.xattrs ? 'D' : 'd'} ${record.mode.toString(8)} ${record.uid} ${record.gid} ${record.path}\0`;
    case 'implied':
      return `p ${record.path}\0`;
    case 'file':
      return `f ${record.path}\0`;
    case 'whiteout':
      return `w ${record.path}\0`;
    case 'opaque':
      return `o ${record.path}\0`;
    case 'replaced':
      return `r ${record.path}\0`;
    case 'stored-name':
      return `n ${record.path}\0`;
    case 'lower-link':
      return `h ${record.path}\0t ${record.target}\0`;
  }
}

/**
 * Reads an index.
 * @throws AtomicError `store-invalid` when it is damaged; the system's ENOENT when there is none
 */
export async function* readLayerIndex(path: string): AsyncGenerator<LayerRecord> {
  let carry = '';
  let link: string | undefined;
  for await (const chunk of createReadStream(path, { encoding: 'utf8', highWaterMark: 256 * 1024 })) {
    const records = (carry + String(chunk)).split('\0');
    carry = records.pop() ?? '';
    for (const record of records) {
      const parsed = parseRecord(record, link, path);
      link = typeof parsed === 'string' ? parsed : undefined;
      if (typeof parsed !== 'string') yield parsed;
    }
  }
  if (carry !== '' || link !== undefined) throw damaged(path);
}

/** A record, or the path of a lower link whose target follows. */
function parseRecord(text: string, link: string | undefined, path: string): LayerRecord | string {
  const rest = text.slice(2);
  if (text[1] !== ' ' || (link !== undefined && text[0] !== 't')) throw damaged(path);
  switch (text[0]) {
    case 'd':
    case 'D': {
      const match = /^([0-7]+) ([0-9]+) ([0-9]+) (.*)$/s.exec(rest);
      if (match === null) throw damaged(path);
      const [, mode = '', uid, gid, directory = ''] = match;
      return {
        kind: 'directory',
        path: directory,
        mode: Number.parseInt(mode, 8),
        uid: Number(uid),
        gid: Number(gid),
        xattrs: text[0] === 'D',
      };
    }
    case 'p':
      return { kind: 'implied', path: rest };
    case 'f':
      return { kind: 'file', path: rest };
    case 'w':
      return { kind: 'whiteout', path: rest };
    case 'o':
      return { kind: 'opaque', path: rest };
    case 'r':
      return { kind: 'replaced', path: rest };
    case 'n':
      return { kind: 'stored-name', path: rest };
    case 'h':
      return rest;
    case 't':
      if (link === undefined) throw damaged(path);
      return { kind: 'lower-link', path: link, target: rest };
    default:
      throw damaged(path);
  }
}

function damaged(path: string): AtomicError {
  return new AtomicError('store-invalid', `the layer index ${path} is damaged`, {
    hint: 'Remove that file: it is made again from the layer.',
  });
}
