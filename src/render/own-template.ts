/**
 * The templates of our own, in EJS. It compiles to JavaScript: nothing out of an image is ever a template here, foreign
 * text only fills in.
 */
import ejs from 'ejs';
import { AtomicError } from '../errors.ts';

/** The texts of templates/*.ejs; the host reads them. */
export interface Templates {
  readonly service: string;
  readonly tmpfiles: string;
}

/**
 * Renders one of our templates. `<%= %>` writes for systemd: `%` as `%%`, for it begins a specifier in units and in
 * tmpfiles.d alike.
 * @param data what the template calls `it`.
 * @throws AtomicError `value-invalid` for a value with a line break: it would add lines of its own
 */
export function renderOwnTemplate(template: string, data: object): string {
  const render = ejs.compile(template, { strict: true, localsName: 'it', escape: escapeForSystemd });
  return render(data);
}

function escapeForSystemd(value: unknown): string {
  const text = typeof value === 'string' || typeof value === 'number' ? String(value) : '';
  if (/[\n\r\0]/.test(text)) {
    throw new AtomicError(
      'value-invalid',
      `${JSON.stringify(text.slice(0, 200))} contains a line break, which a line of a systemd file cannot hold`,
    );
  }
  return text.replaceAll('%', '%%');
}
