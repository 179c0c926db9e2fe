/** skopeo is the judge of what is said of an image: field for field, and letter for letter. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { TransferApp } from '../../src/app/context.ts';
import {
  inspectImage,
  readImageConfig,
  readRawConfig,
  readRawManifest,
} from '../../src/app/inspect-image.ts';
import { listRemoteTags } from '../../src/app/list-tags.ts';
import { showImage } from '../../src/cli/commands/inspect.ts';
import { toGoJson } from '../../src/cli/output/go-template/json.ts';
import { Struct } from '../../src/cli/output/go-template/values.ts';
import { shapeConfig, shapeReport } from '../../src/cli/output/image-shapes.ts';
import type { Platform } from '../../src/image/platform.ts';
import {
  buildImage,
  buildIndex,
  writeDirTransport,
  writeDockerArchive,
  writeOciArchive,
  writeOciLayout,
  type BuiltImage,
  type ImageSpec,
} from '../fixtures/image-builder.ts';
import { openQuietTransfer } from '../fixtures/transfer-app.ts';
import { startRealRegistry, type RealRegistry } from '../registry/real-registry.ts';

let app: TransferApp;
let registry: RealRegistry;
let folder = '';

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'atomic-ts-inspect-'));
  registry = await startRealRegistry();
  app = await openQuietTransfer();
});

afterAll(async () => {
  await registry.close();
  rmSync(folder, { recursive: true, force: true });
});

const LAYERS: ImageSpec['layers'] = [
  { entries: [{ path: 'a', content: 'x' }] },
  { entries: [{ path: 'b', content: 'y' }] },
];

function image(spec: Partial<ImageSpec> = {}): BuiltImage {
  return buildImage({ layers: LAYERS, ...spec });
}

/** What images differ in, as far as it is said of them. */
const IMAGES: Readonly<Record<string, Partial<ImageSpec>>> = {
  'without anything': {},
  'with labels, variables and odd letters': {
    config: { Labels: { z: '<b> & "q"', ä: 'ü\u2028', a: '' }, Env: ['A=<1>', 'B='], Cmd: ['sh'] },
  },
  'with empty labels and variables': { config: { Labels: {}, Env: [] } },
  'with everything in its config': {
    configFields: {
      author: 'somebody',
      variant: 'v3',
      docker_version: '20.10',
      'os.version': '10.0',
      'os.features': ['win32k'],
      config: {
        User: 'u',
        ExposedPorts: { '80/tcp': {}, '443/tcp': {} },
        Entrypoint: ['e'],
        Volumes: { '/v': {} },
        WorkingDir: '/w',
        StopSignal: 'SIGINT',
        ArgsEscaped: true,
        Healthcheck: { Test: ['CMD', 'x'] },
      },
    },
  },
  'with a history of empty layers': {
    configFields: {
      history: [
        { created: '2020-01-01T00:00:00.5Z', created_by: 'a', comment: 'c', author: 'x' },
        { created_by: 'ENV <x>', empty_layer: true },
        { created_by: 'b' },
      ],
    },
  },
  'that does not say when it was made': { configFields: { created: undefined } },
  'made in another zone': { configFields: { created: '2020-05-06T07:08:09.123456789123+02:00' } },
  'made at a round time': { configFields: { created: '2020-05-06T07:08:09.100000000+00:00' } },
  'with one layer twice': { layers: [...LAYERS, ...LAYERS] },
  'without layers': { layers: [] },
  'with annotations': { annotations: { 'org.opencontainers.image.title': 'x' } },
};

