import { finished, Writable, type Readable } from 'node:stream';
import { AtomicError } from '../../errors.ts';

export type SourceEnd = { readonly ok: true } | { readonly ok: false; readonly error: unknown };

/**
 * Resolves when a stream has given its last byte, or has failed; never rejects. Called before anything is awaited,
 * so that an early error of the stream has a listener.
 */
export function watchSource(source: Readable, consumer: string): Promise<SourceEnd> {
  return new Promise((resolve) => {
    finished(source, { writable: false }, (error) => {
      if (error === undefined || error === null) return resolve({ ok: true });
      const cutOff = error.code === 'ERR_STREAM_PREMATURE_CLOSE';
      resolve({
        ok: false,
        error: cutOff
          ? new AtomicError('stream-broken', `The input of ${consumer} was cut off`, { cause: error })
          : error,
      });
    });
  });
}

/**
 * Pipes a stream into a program's standard input, chunk by chunk with the stream's own backpressure.
 *
 * A program may stop reading early and still succeed (tar readers stop at the end mark): the rest is then read to
 * nowhere, because a stream that verifies itself has its say at its end. Why it stopped is told by its exit status;
 * EPIPE tells nothing.
 */
export function pipeInto(source: Readable, stdin: Writable): void {
  stdin.on('error', () => {});
  stdin.once('close', () => {
    source.unpipe(stdin);
    if (!source.readableEnded) source.pipe(nowhere());
  });
  source.pipe(stdin);
}

/** Takes a chunk per turn of the event loop, so that the program's end is noticed while a ready stream is read. */
function nowhere(): Writable {
  return new Writable({ write: (_chunk, _encoding, done) => void setImmediate(done) });
}
