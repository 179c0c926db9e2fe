import { BLOCK_BYTES, createHeader, paddedSize } from './header.ts';

/** A small tar in memory: regular files, mode 0644, owned by root, no times. Names of at most 100 bytes. */
export function createTar(files: readonly { readonly path: string; readonly content: Uint8Array }[]): Buffer {
  const parts = files.map(({ path, content }) => {
    const header = createHeader({ path, mode: 0o644, size: content.length, type: '0' });
    return Buffer.concat([header, content], BLOCK_BYTES + paddedSize(content.length));
  });
  return Buffer.concat([...parts, Buffer.alloc(2 * BLOCK_BYTES)]);
}
