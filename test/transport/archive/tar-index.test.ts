import { writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { limitOf } from '../../../src/limits.ts';
import { indexTar, type ArchiveMember } from '../../../src/transport/archive/tar-index.ts';
import { writeHeader, writePax, writeTar } from '../../fixtures/tar-writer.ts';
import { useTempFolder } from '../../fixtures/temp-folder.ts';
import { messageOfFailure } from '../images.ts';

const folder = useTempFolder();

async function index(tar: Uint8Array): Promise<Map<string, ArchiveMember>> {
  const path = join(folder(), 'x.tar');
  writeFileSync(path, tar);
  const handle = await open(path);
  try {
    return await indexTar(handle, path);
  } finally {
    await handle.close();
  }
}

describe('the index of a tar', () => {
  test('gives the place of each file and steps over the data', async () => {
    const tar = writeTar([
      { path: 'a', content: 'x'.repeat(513) },
      { path: 'empty' },
      { path: 'b', content: 'find me' },
    ]);
    const members = await index(tar);
    expect([...members.keys()]).toEqual(['a', 'empty', 'b']);
    const b = members.get('b');
    if (b?.kind !== 'file') throw new Error('b is no file');
    expect(tar.subarray(b.offset, b.offset + b.size).toString()).toBe('find me');
    expect(members.get('empty')).toMatchObject({ kind: 'file', size: 0 });
  });

  test('leaves out folders and the ./ that tar writes for a folder of its own', async () => {
    const members = await index(
      writeTar([
        { path: './', type: 'dir' },
        { path: './blobs', type: 'dir' },
        { path: './blobs/x', content: '1' },
      ]),
    );
    expect([...members.keys()]).toEqual(['blobs/x']);
  });

  test.each(['pax', 'gnu'] as const)('reads long names and targets in %s style', async (longNames) => {
    const long = `${'d'.repeat(90)}/${'f'.repeat(90)}`;
    const members = await index(
      writeTar([
        { path: long, content: 'x', longNames },
        { path: 'link', type: 'symlink', target: long, longNames },
        { path: 'after', content: 'y' },
      ]),
    );
    expect(members.get(long)).toMatchObject({ kind: 'file', size: 1 });
    expect(members.get('link')).toEqual({ kind: 'symlink', target: long });
    expect(members.get('after')).toMatchObject({ kind: 'file', size: 1 });
  });

  test('reads the prefix field, and a PAX path stands for both fields', async () => {
    const header = writeHeader({
      path: Buffer.from('name'),
      prefix: Buffer.from('folder'),
      typeFlag: '0',
      size: 0,
    });
    const members = await index(
      writeTar([{ raw: header }, { raw: writePax([['path', 'other/name']]) }, { raw: header }]),
    );
    expect([...members.keys()]).toEqual(['folder/name', 'other/name']);
  });

  test('takes the size of a PAX record, and a global header has no say', async () => {
    const content = 'z'.repeat(1000);
    const members = await index(
      writeTar([
        { raw: writePax([['path', 'elsewhere']], 'g') },
        { path: 'big', content, headerSize: 0, pax: { size: '1000' } },
        { path: 'after', content: 'y' },
      ]),
    );
    expect(members.get('big')).toMatchObject({ kind: 'file', size: 1000 });
    expect(members.get('after')).toMatchObject({ kind: 'file', size: 1 });
  });

  test('gives links and devices no data, whatever their size field says', async () => {
    const members = await index(
      writeTar([
        { path: 'hard', type: 'hardlink', target: 'a', headerSize: 4096 },
        { path: 'pipe', type: 'fifo', headerSize: 512 },
        { path: 'a', content: 'real' },
      ]),
    );
    expect(members.get('hard')).toEqual({ kind: 'other', type: 'Link' });
    expect(members.get('pipe')).toEqual({ kind: 'other', type: 'FIFO' });
    expect(members.get('a')).toMatchObject({ kind: 'file', size: 4 });
  });

  test('ends at the zero block, and at the end of a file that has none', async () => {
    const withoutEnd = writeTar([{ path: 'a', content: 'x' }], { end: false });
    expect([...(await index(withoutEnd)).keys()]).toEqual(['a']);
    const behindEnd = Buffer.concat([writeTar([{ path: 'a' }]), writeTar([{ path: 'hidden' }])]);
    expect([...(await index(behindEnd)).keys()]).toEqual(['a']);
  });
});

describe('a hostile tar is refused:', () => {
  test('text that is no tar', async () => {
    expect(await messageOfFailure(index(Buffer.alloc(1024, 'x')), 'archive-invalid')).toMatch(
      /x\.tar is not a tar archive$/,
    );
  });

  test('a damaged header in the middle', async () => {
    const tar = writeTar([{ path: 'a', content: 'x' }, { path: 'b' }]);
    tar.write('!', 1024 + 200);
    expect(await messageOfFailure(index(tar), 'archive-invalid')).toMatch(/damaged tar header at byte 1024$/);
  });

  test('a member that reaches behind the end of the file', async () => {
    const tar = writeTar([{ path: 'a', content: 'x'.repeat(2000) }]);
    expect(await messageOfFailure(index(tar.subarray(0, 1500)), 'archive-invalid')).toMatch(/cut off/);
  });

  test('a header that is cut off', async () => {
    const tar = writeTar([{ path: 'a', content: 'x' }, { path: 'b' }]);
    expect(await messageOfFailure(index(tar.subarray(0, 1100)), 'archive-invalid')).toMatch(/ends after/);
  });

  test('one name twice, because tools disagree on which one counts', async () => {
    const tar = writeTar([
      { path: 'manifest.json', content: '1' },
      { path: './manifest.json', content: '2' },
    ]);
    expect(await messageOfFailure(index(tar), 'archive-invalid')).toMatch(
      /two members named "manifest.json"/,
    );
  });

  test('a PAX header that is too long', async () => {
    const tar = writeTar([{ path: 'a', pax: { comment: 'x'.repeat(limitOf('tar-header-size')) } }]);
    expect(await messageOfFailure(index(tar), 'limit-exceeded')).toMatch(/tar extension of/);
  });

  test('more members than the limit', async () => {
    const header = writeHeader({ path: Buffer.from('d/'), typeFlag: '5', size: 0 });
    const tar = Buffer.concat(Array.from({ length: limitOf('archive-members') + 1 }, () => header));
    expect(await messageOfFailure(index(tar), 'limit-exceeded')).toMatch(/more than 16384 members/);
  });
});
