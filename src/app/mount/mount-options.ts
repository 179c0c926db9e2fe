/** What `mount --options` may ask for. */
import { AtomicError } from '../../errors.ts';

const DEFAULTS: readonly string[] = ['ro', 'nosuid', 'nodev'];
/** What takes back one of the defaults. */
const LIFTS: ReadonlyMap<string, string> = new Map([
  ['suid', 'nosuid'],
  ['dev', 'nodev'],
]);
const ADDED: ReadonlySet<string> = new Set(['exec', 'noexec', 'noatime', 'nodiratime', 'relatime']);

/**
 * The options that a tree is mounted with: `ro,nosuid,nodev`, and what is given. atomic forgot the defaults as soon as
 * one was given; here only their opposites take them away.
 * @param text of --options: names with commas between them
 * @throws AtomicError `value-invalid`: what would make the tree writable, or means nothing for it
 */
export function mountOptions(text: string): readonly string[] {
  const given = text.split(',').filter((option) => option !== '');
  for (const option of given) {
    if (option === 'rw') {
      throw new AtomicError('value-invalid', 'A tree cannot be mounted with the option rw: it is read-only', {
        hint: 'Its files are those of the image store and of every container of the image: leave rw out.',
      });
    }
    if (DEFAULTS.includes(option) || ADDED.has(option) || LIFTS.has(option)) continue;
    throw new AtomicError(
      'value-invalid',
      `A tree cannot be mounted with the option ${JSON.stringify(option)}`,
      {
        hint: `It takes ${[...DEFAULTS, ...LIFTS.keys(), ...ADDED].join(', ')}.`,
      },
    );
  }
  const lifted = new Set(given.flatMap((option) => LIFTS.get(option) ?? []));
  const kept = DEFAULTS.filter((option) => !lifted.has(option) || given.includes(option));
  return [...kept, ...new Set(given.filter((option) => ADDED.has(option)))];
}
