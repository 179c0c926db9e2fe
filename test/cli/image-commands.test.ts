/** What the commands about one image print: the reference's own lines where it has some. */
import { describe, expect, it } from 'vitest';
import type { ImageInfo } from '../../src/app/image-info.ts';
import type { UpdatedImage } from '../../src/app/update-images.ts';
import type { VerifiedImage } from '../../src/app/verify-image.ts';
import { formatVersions } from '../../src/cli/commands/image-version.ts';
import { formatSummary } from '../../src/cli/commands/images-update.ts';
import { formatInfo, formatVariables, toDocument as infoDocument } from '../../src/cli/commands/info.ts';
import { formatVerified, toDocument as verifiedDocument } from '../../src/cli/commands/verify.ts';
import { readVerbose } from '../../src/cli/tree/inspect-commands.ts';
import { parseContainerName } from '../../src/container/name.ts';
import { AtomicError } from '../../src/errors.ts';
import { digestFromHex, type Digest } from '../../src/image/digest.ts';
import type { TemplateVariable } from '../../src/render/template-variables.ts';
import type { VerifiedPart } from '../../src/store/verify-image.ts';

const HEX = '076034abbaa6a37a64673001d603b77ee805681367ee1c3d43d1088fbba4b4ff';
const digest = (start: string): Digest => digestFromHex('sha256', start.padEnd(64, '0'));

const host = (name: string): TemplateVariable => ({ name, value: '/x', source: 'host', usedIn: [] });
const HELLO: ImageInfo = {
  imageName: 'docker.io/library/hello:latest',
  digest: digestFromHex('sha256', HEX),
  labels: {
    version: '2.0',
    name: 'hello',
    summary: 'small system container',
    'atomic.type': 'system',
    release: '1',
  },
  variables: [
    host('ALL_PROCESS_CAPABILITIES'),
    host('CONF_DIRECTORY'),
    { name: 'EXEC_START', value: undefined, source: 'forced', usedIn: ['service.template'] },
    host('PIDFILE'),
    { name: 'PORT', value: '8081', source: 'manifest', usedIn: ['config.json.template'] },
    { name: 'RECEIVER', value: 'World', source: 'manifest', usedIn: [] },
    host('RUN_DIRECTORY'),
    host('STATE_DIRECTORY'),
    { name: 'UUID', value: undefined, source: 'generated', usedIn: [] },
  ],
  container: undefined,
};
const MUST: TemplateVariable = {
  name: 'VAR_WITH_NO_DEFAULT',
  value: undefined,
  source: undefined,
  usedIn: ['config.json.template', 'tmpfiles.template'],
};

describe('info', () => {
  it('prints what atomic printed', () => {
    expect(`${formatInfo(HELLO).join('\n')}\n`).toBe(`Image Name: docker.io/library/hello:latest
atomic.type: system
name: hello
release: 1
summary: small system container
version: 2.0


Template variables with default value, but overridable with --set:
ALL_PROCESS_CAPABILITIES: {SET_BY_OS}
CONF_DIRECTORY: {SET_BY_OS}
PIDFILE: {SET_BY_OS}
PORT: 8081
RECEIVER: World
RUN_DIRECTORY: {SET_BY_OS}
STATE_DIRECTORY: {SET_BY_OS}
UUID: {SET_BY_OS}

`);
  });

  it('ends with what has to be set, where there is something', () => {
    const lines = formatInfo({ ...HELLO, variables: [...(HELLO.variables ?? []), MUST] });
    expect(lines.slice(-6)).toEqual([
      'UUID: {SET_BY_OS}',
      '',
      '',
      'Template variables that has no default value, and must be set with --set:',
      'VAR_WITH_NO_DEFAULT: {DEF_VALUE}',
      '',
    ]);
  });

  it('knows of an image in a registry its labels alone, and shows them on a line each', () => {
    const labels = { b: 'one\ntwo', a: '\u001b[2J' };
    expect(formatInfo({ ...HELLO, labels, variables: undefined })).toEqual([
      'Image Name: docker.io/library/hello:latest',
      'a: \\u001b[2J',
      'b: one\\u000atwo',
      '',
    ]);
  });

  const container: ImageInfo['container'] = {
    name: parseContainerName('web'),
    values: [
      { name: 'PORT', value: '9090', source: 'set' },
      { name: 'UUID', value: 'x', source: undefined },
    ],
  };

  it('prints the values of a container in place of its image’s defaults', () => {
    expect(formatInfo({ ...HELLO, container }).slice(-6)).toEqual([
      '',
      '',
      'Values of the container web, and where each is from:',
      'PORT: 9090 (set)',
      'UUID: x (not recorded)',
      '',
    ]);
    const unknown = { ...HELLO, labels: undefined, variables: undefined, digest: undefined, container };
    expect(infoDocument(unknown)).toMatchObject({ digest: null, labels: null, variables: null });
  });

  it('lists variables with their defaults, where each is from and what uses it', () => {
    const capabilities = { ...host('ALL_PROCESS_CAPABILITIES'), value: `"CAP_A",\n"${'B'.repeat(60)}"\n` };
    const info = { ...HELLO, variables: [capabilities, ...(HELLO.variables ?? []).slice(2, 5), MUST] };
    expect(formatVariables(info, { trunc: true })).toEqual([
      'VARIABLE                  DEFAULT                                           FROM                       USED IN',
      `ALL_PROCESS_CAPABILITIES  "CAP_A", "${'B'.repeat(37)}…  this host`,
      'EXEC_START                {SET_BY_OS}                                       always filled in           service.template',
      'PIDFILE                   /x                                                this host',
      "PORT                      8081                                              the image's manifest.json  config.json.template",
      'VAR_WITH_NO_DEFAULT                                                         must be set                config.json.template, tmpfiles.template',
    ]);
    expect(formatVariables(info, { trunc: false })[1]).toContain(`"CAP_A", "${'B'.repeat(60)}"  this host`);
    expect(infoDocument(info).variables?.at(-1)).toEqual({
      name: 'VAR_WITH_NO_DEFAULT',
      default: null,
      source: null,
      mustBeSet: true,
      usedIn: MUST.usedIn,
    });
  });

  it('lists a container’s values with their recorded sources', () => {
    expect(formatVariables({ ...HELLO, container }, { trunc: true })).toEqual([
      'VARIABLE  VALUE  FROM',
      'PORT      9090   --set',
      'UUID      x      not recorded',
    ]);
  });
});

