import { describe, expect, it } from 'vitest';
import { parseContainerName } from '../../src/container/name.ts';
import { packageName, readPackageFacts } from '../../src/rpm/facts.ts';

const NAME = parseContainerName('hr');
const REVISION = 'd1bc0d2a6c437082df09728ef375689db7671b605fc6844e9c292aa13c80a2b4';
const read = (labels: Record<string, string>) =>
  readPackageFacts(NAME, labels, { revision: REVISION, defaultVersion: '0' });

describe('what a package says of itself', () => {
  it('is what atomic’s packages said where an image has no labels', () => {
    expect(packageName(NAME)).toBe('atomic-container-hr');
    expect(read({})).toEqual({
      name: 'atomic-container-hr',
      version: '0',
      release: REVISION,
      summary: 'hr',
      license: 'GPLv2',
      url: undefined,
      description: '',
      requires: [],
      provides: [],
      conflicts: [],
    });
  });

  it('is taken from the labels that atomic read, and from no others', () => {
    expect(
      read({
        'atomic.summary': 'Serves files',
        'atomic.version': '1.2~rc1',
        'atomic.release': '3.fc27',
        'atomic.license': 'ASL 2.0',
        'atomic.url': 'https://example.com/',
        'atomic.requires': 'runc,conntrack-tools >= 1.4, /usr/sbin/ip',
        'atomic.provides': 'kubelet',
        'atomic.conflicts': 'kubernetes-node<1.9',
        'atomic.description': 'One line.\n\nAnother.',
        summary: 'of somebody else',
      }),
    ).toEqual({
      name: 'atomic-container-hr',
      version: '1.2~rc1',
      release: '3.fc27',
      summary: 'Serves files',
      license: 'ASL 2.0',
      url: 'https://example.com/',
      description: 'One line.\n\nAnother.',
      requires: ['runc', 'conntrack-tools >= 1.4', '/usr/sbin/ip'],
      provides: ['kubelet'],
      conflicts: ['kubernetes-node < 1.9'],
    });
  });

  it('has no line ends and no control characters where they would be something else', () => {
    const facts = read({
      'atomic.summary': 'a\nRequires: bash\u0000\u001b[31m\u2028b',
      'atomic.version': '1.0-2 (beta)',
      'atomic.release': '\n',
      'atomic.description': 'one\r\ntwo\u0007\rthree',
    });
    expect(facts.summary).toBe('a Requires: bash [31m b');
    expect([facts.version, facts.release]).toEqual(['1.0_2__beta_', REVISION]);
    expect(facts.description).toBe('one\ntwo\nthree');
  });

  it.each([
    '%(touch /x)',
    'a b',
    'a >= ',
    '>= 1',
    'a\nProvides: bash',
    'a;b',
    '-x',
    'a == 1',
    'user(toor) = 0',
  ])('does not require %j, which is no package', (text) => {
    expect(() => read({ 'atomic.requires': `runc,${text}` })).toThrow(
      expect.objectContaining({
        code: 'value-invalid',
        message: expect.stringContaining('atomic.requires'),
      }),
    );
  });
});
