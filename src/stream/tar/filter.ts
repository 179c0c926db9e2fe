import { Transform, type TransformCallback } from 'node:stream';
import { AtomicError } from '../../errors.ts';
import { limitExceeded, limitOf } from '../../limits.ts';
import type { EntryExtensions } from './entry-fields.ts';
import { normaliseEntry, type EntryVerdict } from './entry.ts';
import { BLOCK_BYTES, createHeader, isZeroBlock, paddedSize, parseHeader, type TarHeader } from './header.ts';
import type { LayerRecorder } from './recorder.ts';
import type { Disassembler } from '../tar-split/disassemble.ts';
import { checkGlobal, formatPax, parsePax } from './pax.ts';

const NO_EXTENSIONS: EntryExtensions = {
  blocks: [],
  pax: undefined,
  longPath: undefined,
  longLink: undefined,
};
const END_OF_ARCHIVE = Buffer.alloc(2 * BLOCK_BYTES);

type State =
  | { readonly at: 'header' }
  | { readonly at: 'extension'; readonly header: TarHeader; readonly block: Buffer; readonly bytes: number }
  | { readonly at: 'sparse-map'; readonly verdict: EntryVerdict }
  /** `content` bytes are a file's own; what is `left` ends with the padding. */
  | { readonly at: 'body'; readonly keep: boolean; readonly padding: number; content: number; left: number }
  | { readonly at: 'first-zero' }
  | { readonly at: 'end' };

/**
 * Passes a layer's tar through, changed only where `ostree commit` would fail on it or read it in another way than we
 * do: see entry.ts for what is left out and what is rewritten. Everything else goes through untouched and uncopied.
 *
 * The end-of-archive marker is held back until the input has ended well, so that a verifying stream in front of this
 * one keeps a damaged layer from ever being a whole archive.
 * @throws AtomicError `layer-invalid`, `limit-exceeded`, `unsupported`
 */
export class LayerFilter extends Transform {
  readonly #what: string;
  readonly #recorder: LayerRecorder;
  readonly #split: Disassembler | undefined;
  #state: State = { at: 'header' };
  #extensions: EntryExtensions = NO_EXTENSIONS;
  /** Bytes of the extensions, so far. */
  #extensionBytes = 0;
  /** Input that is not yet a whole block or extension: joined only when it is, however small its pieces are. */
  #carry: Buffer[] = [];
  #carried = 0;
  #out: Buffer[] = [];

  /** @param split is given every byte of the input */
  constructor(what: string, recorder: LayerRecorder, split?: Disassembler) {
    super();
    this.#what = what;
    this.#recorder = recorder;
    this.#split = split;
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    try {
      this.#take(chunk);
    } catch (error) {
      done(error as Error);
      return;
    }
    this.#pushOut();
    if (this.#split === undefined) done();
    else this.#split.waitForRoom(done);
  }

  override _flush(done: TransformCallback): void {
    const state = this.#state;
    // Some writers (umoci insert) leave out the padding behind the last file, and readers (Go's) do not ask for it.
    const lacksPadding = state.at === 'body' && state.left <= state.padding;
    if (
      this.#carried > 0 ||
      state.at === 'extension' ||
      state.at === 'sparse-map' ||
      (state.at === 'body' && !lacksPadding) ||
      this.#extensions !== NO_EXTENSIONS
    ) {
      done(
        new AtomicError('layer-invalid', `${this.#what} ends in the middle of an entry`, {
          hint: 'The layer was cut off before it was pushed: push the image again.',
        }),
      );
      return;
    }
    if (lacksPadding && state.keep) this.push(Buffer.alloc(state.left));
    this.#split?.end();
    done(null, END_OF_ARCHIVE);
  }

  #take(chunk: Buffer): void {
    const size = this.#carried + chunk.length;
    if (size >= this.#need()) {
      const input = this.#carried === 0 ? chunk : Buffer.concat([...this.#carry, chunk], size);
      const rest = input.subarray(this.#consume(input));
      this.#carry = rest.length === 0 ? [] : [Buffer.from(rest)];
      this.#carried = rest.length;
    } else {
      this.#carry.push(chunk);
      this.#carried = size;
    }
  }

  /** Bytes without which there is nothing to do. */
  #need(): number {
    if (this.#state.at === 'body' || this.#state.at === 'end') return 0;
    return this.#state.at === 'extension' ? paddedSize(this.#state.bytes) : BLOCK_BYTES;
  }

  /** Works on as much of the input as is whole; returns how many bytes that was. */
  #consume(input: Buffer): number {
    let at = 0;
    for (;;) {
      const state = this.#state;
      if (state.at === 'end') {
        this.#split?.segment(input.subarray(at));
        return input.length;
      }
      if (state.at === 'body') {
        const bytes = input.subarray(at, at + Math.min(state.left, input.length - at));
        this.#passBody(state, bytes);
        at += bytes.length;
        if (state.left > 0) return at;
        this.#state = { at: 'header' };
      } else {
        const need = this.#need();
        if (input.length - at < need) return at;
        this.#step(state, input.subarray(at, at + need));
        at += need;
      }
    }
  }

