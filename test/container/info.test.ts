import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { formatInfo, parseInfo, type ContainerInfo } from '../../src/container/info.ts';

const info: ContainerInfo = {
  image: 'docker.io/hello',
  revision: 'a343',
  ostreeCommit: '5f05',
  created: 1795318022,
  values: { RUN_DIRECTORY: '/run', ALL_PROCESS_CAPABILITIES: '"CAP_CHOWN",\n"CAP_BPF"\n', HOST_UID: 0 },
  hasContainerService: true,
  installedFiles: ['/usr/local/bin/ä'],
  installedFilesChecksum: { '/usr/local/bin/ä': '0' },
  installedFilesTemplate: [],
  renameInstalledFiles: {},
  rpmInstalled: undefined,
  systemPackage: 'no',
  remote: undefined,
  useLinks: true,
  runtime: '/usr/bin/runc',
  valueSources: { RUN_DIRECTORY: 'host', HOST_UID: 'forced' },
  source: 'docker://docker.io/hello',
  manifestDigest: 'sha256:a343',
  healthCheck: undefined,
  filesChecksum: { 'config.json': '0a1b', 'hello.service': '2c3d' },
  enabled: true,
  started: false,
  foreignPackage: true,
};

/** An info as atomic wrote it: every key of its own and none of ours. */
const ATOMICS = `{
    "image": "docker.io/hello",
    "revision": "a343",
    "ostree-commit": "5f05",
    "created": 1795318022,
    "values": {
        "RUN_DIRECTORY": "/run",
        "ALL_PROCESS_CAPABILITIES": "\\"CAP_CHOWN\\",\\n\\"CAP_BPF\\"\\n",
        "HOST_UID": 0
    },
    "has-container-service": true,
    "installed-files": [
        "/usr/local/bin/\\u00e4"
    ],
    "installed-files-checksum": {
        "/usr/local/bin/\\u00e4": "0"
    },
    "installed-files-template": [],
    "rename-installed-files": {},
    "rpm-installed": null,
    "system-package": "no",
    "remote": null,
    "use-links": true,
    "runtime": "/usr/bin/runc"
}
`;
const withoutOurs: ContainerInfo = {
  ...info,
  valueSources: undefined,
  source: undefined,
  manifestDigest: undefined,
  filesChecksum: undefined,
  enabled: undefined,
  started: undefined,
  foreignPackage: undefined,
};

describe('formatInfo', () => {
  it('writes byte for byte what atomic wrote, where we add nothing', () => {
    expect(formatInfo(withoutOurs)).toBe(ATOMICS);
  });

  it('adds our keys behind atomic’s', () => {
    const document: object = JSON.parse(formatInfo(info));
    expect(Object.keys(document).slice(-8)).toEqual([
      'runtime',
      'value-sources',
      'source',
      'manifest-digest',
      'files-checksum',
      'enabled',
      'started',
      'foreign-package',
    ]);
  });

  it('escapes as Python’s json.dumps does', () => {
    const values = { A: '\u007f\u0080ä😀\u2028"\\\b\f\t\u0001', B: '</script>' };
    const text = formatInfo({ ...info, values });
    const python = spawnSync(
      'python3',
      ['-c', 'import json,sys; print(json.dumps(json.loads(sys.stdin.buffer.read()), indent=4))'],
      { input: text, encoding: 'utf8' },
    );
    expect(text).toBe(python.stdout);
    expect(parseInfo(text, 'info').values).toEqual(values);
  });
});

describe('parseInfo', () => {
  it('reads back what was written', () => {
    expect(parseInfo(formatInfo(info), 'info')).toEqual(info);
    expect(parseInfo(ATOMICS, 'info')).toEqual(withoutOurs);
  });

  it('reads an info of the first versions, which had three keys', () => {
    const text = '{"image": "x", "installed-files": ["/a"], "values": {"T": true, "N": null}}';
    expect(parseInfo(text, 'info')).toMatchObject({
      image: 'x',
      created: 0,
      values: { T: 'True', N: 'None' },
      hasContainerService: true,
      installedFilesChecksum: { '/a': '' },
      systemPackage: 'no',
      useLinks: false,
      revision: undefined,
      runtime: undefined,
      valueSources: undefined,
    });
    expect(parseInfo('{"rpm-installed": "x.rpm"}', 'info').systemPackage).toBe('yes');
  });

  it('passes over sources it does not know', () => {
    expect(parseInfo('{"value-sources": {"A": "set", "B": "moon", "C": 1}}', 'info').valueSources).toEqual({
      A: 'set',
    });
  });

  it.each([
    ['', 'The file /c/info is not valid JSON'],
    ['[]', 'The file /c/info is not a JSON object'],
    ['{"values": []}', 'The file /c/info, values, is not an object'],
    ['{"values": {"A": {}}}', 'values, "A" is a list or an object'],
    ['{"installed-files": "x"}', 'installed-files, is not a list of strings'],
  ])('refuses %j and names the file', (text, found) => {
    expect(() => parseInfo(text, '/c/info')).toThrow(
      expect.objectContaining({ code: 'store-invalid', message: expect.stringContaining(found) }),
    );
  });
});
