import {
  inspectImage,
  readImageConfig,
  readRawConfig,
  readRawManifest,
  type InspectRequest,
} from '../../app/inspect-image.ts';
import { AtomicError } from '../../errors.ts';
import { renderTemplate } from '../output/go-template/evaluate.ts';
import { toGoJson } from '../output/go-template/json.ts';
import type { Struct } from '../output/go-template/values.ts';
import { shapeConfig, shapeReport } from '../output/image-shapes.ts';
import { openTransfer, type CommandContext } from './context.ts';
import { readPlatform, type PlatformFlags } from './platform.ts';
import { readRemoteAccess, type RemoteFlags } from './remote-access.ts';

interface InspectFlags extends RemoteFlags, PlatformFlags {
  readonly raw?: boolean;
  readonly config?: boolean;
  readonly format?: string;
  /** False for --no-tags. */
  readonly tags: boolean;
}

/** The four characters that skopeo indents by. */
const INDENT = '    ';

export async function runInspect(context: CommandContext, image: string, flags: InspectFlags): Promise<void> {
  const { raw, config } = flags;
  // An empty one is a script's variable that is not set: as if it had not been given.
  const format = flags.format === '' ? undefined : flags.format;
  if (raw === true && format !== undefined) {
    throw new AtomicError('usage', '--raw prints bytes as they are, and --format cannot be given with it');
  }
  const app = await openTransfer(context);
  const request: InspectRequest = { image, access: readRemoteAccess(flags), platform: readPlatform(flags) };
  if (raw === true) {
    context.output.bytes(await (config === true ? readRawConfig : readRawManifest)(app, request));
    return;
  }
  const shape =
    config === true
      ? shapeConfig(await readImageConfig(app, request))
      : shapeReport(await inspectImage(app, request, flags.tags && needsTags(format)));
  context.output.line(showImage(shape, format));
}

/** A template that does not name them needs no request for the tags, of which there can be thousands. */
export function needsTags(format = 'json'): boolean {
  return WHOLE_AS_JSON.test(format) || /RepoTags|[.$](?!\w)/.test(format);
}

/** What skopeo takes for no template: containers/common `report.IsJSON`. */
const WHOLE_AS_JSON = /^\s*(?:json|\{\{\s*json\s*\.?\s*\}\})\s*$/;

/** What is printed, but for the newline at its end. */
export function showImage(shape: Struct, format = 'json'): string {
  if (WHOLE_AS_JSON.test(format)) return toGoJson(shape, INDENT);
  // A shell hands over `\n` as it was typed; podman and skopeo take it for the end of a line.
  const template = format
    .replace(/^table /, '')
    .replaceAll('\\n', '\n')
    .replaceAll('\\t', '\t')
    .replace(/\n$/, '');
  return renderTemplate(template, shape);
}
