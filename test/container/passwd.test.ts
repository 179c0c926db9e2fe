import { describe, expect, it } from 'vitest';
import { resolveUser } from '../../src/container/passwd.ts';

const passwd = [
  'root:x:0:0:root:/root:/bin/sh',
  '# a comment, and broken lines',
  'broken',
  ':x:5:5::/:',
  'redis:x:999:1000::/home/redis:/bin/sh',
  '1234:x:77:78::/:',
  'huge:x:4294967296:1::/:',
  '',
].join('\n');
const group = [
  'root:x:0:root',
  'disk:x:6:root,adm',
  'redis:x:1000:',
  'audio:x:29:redis,other',
  'adm:x:4:redis',
].join('\n');
const files = { passwd, group };

describe('resolveUser', () => {
  it.each([
    ['', { uid: 0, gid: 0, additionalGids: [6] }],
    ['root', { uid: 0, gid: 0, additionalGids: [6] }],
    ['redis', { uid: 999, gid: 1000, additionalGids: [29, 4] }],
    ['999', { uid: 999, gid: 1000, additionalGids: [29, 4] }],
    ['4711', { uid: 4711, gid: 0, additionalGids: [] }],
    ['redis:audio', { uid: 999, gid: 29, additionalGids: [] }],
    ['redis:5000', { uid: 999, gid: 5000, additionalGids: [] }],
    ['4711:4712', { uid: 4711, gid: 4712, additionalGids: [] }],
    [':audio', { uid: 0, gid: 29, additionalGids: [] }],
    ['redis:', { uid: 999, gid: 1000, additionalGids: [29, 4] }],
    // A name of digits is a name before it is a number.
    ['1234', { uid: 77, gid: 78, additionalGids: [] }],
  ])('finds %j', (user, ids) => {
    expect(resolveUser(user, files)).toEqual(ids);
  });

  it('needs no account files for numbers and for root', () => {
    const none = { passwd: undefined, group: undefined };
    expect(resolveUser('', none)).toEqual({ uid: 0, gid: 0, additionalGids: [] });
    expect(resolveUser('101:102', none)).toEqual({ uid: 101, gid: 102, additionalGids: [] });
  });

  it.each([
    ['nobody', 'the user "nobody", which its /etc/passwd does not have'],
    ['huge', 'the user "huge"'],
    ['2147483648', 'the user "2147483648"'],
    ['-1', 'the user "-1"'],
    ['redis:wheel', 'the group "wheel", which its /etc/group does not have'],
  ])('refuses %j', (user, found) => {
    expect(() => resolveUser(user, files)).toThrow(
      expect.objectContaining({ code: 'config-invalid', message: expect.stringContaining(found) }),
    );
  });
});
