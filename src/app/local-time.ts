/** `2026-11-22 03:27:02` in the host's time zone, as atomic printed times; empty for a time that no calendar has. */
export function formatLocalTime(time: Date): string {
  if (Number.isNaN(time.getTime())) return '';
  const two = (value: number): string => String(value).padStart(2, '0');
  const day = [String(time.getFullYear()).padStart(4, '0'), two(time.getMonth() + 1), two(time.getDate())];
  return `${day.join('-')} ${[time.getHours(), time.getMinutes(), time.getSeconds()].map(two).join(':')}`;
}
