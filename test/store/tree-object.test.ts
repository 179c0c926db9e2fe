import { describe, expect, test } from 'vitest';
import { parseDirectoryMeta, parseTreeObject } from '../../src/store/tree-object.ts';

const TREE = '70a78006b406f1dd031ff8cc3261d713aefdea4c91cc76216cfc654dba2ce04d';
const META = '784c869c158550c146eb75c49726317d4fe5c9e5290be6b3c073773d139ff4e1';
const FILE = '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d';
/** As ostree 2022.7 wrote it for a folder with the folder `d` in it. */
const WITH_FOLDER = Buffer.from(`6400${TREE}${META}22024400`, 'hex');
/** The same with the file `é` before it. */
const WITH_BOTH = Buffer.from(`c3a900${FILE}03246400${TREE}${META}22024425`, 'hex');

describe('a folder’s object', () => {
  test('tells its files and folders, names as bytes', () => {
    const folders = [{ name: 'd', tree: TREE, meta: META }];
    expect(parseTreeObject(WITH_FOLDER, 'x')).toEqual({ files: [], folders });
    expect(parseTreeObject(WITH_BOTH, 'x')).toEqual({
      files: [{ name: '\xc3\xa9', checksum: FILE }],
      folders,
    });
    expect(parseTreeObject(Buffer.from('00', 'hex'), 'x')).toEqual({ files: [], folders: [] });
  });

  test('is refused by its name when it is damaged anywhere', () => {
    for (let length = 2; length < WITH_BOTH.length; length++) {
      expect(() => parseTreeObject(WITH_BOTH.subarray(0, length), 'the object')).toThrow(
        'the object is not an object',
      );
    }
  });
});

test('a folder’s metadata tells mode, owner, and whether it has xattrs', () => {
  const plain = Buffer.from('0000000500000006000041c0', 'hex');
  expect(parseDirectoryMeta(plain, 'x')).toEqual({ mode: 0o700, uid: 5, gid: 6, xattrs: false });
  const attributed = Buffer.concat([plain, Buffer.from('user.a\x001\x07\x09', 'latin1')]);
  expect(parseDirectoryMeta(attributed, 'x').xattrs).toBe(true);
  expect(() => parseDirectoryMeta(plain.subarray(1), 'the object')).toThrow('the object is not an object');
});
