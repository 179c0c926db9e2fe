import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { describe, expect, it } from 'vitest';
import { KeptBytes } from '../../../src/transport/registry/kept-bytes.ts';

const TEXT = 'abcdefghijklmnopqrstuvwxyz';

function keep(bytes: number, source = Readable.from([...chunks()])): KeptBytes {
  return new KeptBytes(source, bytes);
}

function* chunks(size = 4): Generator<Buffer> {
  for (let at = 0; at < TEXT.length; at += size) yield Buffer.from(TEXT.slice(at, at + size));
}

async function text(bytes: AsyncIterable<Buffer>): Promise<string> {
  return (await buffer(bytes)).toString();
}

describe('kept bytes', () => {
  it('are read from any of them on, up to any', async () => {
    const kept = keep(100);
    expect(await text(kept.read(0))).toBe(TEXT);
    expect(await text(kept.read(0))).toBe(TEXT);
    expect(await text(kept.read(3, 9))).toBe(TEXT.slice(3, 9));
    expect(await text(kept.read(25))).toBe('z');
    expect(await text(kept.read(26))).toBe('');
  });

  it('lose nothing when a reader is given up while it waits', async () => {
    const source = new Readable({ read() {} });
    const kept = keep(100, source);
    const reader = kept.read(0);
    const waiting = reader.next();
    const given = reader.return();
    source.push(Buffer.from('abc'));
    source.push(null);
    await Promise.all([waiting, given]);
    expect(await text(kept.read(0))).toBe('abc');
  });

  it('are the last ones of a long stream, and say from where', async () => {
    const kept = keep(6);
    expect(await text(kept.read(0))).toBe(TEXT);
    expect(kept.start).toBe(20);
    expect(await text(kept.read(20))).toBe('uvwxyz');
    await expect(text(kept.read(19))).rejects.toThrow('the byte 19 is kept no longer');
  });

  it('can be read ahead, and no farther than they are kept', async () => {
    let given = 0;
    const source = Readable.from(
      (function* () {
        for (const chunk of chunks()) {
          given += chunk.length;
          yield chunk;
        }
      })(),
      { highWaterMark: 1 },
    );
    const kept = keep(8, source);
    await kept.fill();
    expect([kept.start, given < 20]).toEqual([0, true]);
  });

  it('fail as their stream does, for every reader, and remember it', async () => {
    const wrong = new Error('it is another one');
    const source = Readable.from(
      (function* () {
        yield Buffer.from('abc');
        throw wrong;
      })(),
    );
    const kept = keep(100, source);
    await expect(kept.fill()).rejects.toBe(wrong);
    await expect(text(kept.read(0))).rejects.toBe(wrong);
    expect(kept.failure).toBe(wrong);
  });
});
