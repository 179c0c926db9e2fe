export type Value = string | number;

/**
 * Where a value comes from. `forced`: always ours. `set`: the user's. `host`: what this host gives. `manifest`: a default
 * of the image. `generated`: drawn once, then kept.
 */
export type ValueSource = 'forced' | 'set' | 'host' | 'manifest' | 'generated';

/** Template variables that neither --set nor an image can change. */
export const FORCED_VARIABLES: ReadonlySet<string> = new Set([
  'DESTDIR',
  'NAME',
  'EXEC_START',
  'EXEC_STOP',
  'EXEC_STARTPRE',
  'EXEC_STOPPOST',
  'HOST_UID',
  'HOST_GID',
  'IMAGE_NAME',
  'IMAGE_ID',
]);

/** Where the runtime writes the pid of a detached container, unless PIDFILE is set. */
export function pidFileIn(runDirectory: string, name: string): string {
  return `${runDirectory}/container-${name}.pid`;
}
