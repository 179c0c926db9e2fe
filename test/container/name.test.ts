import { describe, expect, it } from 'vitest';
import { defaultContainerName, parseContainerName } from '../../src/container/name.ts';

describe('parseContainerName', () => {
  it.each(['hello', 'a', '7', 'redis-7.0', 'A_b.c-d', 'x'.repeat(200)])('takes %s', (name) => {
    expect(parseContainerName(name)).toBe(name);
  });

  it.each([
    ['', 'it is empty'],
    ['a b', 'other characters'],
    ['../evil', 'other characters'],
    ['-x', 'does not begin with a letter or digit'],
    ['.hidden', 'does not begin with a letter or digit'],
    ["x'; touch /tmp/pwned; '", 'other characters'],
    ['a@b', 'other characters'],
    ['é', 'other characters'],
    ['a\n', 'other characters'],
    ['x'.repeat(201), '201 characters'],
  ])('refuses %j and says why', (name, found) => {
    expect(() => parseContainerName(name)).toThrow(
      expect.objectContaining({ code: 'name-invalid', message: expect.stringContaining(found) }),
    );
  });
});

describe('defaultContainerName', () => {
  it.each([
    ['busybox', 'busybox'],
    ['docker.io/library/hello:latest', 'hello'],
    ['docker.io/hello:v2', 'hello-v2'],
    ['127.0.0.1:5000/library/hello:v1', 'hello-v1'],
    ['127.0.0.1:5000/hello', 'hello'],
    ['docker://host:5000/a/b:1.0', 'b-1.0'],
    [`docker.io/hello@sha256:${'a'.repeat(64)}`, 'hello'],
    [`docker.io/hello:v1@sha256:${'a'.repeat(64)}`, 'hello'],
    ['http:127.0.0.1:5000/x:latest', 'x'],
    ['docker:atomic-test-system:latest', 'atomic-test-system'],
    ['oci:docker.io/foo/bar', 'bar'],
    ['oci:/srv/layouts/web:2', 'web-2'],
    ['dir:/srv/web/', 'web'],
    ['dockertar:/root/ats.tar', 'ats'],
    ['docker-archive:/root/x.tar:repo/name:tag', 'name-tag'],
    ['oci-archive:/root/x.tar.gz:v3', 'x-v3'],
  ])('calls %s %s', (image, name) => {
    expect(defaultContainerName(image)).toBe(name);
  });

  it('does not invent a name out of what cannot be one', () => {
    expect(() => defaultContainerName('dir:/')).toThrow('it is empty');
    expect(() => defaultContainerName('dir:/srv/my image')).toThrow('other characters');
  });
});
