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
  const { raw, config, format } = flags;
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
  context.output.line(show(shape, format));
}

/** A template that does not name them needs no request for the tags, of which there can be thousands. */
export function needsTags(format: string | undefined): boolean {
  return format === undefined || format === 'json' || /RepoTags|[.$](?!\w)/.test(format);
}

function show(shape: Struct, format: string | undefined): string {
  if (format === undefined || format === 'json') return toGoJson(shape, INDENT);
  // A shell hands over `\n` as it was typed; podman and skopeo take it for the end of a line.
  const template = format
    .replace(/^table /, '')
    .replaceAll('\\n', '\n')
    .replaceAll('\\t', '\t');
  return renderTemplate(template, shape).replace(/\n$/, '');
}
