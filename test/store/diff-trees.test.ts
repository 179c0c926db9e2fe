import { chmodSync, linkSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { PassThrough } from 'node:stream';
import { beforeEach, describe, expect, it } from 'vitest';
import type { Exec } from '../../src/host/ports.ts';
import { showBytes } from '../../src/store/compare-trees.ts';
import { diffTrees } from '../../src/store/diff-trees.ts';
import { bytePath } from '../../src/store/object-checksum.ts';
import { useTempFolder } from '../fixtures/temp-folder.ts';
import { FakeExec } from '../service/fake-systemctl.ts';

const folder = useTempFolder();
const at = (path: string): string => join(folder(), path);

function put(path: string, content: string | Uint8Array = ''): void {
  mkdirSync(dirname(at(path)), { recursive: true });
  writeFileSync(at(path), content);
}

/** `ostree checksum` tells files apart that the test has named. */
let other: string[] = [];
const filters: string[] = [];
let lines = '';
class FakeOstree extends FakeExec {
  override filter(...[program, args]: Parameters<Exec['filter']>): PassThrough {
    filters.push([program, ...args].join(' '));
    // What is written to it comes out, and its end with it.
    const stream = new PassThrough();
    stream.write(lines);
    return stream;
  }
}
const exec = new FakeOstree((line) => (other.some((path) => line.endsWith(path)) ? 'other' : 'same'));

interface Shown {
  readonly first: string[];
  readonly second: string[];
  readonly changed: string[];
}

async function diff(signal = new AbortController().signal): Promise<Shown> {
  const found = await diffTrees(exec, '/repo', bytePath(at('a')), bytePath(at('b')), signal);
  return {
    first: found.onlyInFirst.map(showBytes),
    second: found.onlyInSecond.map(showBytes),
    changed: found.changed.map(({ path, keywords }) => `${showBytes(path)}: ${keywords.join(' ')}`),
  };
}

const SAME: Shown = { first: [], second: [], changed: [] };

beforeEach(() => {
  other = [];
  exec.calls.length = 0;
  for (const tree of ['a', 'b']) mkdirSync(at(tree));
});

describe('two trees', () => {
  it('that share their files are the same, and nothing is read', async () => {
    put('a/x/file', 'content');
    mkdirSync(at('b/x'));
    linkSync(at('a/x/file'), at('b/x/file'));
    chmodSync(at('a/x/file'), 0);
    expect(await diff()).toEqual(SAME);
    expect(exec.lines).toEqual([]);
  });

  it('differ in what only one of them has, everything below a folder included', async () => {
    put('a/only/deep/file');
    put('a/only/deep.file');
    put('b/new');
    put('a/both/x');
    put('b/both/x');
    expect(await diff()).toEqual({
      first: ['only', 'only/deep', 'only/deep/file', 'only/deep.file'],
      second: ['new'],
      changed: [],
    });
  });

  it('differ in looks and contents', async () => {
    for (const tree of ['a', 'b'])
      for (const file of ['mode', 'bytes', 'size']) put(`${tree}/${file}`, 'xyz');
    chmodSync(at('b/mode'), 0o600);
    put('b/bytes', 'xyZ');
    put('b/size', 'xy');
    symlinkSync('here', at('a/link'));
    symlinkSync('there', at('b/link'));
    expect((await diff()).changed).toEqual([
      'bytes: sha256digest',
      'link: link',
      'mode: mode',
      'size: size sha256digest',
    ]);
  });

  it('differ in kinds, with what is in a folder that took the place of a file', async () => {
    put('a/thing', 'file');
    put('b/thing/inside');
    symlinkSync('thing', at('a/x'));
    put('b/x');
    expect(await diff()).toEqual({
      first: [],
      second: ['thing/inside'],
      changed: ['thing: type', 'x: type'],
    });
  });

  it('differ in large files by their last byte', async () => {
    const bytes = Buffer.alloc(600_000, 'x');
    put('a/large', bytes);
    bytes[599_999] = 0;
    put('b/large', bytes);
    expect((await diff()).changed).toEqual(['large: sha256digest']);
  });

  it('differ in extended attributes, which only ostree can tell', async () => {
    for (const tree of ['a', 'b'])
      for (const file of ['z', 'z/x', 'a.b', 'empty'].slice(1))
        put(`${tree}/${file}`, file === 'empty' ? '' : 'x');
    chmodSync(at('a/z'), 0o700);
    other = ['/b/z/x'];
    expect((await diff()).changed).toEqual(['z: mode', 'z/x: xattr']);
    expect(exec.lines.filter((line) => line.endsWith('empty'))).toEqual([]);
  });

  it('that share nothing are read by one program, whose word is only a suspicion', async () => {
    for (let i = 0; i < 21; i++) for (const tree of ['a', 'b']) put(`${tree}/${i}`, 'x');
    for (const tree of ['a', 'b']) put(`${tree}/line\nbreak`, 'x');
    other = ['/b/7'];
    lines = 'M    7\nA    9\nM    8\nD    line\nM    x\n';
    expect((await diff()).changed).toEqual(['7: xattr']);
    expect(filters).toEqual([`ostree --repo=/repo diff ${at('a')} ${at('b')}`]);
    // Two each for 7, 8, and the name that has a line's end.
    expect(exec.lines).toHaveLength(6);
  });

  it('may have names that are no text, and lines in names', async () => {
    writeFileSync(Buffer.concat([Buffer.from(at('a/')), Buffer.from([0xff, 0x0a])]), '');
    put('b/line\nFiles only in c:');
    expect(await diff()).toEqual({ first: ['\\xff\n'], second: ['line\nFiles only in c:'], changed: [] });
  });

  it('are not left: a link to the outside is a link', async () => {
    put('outside/file', 'x');
    for (const tree of ['a', 'b']) symlinkSync(at('outside'), at(`${tree}/link`));
    expect(await diff()).toEqual(SAME);
    rmSync(at('b/link'));
    mkdirSync(at('b/link'));
    expect(await diff()).toEqual({ first: [], second: [], changed: ['link: type'] });
  });

  it('are left alone when the signal says so', async () => {
    await expect(diff(AbortSignal.abort(new Error('enough')))).rejects.toThrow('enough');
  });
});
