/** What skopeo prints of images, field by field in its order: names as templates have them, keys as JSON has them. */
import type { ImageReport, LayerReport } from '../../app/inspect-image.ts';
import { isRecord, type JsonRecord } from '../../image/json.ts';
import { NIL_LIST, NIL_MAP, Struct, Time, type Field, type Value } from './go-template/values.ts';

/** `skopeo inspect`, its `cmd/skopeo/inspect/output.go`. */
export function shapeReport(report: ImageReport): Struct {
  const { layers, labels, env } = report;
  return new Struct([
    { name: 'Name', value: report.name, omitEmpty: true },
    { name: 'Tag', value: report.tag, omitEmpty: true },
    { name: 'Digest', value: report.digest },
    { name: 'RepoTags', value: report.repoTags },
    { name: 'Created', value: readTime(report.created) },
    { name: 'DockerVersion', value: report.dockerVersion },
    { name: 'Labels', value: readTexts(labels) },
    { name: 'Architecture', value: report.architecture },
    { name: 'Os', value: report.os },
    { name: 'Layers', value: layers.map(({ digest }) => digest) },
    { name: 'LayersData', value: layers.map(shapeLayer) },
    { name: 'Env', value: env ?? NIL_LIST },
  ]);
}

function shapeLayer({ mediaType, digest, size, annotations }: LayerReport): Struct {
  return new Struct([
    { name: 'MIMEType', value: mediaType },
    { name: 'Digest', value: digest },
    { name: 'Size', value: size },
    { name: 'Annotations', value: readTexts(annotations) },
  ]);
}

/** `skopeo inspect --config`: image-spec's Image, whatever else an image's builder has put into its config. */
export function shapeConfig(config: JsonRecord): Struct {
  const run = recordOf(config['config']);
  const rootfs = recordOf(config['rootfs']);
  return new Struct([
    { name: 'Created', key: 'created', value: readTime(config['created']), omitEmpty: true },
    optional('Author', 'author', textOf(config['author'])),
    { name: 'Architecture', key: 'architecture', value: textOf(config['architecture']) },
    optional('Variant', 'variant', textOf(config['variant'])),
    { name: 'OS', key: 'os', value: textOf(config['os']) },
    optional('OSVersion', 'os.version', textOf(config['os.version'])),
    optional('OSFeatures', 'os.features', listOf(config['os.features'])),
    { name: 'Config', key: 'config', value: shapeRun(run) },
    {
      name: 'RootFS',
      key: 'rootfs',
      value: new Struct([
        { name: 'Type', key: 'type', value: textOf(rootfs['type']) },
        { name: 'DiffIDs', key: 'diff_ids', value: listOf(rootfs['diff_ids']) },
      ]),
    },
    optional('History', 'history', recordsOf(config['history']).map(shapeStep)),
  ]);
}

function shapeRun(run: JsonRecord): Struct {
  return new Struct([
    optional('User', 'User', textOf(run['User'])),
    optional('ExposedPorts', 'ExposedPorts', keysOf(run['ExposedPorts'])),
    optional('Env', 'Env', listOf(run['Env'])),
    optional('Entrypoint', 'Entrypoint', listOf(run['Entrypoint'])),
    optional('Cmd', 'Cmd', listOf(run['Cmd'])),
    optional('Volumes', 'Volumes', keysOf(run['Volumes'])),
    optional('WorkingDir', 'WorkingDir', textOf(run['WorkingDir'])),
    optional('Labels', 'Labels', readTexts(run['Labels'])),
    optional('StopSignal', 'StopSignal', textOf(run['StopSignal'])),
    optional('ArgsEscaped', 'ArgsEscaped', run['ArgsEscaped'] === true),
  ]);
}

function shapeStep(step: JsonRecord): Struct {
  return new Struct([
    { name: 'Created', key: 'created', value: readTime(step['created']), omitEmpty: true },
    optional('CreatedBy', 'created_by', textOf(step['created_by'])),
    optional('Author', 'author', textOf(step['author'])),
    optional('Comment', 'comment', textOf(step['comment'])),
    optional('EmptyLayer', 'empty_layer', step['empty_layer'] === true),
  ]);
}

function optional(name: string, key: string, value: Value): Field {
  return { name, key, value, omitEmpty: true };
}

/** A time that cannot be read is none: the rest of the image can still be looked at. */
function readTime(value: unknown): Time | null {
  return (typeof value === 'string' ? Time.parse(value) : undefined) ?? null;
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function listOf(value: unknown): readonly string[] {
  if (!Array.isArray(value)) return NIL_LIST as readonly string[];
  return value.filter((item) => typeof item === 'string');
}

function readTexts(value: unknown): ReadonlyMap<string, string> {
  if (!isRecord(value)) return NIL_MAP as ReadonlyMap<string, string>;
  return new Map(Object.entries(value).map(([key, item]) => [key, textOf(item)]));
}

/** A set, which Go has as a map to nothing. */
function keysOf(value: unknown): ReadonlyMap<string, Value> {
  return isRecord(value) ? new Map(Object.keys(value).map((key) => [key, new Struct([])])) : NIL_MAP;
}

function recordOf(value: unknown): JsonRecord {
  return isRecord(value) ? value : {};
}

function recordsOf(value: unknown): JsonRecord[] {
  return Array.isArray(value) ? value.filter(isRecord) : [];
}
