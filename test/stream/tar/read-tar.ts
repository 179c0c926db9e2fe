/** Reads the tar that a filter gives, as strictly as ostree's reader needs it: ustar, PAX records in front of entries. */
import { isZeroBlock, paddedSize, parseHeader } from '../../../src/stream/tar/header.ts';
import { parsePax } from '../../../src/stream/tar/pax.ts';

export interface ReadEntry {
  readonly path: string;
  readonly type: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly link: string;
  readonly content: string;
  readonly pax: Readonly<Record<string, string>>;
}

export function readTar(tar: Buffer): ReadEntry[] {
  const entries: ReadEntry[] = [];
  let pax: Record<string, string> = {};
  let long: { path?: string; link?: string } = {};
  let at = 0;
  while (!isZeroBlock(tar.subarray(at, at + 512))) {
    const block = tar.subarray(at, at + 512);
    const header = parseHeader(block);
    if (header === undefined) throw new Error(`no header at ${at}`);
    const size = Number(pax['size'] ?? header.size);
    const body = tar.subarray(at + 512, at + 512 + size);
    at += 512 + paddedSize(size);
    const text = body.toString('latin1').replace(/\0.*/s, '');
    if (header.type === 'x') pax = { ...pax, ...Object.fromEntries(parsePax(body, 'the output')) };
    else if (header.type === 'L') long = { ...long, path: text };
    else if (header.type === 'K') long = { ...long, link: text };
    else {
      entries.push({
        path: pax['path'] ?? long.path ?? header.path,
        type: header.type,
        mode: header.mode,
        uid: Number(pax['uid'] ?? header.uid),
        gid: Number(pax['gid'] ?? header.gid),
        link: pax['linkpath'] ?? long.link ?? header.linkPath,
        content: body.toString('latin1'),
        pax,
      });
      pax = {};
      long = {};
    }
  }
  if (tar.length !== at + 1024 || !isZeroBlock(tar.subarray(at + 512))) throw new Error('no end of archive');
  return entries;
}
