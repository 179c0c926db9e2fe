/** The part of GVariant's serialisation that ostree's objects need. @see GVariant specification sections 2.3, 3.2 */

/** GVariant spends as many bytes on an offset as the container's size needs. */
export function offsetWidth(size: number): 1 | 2 | 4 {
  return size <= 0xff ? 1 : size <= 0xffff ? 2 : 4;
}

/** A number beyond every size where there is none. */
export function readOffset(bytes: Buffer, at: number, width: 1 | 2 | 4): number {
  return at < 0 ? Number.MAX_SAFE_INTEGER : bytes.readUIntLE(at, width);
}

export function alignTo(alignment: 1 | 8, offset: number): number {
  return alignment === 1 ? offset : (offset + 7) & ~7;
}

/**
 * The elements of an array whose elements have no fixed size: each starts on a multiple of `alignment`; a table of
 * their ends follows the last.
 * @throws `invalid`
 */
export function splitArray(bytes: Buffer, alignment: 1 | 8, invalid: Error): Buffer[] {
  if (bytes.length === 0) return [];
  const width = offsetWidth(bytes.length);
  const tableStart = readOffset(bytes, bytes.length - width, width);
  if (tableStart > bytes.length) throw invalid;
  const elements: Buffer[] = [];
  let start = 0;
  for (let at = tableStart; at + width <= bytes.length; at += width) {
    const end = readOffset(bytes, at, width);
    if (start > end || end > tableStart) throw invalid;
    elements.push(bytes.subarray(start, end));
    start = alignTo(alignment, end);
  }
  return elements;
}

/** The offsets at the end of a container of `size` bytes without them; they are as wide as the whole of it needs. */
export function offsetTable(size: number, offsets: readonly number[]): Buffer {
  const width = ([1, 2] as const).find((bytes) => size + offsets.length * bytes < 256 ** bytes) ?? 4;
  const table = Buffer.alloc(offsets.length * width);
  for (const [i, offset] of offsets.entries()) table.writeUIntLE(offset, i * width, width);
  return table;
}

export function withOffsets(bytes: Buffer, offsets: readonly number[]): Buffer {
  return Buffer.concat([bytes, offsetTable(bytes.length, offsets)]);
}
