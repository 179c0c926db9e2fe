import { execFileSync } from 'node:child_process';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { streamTar } from '../../../src/transport/archive/tar-stream.ts';

/** Bytes that come one in a turn. */
function slowly(text: string): Readable {
  return Readable.from(
    (async function* () {
      for (const letter of text) {
        await nextTurn();
        yield Buffer.from(letter);
      }
    })(),
  );
}

test('members that are added at the same time stand one behind the other', async () => {
  const tar = streamTar(buffer);
  const texts = ['aaaaaaaa', 'bbbb', 'cccccccccccc'];
  await Promise.all(texts.map((text) => tar.add(text, text.length, slowly(text))));
  const archive = await tar.finish();
  for (const text of texts) {
    const read = execFileSync('tar', ['--extract', '--to-stdout', text], {
      input: archive,
      encoding: 'utf8',
    });
    expect(read).toBe(text);
  }
});

test('whoever adds is told why the reader gave up', async () => {
  const tar = streamTar(async (bytes) => {
    for await (const chunk of bytes) void chunk;
    throw new Error('unexpected end');
  });
  const stopped = streamTar(async (bytes) => {
    await bytes[Symbol.asyncIterator]().next();
    throw new Error('no room');
  });
  await expect(stopped.add('a', 1_000_000, slowly('a'.repeat(1000)))).rejects.toThrow('no room');
  await tar.add('a', 1, Buffer.from('a'));
  await expect(tar.finish()).rejects.toThrow('unexpected end');
});

test('a tar that is given up fails its reader, and twice is as once', async () => {
  let failed: unknown;
  const tar = streamTar(async (bytes) => {
    await buffer(bytes).catch((error: unknown) => (failed = error));
    throw failed;
  });
  await tar.add('a', 1, Buffer.from('a'));
  await tar.giveUp();
  await tar.giveUp();
  expect(failed).toMatchObject({ code: 'ERR_STREAM_PREMATURE_CLOSE' });
});