  #passBody(state: Extract<State, { at: 'body' }>, bytes: Buffer): void {
    if (state.keep) this.#emit(bytes);
    const content = Math.min(state.content, bytes.length);
    if (content > 0) this.#split?.content(bytes.subarray(0, content));
    if (content < bytes.length) this.#split?.segment(bytes.subarray(content));
    state.content -= content;
    state.left -= bytes.length;
  }

  #step(state: Exclude<State, { at: 'body' | 'end' }>, bytes: Buffer): void {
    this.#split?.segment(bytes);
    if (state.at === 'extension') this.#readExtension(state, bytes);
    else if (state.at === 'sparse-map') this.#readSparseMap(state.verdict, bytes);
    else if (isZeroBlock(bytes)) this.#state = { at: state.at === 'first-zero' ? 'end' : 'first-zero' };
    else if (state.at === 'first-zero') throw this.#invalid('has an entry behind its end-of-archive marker');
    else this.#readHeader(bytes);
  }

  #readHeader(block: Buffer): void {
    const header = parseHeader(block);
    if (header === undefined)
      throw this.#invalid('has an entry whose header is damaged (wrong checksum or numbers)');
    if ('xgLK'.includes(header.type)) {
      this.#extensionBytes += BLOCK_BYTES + header.size;
      const limit = limitOf('tar-header-size');
      if (this.#extensionBytes > limit) {
        throw limitExceeded(
          'tar-header-size',
          `${this.#what} has extended headers of more than ${limit} bytes before one entry`,
          this.#extensionBytes,
        );
      }
      this.#state = { at: 'extension', header, block: Buffer.from(block), bytes: header.size };
      return;
    }
    this.#finishEntry(header, block);
  }

  #readExtension(state: Extract<State, { at: 'extension' }>, padded: Buffer): void {
    const body = padded.subarray(0, state.bytes);
    const { blocks, ...known } = this.#extensions;
    this.#state = { at: 'header' };
    if (state.header.type === 'g') {
      checkGlobal(parsePax(body, this.#what), this.#what);
      return;
    }
    const merged = { ...known, blocks: [...blocks, state.block, Buffer.from(padded)] };
    if (state.header.type === 'x')
      this.#extensions = { ...merged, pax: [...(known.pax ?? []), ...parsePax(body, this.#what)] };
    else if (state.header.type === 'L') this.#extensions = { ...merged, longPath: untilNul(body) };
    else this.#extensions = { ...merged, longLink: untilNul(body) };
  }

  #finishEntry(header: TarHeader, block: Buffer): void {
    const extensions = this.#extensions;
    this.#extensions = NO_EXTENSIONS;
    this.#extensionBytes = 0;
    this.#recorder.entries++;
    const limit = limitOf('layer-entries');
    if (this.#recorder.entries > limit) {
      throw limitExceeded('layer-entries', `${this.#what} has more than ${limit} entries`);
    }
    const verdict = normaliseEntry({ header, block, extensions, what: this.#what }, this.#recorder);
    // ostree would make them itself, with the owner of what lies in them.
    for (const path of this.#recorder.takeNewParents()) this.#emit(createFolder(path));
    this.#emitHead(verdict, extensions, block);
    // Byte 482 of an old GNU sparse header says that more blocks of its map follow.
    if (header.type === 'S' && block[482] === 1) this.#state = { at: 'sparse-map', verdict };
    else this.#enterBody(verdict);
  }

  #emitHead(verdict: EntryVerdict, extensions: EntryExtensions, block: Buffer): void {
    const head = verdict.head === 'unchanged' ? [...extensions.blocks, block] : verdict.head;
    for (const part of head) this.#emit(part);
  }

  #readSparseMap(verdict: EntryVerdict, block: Buffer): void {
    if (verdict.keepBody) this.#emit(block);
    if (block[504] !== 1) this.#enterBody(verdict);
  }

  #enterBody({ keepBody: keep, bodyBytes, wholeFile }: EntryVerdict): void {
    if (bodyBytes === 0) {
      this.#state = { at: 'header' };
      return;
    }
    const content = wholeFile === undefined ? 0 : bodyBytes;
    if (wholeFile !== undefined) this.#split?.file(wholeFile, bodyBytes);
    const left = paddedSize(bodyBytes);
    this.#state = { at: 'body', keep, padding: left - bodyBytes, content, left };
  }

  /** Queues bytes; neighbours in one buffer become one piece again, so that most chunks go out as they came. */
  #emit(bytes: Buffer): void {
    const last = this.#out.at(-1);
    if (
      last !== undefined &&
      last.buffer === bytes.buffer &&
      last.byteOffset + last.length === bytes.byteOffset
    ) {
      this.#out[this.#out.length - 1] = Buffer.from(last.buffer, last.byteOffset, last.length + bytes.length);
    } else if (bytes.length > 0) {
      this.#out.push(bytes);
    }
  }

  #pushOut(): void {
    for (const piece of this.#out) this.push(piece);
    this.#out = [];
  }

  #invalid(found: string): AtomicError {
    return new AtomicError('layer-invalid', `${this.#what} is not a valid tar: it ${found}`, {
      hint: 'Push the image again; if it stays, rebuild it.',
    });
  }
}

/** A folder that has no entry of its own: root's, 0755. */
function createFolder(path: string): Buffer {
  const name = `${path === '' ? '.' : path}/`;
  const header = createHeader({ path: name, mode: 0o755, size: 0, type: '5' });
  return name.length <= 100 ? header : Buffer.concat([formatPax([['path', name]]), header]);
}

function untilNul(body: Buffer): string {
  const end = body.indexOf(0);
  return body.toString('latin1', 0, end === -1 ? body.length : end);
}
