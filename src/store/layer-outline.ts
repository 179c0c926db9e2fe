import type { LayerRecord } from '../stream/tar/recorder.ts';
import { baseOf } from '../stream/tar/path.ts';
import { readLayerIndex } from './layer-index.ts';

export type DirectoryRecord = Extract<LayerRecord, { kind: 'directory' | 'implied' }>;
export type LowerLink = Extract<LayerRecord, { kind: 'lower-link' }>;

/** What one reading of the index gives, its files left aside. */
export interface LayerOutline {
  readonly directories: ReadonlyMap<string, DirectoryRecord>;
  readonly whiteouts: readonly string[];
  readonly opaques: readonly string[];
  readonly lowerLinks: readonly LowerLink[];
  readonly replaced: ReadonlySet<string>;
  readonly hasStoredNames: boolean;
}

/** @throws AtomicError `store-invalid` */
export async function readOutline(index: string): Promise<LayerOutline> {
  const directories = new Map<string, DirectoryRecord>();
  const whiteouts: string[] = [];
  const opaques: string[] = [];
  const lowerLinks = new Map<string, LowerLink>();
  const replaced = new Set<string>();
  let hasStoredNames = false;
  for await (const record of readLayerIndex(index)) {
    if (record.kind === 'directory') directories.set(record.path, record);
    else if (record.kind === 'implied') directories.set(record.path, directories.get(record.path) ?? record);
    else if (record.kind === 'whiteout') whiteouts.push(record.path);
    else if (record.kind === 'opaque') opaques.push(record.path);
    else if (record.kind === 'lower-link') setLast(lowerLinks, record);
    else if (record.kind === 'stored-name') hasStoredNames = true;
    else {
      // The last entry of a path is the one that counts.
      lowerLinks.delete(record.path);
      if (record.kind === 'replaced') replaced.add(record.path);
      else replaced.delete(record.path);
    }
  }
  return { directories, whiteouts, opaques, lowerLinks: [...lowerLinks.values()], replaced, hasStoredNames };
}

function setLast(links: Map<string, LowerLink>, link: LowerLink): void {
  links.delete(link.path);
  links.set(link.path, link);
}

/** What is no folder and no whiteout, of those that are in the layer's tree. */
export async function* listFiles(index: string): AsyncGenerator<string> {
  for await (const record of readLayerIndex(index))
    if (record.kind === 'file' && !baseOf(record.path).startsWith('.wh.')) yield record.path;
}