function skopeo(...args: string[]): string {
  return execFileSync('skopeo', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

const inspected = (reference: string, platform: Partial<Platform> = {}): Promise<Struct> =>
  inspectImage(app, { image: reference, access: {}, platform }, true).then(shapeReport);

/** Debian's skopeo is older than LayersData. */
function withoutLayersData({ fields }: Struct): Struct {
  return new Struct(fields.filter(({ name }) => name !== 'LayersData'));
}

interface Words {
  readonly report: string;
  readonly config: string;
  readonly manifest: string;
  readonly rawConfig: string;
}

async function describeIt(reference: string, platform: Partial<Platform> = {}): Promise<Words> {
  const request = { image: reference, access: {}, platform };
  return {
    report: `${toGoJson(withoutLayersData(await inspected(reference, platform)), '    ')}\n`,
    config: `${toGoJson(shapeConfig(await readImageConfig(app, request)), '    ')}\n`,
    manifest: Buffer.from(await readRawManifest(app, request)).toString(),
    rawConfig: Buffer.from(await readRawConfig(app, request)).toString(),
  };
}

function skopeoDescribes(reference: string, ...options: string[]): Words {
  const say = (...what: string[]): string => skopeo(...options, 'inspect', ...what, reference);
  return {
    report: say(),
    config: say('--config'),
    manifest: say('--raw'),
    rawConfig: say('--raw', '--config'),
  };
}

describe.each(Object.entries(IMAGES))('an image %s', (_what, spec) => {
  test.each(['oci', 'v2s2'] as const)('is described as skopeo does: %s', async (format) => {
    const path = join(mkdtempSync(join(folder, 'dir-')), 'image');
    writeDirTransport(path, image({ ...spec, format }));
    expect(await describeIt(`dir:${path}`)).toEqual(skopeoDescribes(`dir:${path}`));
  });
});

describe('an image in', () => {
  const spec: Partial<ImageSpec> = { config: { Labels: { a: 'b' }, Env: ['A=b'], Cmd: ['sh'] } };

  test('oci:', async () => {
    writeOciLayout(join(folder, 'layout'), [{ image: image(spec), tag: 'v1' }]);
    expect(await describeIt(`oci:${folder}/layout:v1`)).toEqual(skopeoDescribes(`oci:${folder}/layout:v1`));
  });

  test('oci-archive:', async () => {
    writeOciArchive(join(folder, 'oci.tar'), [{ image: image(spec), tag: 'v1' }]);
    expect(await describeIt(`oci-archive:${folder}/oci.tar:v1`)).toEqual(
      skopeoDescribes(`oci-archive:${folder}/oci.tar:v1`),
    );
  });

  test('docker-archive:, named or not', async () => {
    const one = image({ ...spec, format: 'v2s2' });
    writeDockerArchive(join(folder, 'docker.tar'), [{ image: one, names: ['app:1'] }]);
    for (const name of ['', ':app:1']) {
      const reference = `docker-archive:${folder}/docker.tar${name}`;
      const report = JSON.parse(toGoJson(withoutLayersData(await inspected(reference)))) as object;
      const judged = JSON.parse(skopeo('inspect', reference)) as object;
      // The archive has no manifest, and skopeo calls the plain layers of the one that it makes gzip's.
      expect({ ...report, Digest: '' }).toEqual({ ...judged, Digest: '' });
      expect(Object.keys(report)).toEqual(Object.keys(judged));
    }
    expect(await listRemoteTags(app, `docker-archive:${folder}/docker.tar`, {})).toEqual({
      repository: undefined,
      tags: (JSON.parse(skopeo('list-tags', `docker-archive:${folder}/docker.tar`)) as { Tags: string[] })
        .Tags,
    });
  });

  test('docker://, by tag and by digest, with the tags of its repository', async () => {
    const built = image(spec);
    writeOciLayout(join(folder, 'push'), [{ image: built, tag: 'v1' }]);
    for (const tag of ['2', '10', 'latest']) copyToRegistry(`oci:${folder}/push:v1`, `team/app:${tag}`);
    const name = `docker://${registry.host}/team/app`;
    const options = ['--tls-verify=false'] as const;
    for (const reference of [name, `${name}:10`, `${name}@${built.digest}`]) {
      const report = withoutLayersData(await inspected(reference));
      expect(`${toGoJson(report, '    ')}\n`).toBe(skopeo('inspect', ...options, reference));
      const request = { image: reference, access: {}, platform: {} };
      expect(Buffer.from(await readRawManifest(app, request)).toString()).toBe(
        skopeo('inspect', '--raw', ...options, reference),
      );
    }
    const { repository, tags } = await listRemoteTags(app, name, {});
    expect({ Repository: repository, Tags: tags }).toEqual(JSON.parse(skopeo('list-tags', ...options, name)));
  });

  test.each(['oci', 'v2s2'] as const)('an index is the one for the platform: %s', async (format) => {
    const images = ['amd64', 'arm64'].map((architecture) =>
      image({ ...spec, format, platform: { os: 'linux', architecture } }),
    );
    const path = join(folder, `index-${format}`);
    writeDirTransport(path, buildIndex(images, format));
    expect(await describeIt(`dir:${path}`)).toEqual(skopeoDescribes(`dir:${path}`));
    expect(await describeIt(`dir:${path}`, { architecture: 'arm64' })).toEqual(
      skopeoDescribes(`dir:${path}`, '--override-arch=arm64'),
    );
  });
});

function copyToRegistry(from: string, name: string): void {
  const to = `docker://${registry.host}/${name}`;
  skopeo('--insecure-policy', 'copy', '-q', '--dest-tls-verify=false', from, to);
}

describe('an image of schema 1', () => {
  test('is described out of its manifest alone', async () => {
    const [base, top] = ['a', 'b'].map((letter) => letter.repeat(64));
    const newest = {
      id: top,
      parent: base,
      created: '2015-06-07T08:09:10.1Z',
      docker_version: '1.7',
      architecture: 'amd64',
      os: 'linux',
      config: { Labels: { a: 'b' }, Env: ['A=b'] },
      throwaway: true,
    };
    const history = [newest, { id: base, created: '2015-01-01T00:00:00Z' }];
    const manifest = {
      schemaVersion: 1,
      name: 'team/app',
      tag: 'v7',
      architecture: 'amd64',
      fsLayers: history.map((_, i) => ({ blobSum: `sha256:${`${i}`.repeat(64)}` })),
      history: history.map((entry) => ({ v1Compatibility: JSON.stringify(entry) })),
    };
    const path = join(folder, 'schema1');
    mkdirSync(path);
    writeFileSync(join(path, 'manifest.json'), JSON.stringify(manifest));
    const report = await inspected(`dir:${path}`);
    // That skopeo leaves Env away, which newer ones have.
    const judged = JSON.parse(skopeo('inspect', `dir:${path}`)) as object;
    expect(JSON.parse(toGoJson(withoutLayersData(report)))).toEqual({ ...judged, Env: ['A=b'] });
    expect(report.find('Tag')?.value).toBe('v7');
  });
});

describe('LayersData', () => {
  test('has the descriptors of an OCI image with their annotations', async () => {
    const built = image();
    const manifest = JSON.parse(built.manifest.toString()) as { layers: { annotations?: object }[] };
    const [first] = manifest.layers;
    if (first !== undefined) first.annotations = { b: '2', a: '1' };
    const path = join(folder, 'annotated');
    writeDirTransport(path, { ...built, manifest: Buffer.from(JSON.stringify(manifest)) });
    const report = JSON.parse(toGoJson(await inspected(`dir:${path}`))) as { LayersData: unknown };
    expect(report.LayersData).toEqual(
      built.layers.map(({ descriptor: { mediaType, digest, size } }, i) => ({
        MIMEType: mediaType,
        Digest: digest,
        Size: size,
        Annotations: i === 0 ? { a: '1', b: '2' } : null,
      })),
    );
  });
});

describe('an artifact', () => {
  test('has a digest and layers, and no more', async () => {
    const built = image();
    const manifest = { ...(JSON.parse(built.manifest.toString()) as { config: object }) };
    manifest.config = { ...manifest.config, mediaType: 'application/vnd.oci.empty.v1+json' };
    const path = join(folder, 'artifact');
    writeDirTransport(path, { ...built, manifest: Buffer.from(JSON.stringify(manifest)) });
    const report = JSON.parse(toGoJson(await inspected(`dir:${path}`))) as Record<string, unknown>;
    expect(report).toMatchObject({ Created: null, Labels: null, Architecture: '', Os: '', Env: null });
    expect(report['Layers']).toEqual(built.layers.map(({ descriptor }) => descriptor.digest));
    const request = { image: `dir:${path}`, access: {}, platform: {} };
    await expect(readImageConfig(app, request)).rejects.toMatchObject({ code: 'unsupported' });
    expect(Buffer.from(await readRawConfig(app, request))).toEqual(built.config);
  });
});

describe('a template', () => {
  test('gives what it gives skopeo', async () => {
    const path = join(folder, 'template');
    const labels = { version: '1.2', name: 'x', 'a.b': '<c>' };
    const configFields = { created: '2020-05-06T07:08:09.1234+02:00' };
    writeDirTransport(path, image({ config: { Labels: labels, Env: ['A=b', 'C=d'] }, configFields }));
    const report = withoutLayersData(await inspected(`dir:${path}`));
    for (const template of [
      '{{.Digest}} {{.Os}}/{{.Architecture}}{{.Name}}',
      '{{.}}',
      '{{.Created}}',
      '{{.Labels}} {{.Labels.version}} {{.Labels.none}} {{index .Labels "a.b"}} {{index .Labels "none"}}',
      '{{range .Layers}}{{.}} {{end}}{{range .RepoTags}}{{.}}{{else}}none{{end}}',
      '{{range $k, $v := .Labels}}{{$k}}={{$v}};{{end}}{{range $i, $e := .Env}}{{$i}}:{{$e}} {{end}}',
      '{{if and .Env (eq .Os "linux")}}yes{{else if .Os}}other{{else}}no{{end}}',
      '{{with .DockerVersion}}{{.}}{{else}}unknown{{- end -}}   .',
      '{{.Layers | len | printf "%03d|%-4d|%v" 7 8}}',
      '{{printf "%s %q %.6s %8s|" .Os .Architecture .Digest .Os}}{{len .Digest}}',
      '{{slice .Digest 7 19}} {{println .Env}}{{print .Os .Os}} {{not .Name}} {{or .Name .Os}}',
      '{{$x := .Os}}{{range .Env}}{{$x = .}}{{end}}{{$x}}{{/* nothing */}} {{lt 1 2}} {{ne .Os "x"}}',
      '{{range .Env}}{{.}}\\n{{end}}',
      '{{.Os}}\\n',
      'json',
      ' {{ json . }}',
      '{{json}}',
    ]) {
      const shown = skopeo('inspect', '--format', template, `dir:${path}`);
      expect(`${showImage(report, template)}\n`).toBe(shown);
    }
  });
});
