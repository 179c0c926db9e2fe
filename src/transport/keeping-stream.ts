import type { FileHandle } from 'node:fs/promises';
import { Transform, type TransformCallback } from 'node:stream';

/** Bytes that wait in memory for the disk before their reader has to. */
const WAITING_BYTES = 4 * 1024 * 1024;

/** What beginnings of blobs may take up on the disk, for all that are kept at the same time. */
export interface KeepingRoom {
  /** A smaller blob is fetched again instead. */
  readonly floorBytes: number;
  /** How many of so many bytes may be written. */
  take(bytes: number): number;
  giveBack(bytes: number): void;
}

/**
 * Passes bytes on and writes them to a file as well. Its reader waits for the disk only when much is still to be
 * written. A write that fails ends the keeping, and so does the end of the room; neither is the reader's concern.
 */
export class KeepingStream extends Transform {
  readonly #file: FileHandle;
  readonly #room: KeepingRoom;
  #position: number;
  /** Room that was taken for bytes that are not written. */
  #owed = 0;
  #queue: Buffer[] = [];
  #waitingBytes = 0;
  #writing: Promise<void> | undefined;
  #isKeeping = true;
  #gaveUp = false;
  #resume: (() => void) | undefined;

  /** @param position where in the file the first byte belongs */
  constructor(file: FileHandle, position: number, room: KeepingRoom) {
    super();
    this.#file = file;
    this.#position = position;
    this.#room = room;
  }

  /** Whether the disk did not take it: what there is of it is better removed. */
  get gaveUp(): boolean {
    return this.#gaveUp;
  }

  /** Waits for what is being written; what comes later is not. @returns how many bytes the file has */
  async settle(): Promise<number> {
    this.#isKeeping = false;
    await this.#writing;
    this.#room.giveBack(this.#owed);
    this.#owed = 0;
    return this.#position;
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    this.push(chunk);
    if (this.#isKeeping) this.#take(chunk);
    if (this.#waitingBytes < WAITING_BYTES) done();
    else this.#resume = done;
  }

  #take(chunk: Buffer): void {
    const length = this.#room.take(chunk.length);
    if (length < chunk.length) this.#isKeeping = false;
    if (length === 0) return;
    this.#queue.push(chunk.subarray(0, length));
    this.#waitingBytes += length;
    this.#owed += length;
    this.#writing ??= this.#write();
  }

  async #write(): Promise<void> {
    while (this.#queue.length > 0) {
      const batch = this.#queue;
      this.#queue = [];
      const length = batch.reduce((sum, chunk) => sum + chunk.length, 0);
      const written = await this.#file.writev(batch, this.#position).then(
        ({ bytesWritten }) => bytesWritten,
        () => -1,
      );
      this.#waitingBytes -= length;
      if (written === length) {
        this.#position += length;
        this.#owed -= length;
      } else this.#giveUp();
      const resume = this.#resume;
      this.#resume = undefined;
      resume?.();
    }
    this.#writing = undefined;
  }

  #giveUp(): void {
    this.#isKeeping = false;
    this.#gaveUp = true;
    this.#queue = [];
    this.#waitingBytes = 0;
  }
}
