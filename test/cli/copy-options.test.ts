import { describe, expect, it } from 'vitest';
import { readRequest, type CopyFlags } from '../../src/cli/commands/copy.ts';

const read = (flags: CopyFlags): ReturnType<typeof readRequest> => readRequest('dir:a', 'dir:b', flags);

describe('the options of copy', () => {
  it.each<[string, CopyFlags, object]>([
    ['nothing', {}, { which: 'system', wishes: { preserveDigests: false }, platform: {}, from: {}, to: {} }],
    ['--all', { all: true }, { which: 'all' }],
    ['--multi-arch index-only', { multiArch: 'index-only' }, { which: 'index-only' }],
    ['--format', { format: 'v2s2' }, { wishes: { format: 'v2s2', preserveDigests: false } }],
    ['--dest-compress', { destCompress: true }, { wishes: { layers: 'compressed' } }],
    ['--dest-compress-format', { destCompressFormat: 'zstd' }, { wishes: { layers: 'zstd' } }],
    ['zstd:chunked', { destCompressFormat: 'zstd:chunked' }, { wishes: { layers: 'zstd' } }],
    ['--dest-compress-level', { destCompress: true, destCompressLevel: 3 }, { wishes: { level: 3 } }],
    ['--dest-decompress', { destDecompress: true }, { wishes: { layers: 'none' } }],
    ['--override-arch', { overrideArch: 'arm64' }, { platform: { architecture: 'arm64' } }],
    ['--creds for the source alone', { creds: 'u:p' }, { from: { credentials: { username: 'u' } }, to: {} }],
    ['--tls-verify for both', { tlsVerify: false }, { from: { tlsVerify: false }, to: { tlsVerify: false } }],
    [
      'one side outranking both',
      { authfile: 'a', destAuthfile: 'b' },
      { from: { authFile: 'a' }, to: { authFile: 'b' } },
    ],
    ['--src-no-creds', { srcNoCreds: true }, { from: { anonymous: true }, to: {} }],
    ['--retry-times 0', { retryTimes: 0 }, { from: { tries: 1 }, to: { tries: 1 } }],
    ['--dest-daemon-host', { destDaemonHost: 'unix:///d' }, { from: {}, to: { daemonHost: 'unix:///d' } }],
  ])('%s', (_name, flags, expected) => {
    expect(read(flags)).toMatchObject(expected);
  });

  it.each<[CopyFlags, RegExp]>([
    [{ all: true, multiArch: 'all' }, /--all and --multi-arch/],
    [{ multiArch: 'some' }, /^--multi-arch takes system, all or index-only, not "some"$/],
    [{ format: 'v2s1' }, /^--format takes oci or v2s2, not "v2s1"$/],
    [{ destCompressFormat: 'xz' }, /^--dest-compress-format takes gzip, zstd or zstd:chunked, not "xz"$/],
    [{ destCompress: true, destDecompress: true }, /--dest-decompress and --dest-compress/],
    [{ destCreds: 'u:p', destNoCreds: true }, /--dest-creds and --dest-no-creds/],
  ])('refuses %o', (flags, sentence) => {
    expect(() => read(flags)).toThrow(
      expect.objectContaining({ code: 'usage', message: expect.stringMatching(sentence) }),
    );
  });

  it('gives nobody’s credentials to the other side', () => {
    expect(read({ creds: 'u:p' }).to).not.toHaveProperty('credentials');
    expect(read({ destCreds: 'u:p' }).from).not.toHaveProperty('credentials');
  });
});
