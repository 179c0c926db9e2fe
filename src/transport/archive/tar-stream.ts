import { PassThrough, type Readable } from 'node:stream';
import { READ_CHUNK_BYTES } from '../local-file.ts';
import { createTarWriter, type TarWriter } from './tar-writer.ts';

/** A tar that is read while it is written: by a file, or by whom it is sent to. */
export interface TarStream<T> {
  /** As TarWriter has it, one after the other whoever asks; when the reader gave up, it throws its reason. */
  readonly add: TarWriter['add'];
  /** Ends the tar, and waits for its reader. */
  finish(): Promise<T>;
  /** Breaks the tar off, so that its reader fails; after `finish` nothing happens. */
  giveUp(): Promise<void>;
}

/** @param read reads the tar to its end; the tar breaks off when it fails, and it fails when the tar breaks off */
export function streamTar<T>(read: (tar: Readable) => Promise<T>): TarStream<T> {
  const tar = new PassThrough({ highWaterMark: READ_CHUNK_BYTES });
  // Whoever adds is told; a reader may fail while nobody does.
  tar.on('error', () => undefined);
  const outcome = read(tar);
  outcome.catch(() => tar.destroy());
  const writer = createTarWriter(tar);
  const addNow: TarWriter['add'] = async (name, size, bytes) => {
    try {
      await writer.add(name, size, bytes);
    } catch (error) {
      // Why the reader gave up says more than that it did.
      if (tar.destroyed) await outcome;
      throw error;
    }
  };
  let last: Promise<unknown> = Promise.resolve();
  return {
    add(name, size, bytes) {
      const added = last.then(() => addNow(name, size, bytes));
      last = added.catch(() => undefined);
      return added;
    },
    finish() {
      writer.end();
      return outcome;
    },
    async giveUp() {
      tar.destroy();
      await outcome.catch(() => undefined);
    },
  };
}
