const UNITS = ['B', 'KB', 'MB', 'GB', 'TB'];

/** Bytes in powers of 1000 with at most two places, spelled as atomic did: `79.1 MB`, `68.0 B`. */
export function formatSize(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < UNITS.length - 1) {
    value /= 1000;
    unit++;
  }
  const rounded = Number(value.toFixed(2));
  return `${Number.isInteger(rounded) ? rounded.toFixed(1) : rounded} ${UNITS[unit] ?? ''}`;
}
