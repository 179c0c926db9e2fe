const UNITS = ['B', 'kB', 'MB', 'GB', 'TB'];

/** Bytes for a person, in powers of 1000 as registries and skopeo count: `66.8 MB`. */
export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 999.95 && unit < UNITS.length - 1) {
    value /= 1000;
    unit++;
  }
  return unit === 0 ? `${bytes} B` : `${value.toFixed(1)} ${UNITS[unit] ?? ''}`;
}