describe('version', () => {
  it('prints what atomic printed', () => {
    expect(formatVersions([{ name: 'docker.io/hello', version: '2.0-1', id: HEX }])).toEqual([
      'IMAGE NAME               VERSION   IMAGE ID  ',
      'docker.io/hello          2.0-1     076034abbaa6',
      '',
    ]);
  });

  it('of no image is a heading', () => {
    expect(formatVersions([])).toEqual(['IMAGE NAME   VERSION   IMAGE ID  ', '']);
  });
});

describe('update --all', () => {
  const updated = (changes: Partial<UpdatedImage> = {}): UpdatedImage => ({
    name: 'docker.io/hello:latest',
    before: digestFromHex('sha256', HEX),
    after: digestFromHex('sha256', HEX),
    error: undefined,
    ...changes,
  });

  it('prints the summary that atomic printed', () => {
    expect(formatSummary([updated()])).toEqual([
      '',
      'SUMMARY',
      '',
      'Image                                              Image ID before update           Image ID after update            Status         ',
      'docker.io/hello:latest                             076034abbaa6a37a64673001d603b77e 076034abbaa6a37a64673001d603b77e Updated        ',
    ]);
  });

  it('tells what was pulled now from what was not, and what could not be', () => {
    const error = new AtomicError('registry-unreachable', 'no answer');
    const lines = formatSummary([updated({ after: digest('1') }), updated({ error })]);
    expect(lines.slice(-2).map((line) => line.slice(-15))).toEqual(['Updated now    ', 'Could not pull ']);
  });
});

function verified(changes: Partial<VerifiedImage> = {}): VerifiedImage {
  const descriptor = (start: string) => ({ mediaType: '', digest: digest(start), size: 1 });
  return {
    image: {
      name: 'docker.io/hello:latest',
      commit: 'c'.repeat(64),
      digest: digest('1'),
      manifest: {
        kind: 'manifest',
        mediaType: '',
        config: descriptor('c'),
        layers: [descriptor('a'), descriptor('b')],
        annotations: {},
      },
      source: undefined,
      created: new Date(0),
    },
    version: '1.0-1',
    answer: { state: 'same', source: 'docker://docker.io/hello' },
    parts: [part('manifest', '1'), part('config', 'c'), part('layer', 'a'), part('layer', 'b')],
    container: undefined,
    damaged: false,
    ...changes,
  };
}

function part(kind: VerifiedPart['kind'], start: string, changes: Partial<VerifiedPart> = {}): VerifiedPart {
  return { kind, digest: digest(start), state: 'intact', objects: 10, faults: [], ...changes };
}

