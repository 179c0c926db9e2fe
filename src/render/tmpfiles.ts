import type { JsonRecord } from '../image/json.ts';
import { isRecord } from '../image/json.ts';
import { renderOwnTemplate, type Templates } from './own-template.ts';
import type { Volume } from './volumes.ts';

export interface TmpfilesInput {
  readonly spec: JsonRecord;
  /** Only a generated configuration has some. */
  readonly volumes: readonly Volume[];
  /** Who owns the folders that are made for bind mounts. */
  readonly identity: { readonly uid: number; readonly gid: number };
  readonly sourceMissing: (path: string) => boolean;
  /**
   * The tmpfiles configuration of the deployment that is updated. A folder it made is there now, and would be gone after
   * the next boot if its line were left out.
   */
  readonly previous: string | undefined;
  readonly templates: Templates;
}

interface Line {
  readonly type: 'd' | 'C';
  readonly path: string;
  readonly mode: string;
  readonly user: string;
  readonly group: string;
  readonly argument: string;
}

/**
 * The tmpfiles.d configuration of an image without a tmpfiles.template: a folder for each bind mount whose source is
 * missing, and one for each volume. Undefined when there is nothing to make.
 * @throws AtomicError `value-invalid` for a copy out of a path with a line break
 * @see tmpfiles.d(5)
 */
export function renderTmpfiles(input: TmpfilesInput): string | undefined {
  const previous = new Set(input.previous?.split('\n'));
  const render = (lines: readonly Line[]): string => renderOwnTemplate(input.templates.tmpfiles, { lines });
  const sources = listBindSources(input.spec).filter(
    (source) => !input.volumes.some((volume) => volume.source === source),
  );
  const folders = sources
    .map((source) => ({ source, line: folderLine(source, input.identity) }))
    .filter(({ source, line }) => input.sourceMissing(source) || previous.has(render([line]).trimEnd()))
    .map(({ line }) => line);
  const lines = [...folders, ...input.volumes.map(volumeLine)];
  return lines.length === 0 ? undefined : render(lines);
}

/** The absolute sources of bind mounts, each once. A relative one lies in the bundle, which is no folder to make. */
function listBindSources(spec: JsonRecord): string[] {
  const mounts: unknown[] = Array.isArray(spec['mounts']) ? spec['mounts'] : [];
  const sources = mounts
    .filter(isRecord)
    .filter(isBind)
    .map((mount) => mount['source']);
  return [
    ...new Set(
      sources.filter((source) => typeof source === 'string').filter((source) => source.startsWith('/')),
    ),
  ];
}

/** By type, as atomic told them, or by an option, as runtimes do. */
function isBind(mount: JsonRecord): boolean {
  const options: unknown[] = Array.isArray(mount['options']) ? mount['options'] : [];
  return (
    (typeof mount['type'] === 'string' && mount['type'].includes('bind')) ||
    options.includes('bind') ||
    options.includes('rbind')
  );
}

function folderLine(path: string, owner: TmpfilesInput['identity']): Line {
  return { type: 'd', path: quotePath(path), mode: '0700', ...ids(owner), argument: '-' };
}

function volumeLine(volume: Volume): Line {
  const path = quotePath(volume.source);
  if (volume.copyFrom === undefined) return { type: 'd', path, mode: '0755', ...ids(volume), argument: '-' };
  // C copies only while the folder is absent or empty. Its argument is the rest of the line, and takes no quotes.
  return { type: 'C', path, mode: '-', user: '-', group: '-', argument: volume.copyFrom };
}

function ids({ uid, gid }: { readonly uid: number; readonly gid: number }): { user: string; group: string } {
  return { user: String(uid), group: String(gid) };
}

/**
 * A path as a field: in double quotes where a blank, a quote or a backslash asks for it. Only a quote and a backslash are
 * escaped: systemd before 250 knows no C escapes. A line break cannot be written and is refused with the template.
 */
function quotePath(path: string): string {
  if (!/[\s"'\\]/.test(path)) return path;
  return `"${path.replaceAll(/["\\]/g, (character) => `\\${character}`)}"`;
}
