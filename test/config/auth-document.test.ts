import { describe, expect, it } from 'vitest';
import {
  chooseCredentials,
  formatAuthDocument,
  helperOf,
  parseAuthDocument,
  withEntry,
  withoutEntry,
  type AuthDocument,
} from '../../src/config/auth-document.ts';

const USER = { username: 'user', password: 'pass:wörd' };
const encode = (text: string): string => Buffer.from(text).toString('base64');
const read = (document: object): AuthDocument =>
  parseAuthDocument(Buffer.from(JSON.stringify(document)), 'the file');
const write = (document: AuthDocument): unknown => JSON.parse(formatAuthDocument(document));

describe('an auth file', () => {
  it('gets an entry, and keeps all else that is in it', () => {
    const before = {
      auths: { 'a.example': { auth: encode('a:1'), email: 'x' }, 'r.example': { auth: encode('old:1') } },
      credHelpers: { 'gcr.example': 'gcr' },
      detachKeys: 'ctrl-a',
    };
    const after = withEntry(read(before), 'r.example', USER);
    expect(write(after)).toEqual({
      ...before,
      auths: { ...before.auths, 'r.example': { auth: encode('user:pass:wörd') } },
    });
    expect(chooseCredentials(after, 'r.example', 'app', 'the file')).toEqual(USER);
    expect(write(withoutEntry(after, 'r.example'))).toEqual({
      ...before,
      auths: { 'a.example': before.auths['a.example'] },
    });
  });

  it('has one entry for Docker Hub, however Docker calls it', () => {
    const docker = read({ auths: { 'https://index.docker.io/v1/': { auth: encode('old:1') } } });
    expect(write(withEntry(docker, 'docker.io', USER))).toEqual({
      auths: { 'docker.io': { auth: encode('user:pass:wörd') } },
    });
    expect(write(withoutEntry(docker, 'docker.io'))).toEqual({ auths: {} });
  });

  it('keeps an identity token as Docker does', () => {
    const after = withEntry(read({}), 'r.example', { identityToken: 'refresh' });
    expect(write(after)).toEqual({
      auths: { 'r.example': { auth: encode('<token>:'), identitytoken: 'refresh' } },
    });
    expect(chooseCredentials(after, 'r.example', '', 'the file')).toEqual({ identityToken: 'refresh' });
  });

  it('is the same when there was nothing to remove', () => {
    const document = read({ auths: { 'r.example/team': { auth: encode('a:1') } } });
    for (const key of ['r.example', 'r.example/team/app', 'toString'])
      expect(withoutEntry(document, key)).toBe(document);
  });

  it('names the helper of a registry, of none of its neighbours and of nothing inherited', () => {
    const document = read({ credHelpers: { 'r.example': 'box', 'https://old.example/v2/': 'old', bad: 7 } });
    expect(
      ['r.example', 'old.example', 'example', 'r.example:5000', 'bad', 'constructor'].map((domain) =>
        helperOf(document, domain),
      ),
    ).toEqual(['box', 'old', undefined, undefined, undefined, undefined]);
  });
});
