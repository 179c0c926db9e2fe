import { describe, expect, it } from 'vitest';
import type { DiffOutcome } from '../../src/app/diff/diff.ts';
import { formatDiff, toDiffDocument } from '../../src/cli/commands/diff.ts';
import { buildProgram } from '../../src/cli/program.ts';

const names = ['old', 'new'] as const;
const NOTHING: DiffOutcome = { names, files: undefined, rpms: undefined, metadata: undefined };
const SAME: DiffOutcome['files'] = { unique: [[], []], changed: [] };
const FILES: DiffOutcome['files'] = {
  unique: [['etc/a', 'etc/line\nbreak'], ['usr']],
  changed: [
    { path: '.', reasons: ['mode'] },
    { path: 'bin/sh', reasons: ['sha256digest', 'size'] },
  ],
};
const RPMS: DiffOutcome['rpms'] = [
  {
    release: `Fedora release 40 (Forty), ${'long '.repeat(5)}`.trim(),
    packages: ['bash-0-5-1', 'zlib-0-1-1'],
  },
  { release: 'Fedora 41', packages: ['bash-0-5-1', 'zlib-0-1-2\u001b[2J'] },
];
const rule = `${'-'.repeat(30)} | ${'-'.repeat(30)}`;

describe('what two trees differ in', () => {
  it('is told as atomic told it, and no name can fake a line', () => {
    expect(formatDiff({ ...NOTHING, files: FILES }, {})).toEqual([
      '',
      'Files only in old:',
      '     etc/a',
      '     etc/line\\u000abreak',
      '',
      'Files only in new:',
      '     usr',
      '',
      'Common files that are different: (reason)',
      '     . (mode)',
      '     bin/sh (sha256digest size)',
      '',
      '',
    ]);
  });

  it('is told where it is nothing', () => {
    expect(formatDiff({ ...NOTHING, files: SAME }, {})).toEqual([
      '',
      'There are no file differences between old and new',
      '',
      '',
    ]);
  });

  it('is packages side by side, those of both only when asked for', () => {
    const lines = formatDiff({ ...NOTHING, rpms: RPMS }, {});
    expect(lines).toEqual([
      '',
      `${'old'.padEnd(30)} | ${'new'.padEnd(30)}`,
      rule,
      `${'Fedora release 40 (Forty), l'.padEnd(30)} | ${'Fedora 41'.padEnd(30)}`,
      `${'ong long long long long'.padEnd(30)} | ${' '.repeat(30)}`,
      rule,
      `${'zlib-0-1-1'.padEnd(30)} | ${' '.repeat(30)}`,
      `${' '.repeat(30)} | ${'zlib-0-1-2\\u001b[2J'.padEnd(30)}`,
    ]);
    expect(formatDiff({ ...NOTHING, rpms: RPMS }, { verbose: true })).toEqual([
      ...lines.slice(0, 6),
      `${'bash-0-5-1'.padEnd(30)} | ${'bash-0-5-1'.padEnd(30)}`,
      ...lines.slice(6),
    ]);
  });

  it('is no package', () => {
    const rpms: DiffOutcome['rpms'] = [RPMS[0], { ...RPMS[0], release: '' }];
    expect(formatDiff({ ...NOTHING, rpms }, {})).toEqual(['', 'old and new have no different RPMs']);
    expect(formatDiff({ ...NOTHING, rpms }, { namesOnly: true })[1]).toContain('Versions may differ.');
  });

  it('is metadata, one after the other', () => {
    const metadata = [{ os: 'linux' }, {}] as const;
    expect(formatDiff({ ...NOTHING, metadata }, {})).toEqual([
      '',
      'Metadata only in old:',
      '{',
      '    "os": "linux"',
      '}',
      '',
      'Metadata only in new:',
      '{}',
    ]);
    expect(formatDiff({ ...NOTHING, metadata: [{}, {}] }, {})).toEqual([
      '',
      'old and new have no differences in their metadata',
    ]);
  });

  it('has atomic’s keys as a document', () => {
    const metadata = [{ os: 'linux' }, {}] as const;
    expect(toDiffDocument({ names, files: FILES, rpms: RPMS, metadata })).toEqual({
      old: {
        unique_files: ['etc/a', 'etc/line\nbreak'],
        release: RPMS[0].release,
        all_rpms: RPMS[0].packages,
        unique_rpms: ['zlib-0-1-1'],
        common_rpms: ['bash-0-5-1'],
        unique_metadata: { os: 'linux' },
      },
      new: {
        unique_files: ['usr'],
        release: 'Fedora 41',
        all_rpms: RPMS[1].packages,
        unique_rpms: [RPMS[1].packages[1]],
        common_rpms: ['bash-0-5-1'],
        unique_metadata: {},
      },
      files_differ: FILES.changed,
    });
  });

  it('has a name of an object’s prototype for a key as any other', () => {
    const document = toDiffDocument({ ...NOTHING, names: ['__proto__', 'b'], files: SAME });
    expect(Object.keys(document)).toEqual(['__proto__', 'b', 'files_differ']);
  });
});

describe('the options of diff', () => {
  it('are atomic’s', () => {
    const diff = buildProgram('0.0.0', () => undefined).commands.find((command) => command.name() === 'diff');
    expect(diff?.options.map(({ flags }) => flags)).toEqual([
      '-m, --metadata',
      '-k, --keywords <keyword>',
      '-n, --no-files',
      '--names-only',
      '-r, --rpms',
      '-v, --verbose',
    ]);
  });
});