describe('verify', () => {
  it('says in one line that all is well', () => {
    expect(formatVerified(verified(), false)).toEqual([
      'docker.io/hello:latest: its 40 objects are as they were stored; docker://docker.io/hello has nothing newer',
    ]);
    expect(formatVerified(verified({ parts: undefined, answer: undefined }), false)).toEqual([
      'docker.io/hello:latest: nothing was verified',
    ]);
    const fixed = { state: 'fixed', source: 'docker://x@sha256:1' } as const;
    expect(formatVerified(verified({ parts: undefined, answer: fixed }), false)).toEqual([
      'docker.io/hello:latest: its name holds a digest, so there is nothing newer',
    ]);
  });

  const newer: VerifiedImage['answer'] = {
    state: 'newer',
    source: 'docker://docker.io/hello',
    digest: digest('2'),
    layers: [digest('a'), digest('d'), digest('e')],
    version: '2.0-1',
  };

  it('tells of a newer image and its layers in atomic’s words', () => {
    expect(formatVerified(verified({ answer: newer }), false)).toEqual([
      '',
      'docker.io/hello:latest contains images or layers that have updates:',
      '',
      "      '1.0-1' has an update to '2.0-1'",
      '',
      `      '${digest('b')}' has an update to '${digest('d')}'`,
      '',
      `      'None' has an update to '${digest('e')}'`,
      '',
      'docker.io/hello:latest: its 40 objects are as they were stored; docker://docker.io/hello has another image by now',
    ]);
    const lines = formatVerified(verified({ answer: { ...newer, version: '1.0-1' } }), true);
    // Without another version it is the digest that differs.
    expect(lines).toContain(`      '${digest('1')}' has an update to '${digest('2')}'`);
    expect(lines).toContain('docker.io/hello:latest contains the following images:');
    expect(lines).toContain(`     ${digest('b')} ${digest('d')} *`);
    expect(lines).toContain(`     ${digest('a')} ${digest('a')}`);
  });

  it('tells what is damaged, the first of each part by path', () => {
    const faults = Array.from({ length: 12 }, (_, i) => ({
      path: `/bin/${i}`,
      checksum: 'f'.repeat(64),
      kind: 'file' as const,
      found: 'damaged' as const,
    }));
    const parts = [
      part('manifest', '1'),
      part('config', 'c', { state: 'damaged' }),
      part('layer', 'a', { state: 'damaged', faults }),
      part('layer', 'b', { state: 'missing', objects: 0 }),
    ];
    const lines = formatVerified(verified({ parts, damaged: true, answer: undefined }), false);
    expect(lines.slice(0, 8)).toEqual([
      `modifications in config ${'c'.padEnd(64, '0')}:`,
      '',
      '\tit is not what its digest says',
      '',
      `modifications in layer ${'a'.padEnd(64, '0')}:`,
      '',
      `\t/bin/0: the file object ${'f'.repeat(64)} is damaged`,
      `\t/bin/1: the file object ${'f'.repeat(64)} is damaged`,
    ]);
    expect(lines.slice(-6)).toEqual(
      [
        '\tand 2 more',
        '',
        `modifications in layer ${'b'.padEnd(64, '0')}:`,
        '',
        '\tit is not in the local storage',
        '',
        'docker.io/hello:latest: its content is damaged: delete it, prune and pull it again',
      ].slice(-6),
    );
  });

  it('tells of a container by its name, and how to put its tree right', () => {
    const name = parseContainerName('web');
    const tree = {
      name: 'rootfs',
      status: 'drift',
      found: '1 entry differs',
      details: ['/x: gone'],
    } as const;
    const lines = formatVerified(
      verified({ container: { name, tree }, damaged: true, answer: undefined }),
      false,
    );
    expect(lines).toEqual([
      'modifications in the tree of the container web:',
      '',
      '\t1 entry differs',
      '\t/x: gone',
      '',
      'web: its content is damaged; put it right with: atomic-ts repair web',
    ]);
  });

  it('has all of it as JSON', () => {
    const error = new AtomicError('registry-unreachable', 'no answer');
    expect(
      verifiedDocument(verified({ answer: { state: 'unknown', source: 'docker://x', error } })),
    ).toMatchObject({
      image: 'docker.io/hello:latest',
      digest: digest('1'),
      version: '1.0-1',
      registry: { state: 'unknown', source: 'docker://x', error: 'no answer', digest: null },
      container: null,
      damaged: false,
    });
    expect(verifiedDocument(verified({ answer: newer })).registry).toMatchObject({
      state: 'newer',
      digest: digest('2'),
      layers: newer.layers,
    });
  });
});

describe('-v', () => {
  it.each([
    [
      ['verify', '-v', 'x'],
      ['verify', '--verbose', 'x'],
    ],
    [
      ['images', 'verify', 'x', '-v'],
      ['images', 'verify', 'x', '--verbose'],
    ],
    [
      ['--json', 'verify', '-v', 'x'],
      ['--json', 'verify', '--verbose', 'x'],
    ],
    [['-v'], ['-v']],
    [
      ['-v', 'verify'],
      ['-v', 'verify'],
    ],
    [
      ['install', 'verify', '-v'],
      ['install', 'verify', '-v'],
    ],
  ])('of %j is read as %j', (args, read) => {
    expect(readVerbose(args)).toEqual(read);
  });
});
