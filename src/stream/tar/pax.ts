import { AtomicError } from '../../errors.ts';
import { BLOCK_BYTES, createHeader, paddedSize } from './header.ts';

/** PAX records of one entry, in their order. Keys and values are latin1 strings: one character a byte. */
export type PaxRecords = readonly (readonly [key: string, value: string])[];

/**
 * Reads the body of a PAX extended header: `LENGTH KEY=VALUE\n` each.
 * @throws AtomicError `layer-invalid`
 * @see pax(1) "pax Extended Header"
 */
export function parsePax(body: Buffer, what: string): PaxRecords {
  const records: [string, string][] = [];
  let at = 0;
  while (at < body.length) {
    const space = body.indexOf(0x20, at);
    const digits = space === -1 ? '' : body.toString('latin1', at, space);
    const end = at + Number(digits);
    const equals = body.indexOf(0x3d, space);
    if (
      !/^[1-9][0-9]{0,9}$/.test(digits) ||
      end > body.length ||
      equals === -1 ||
      equals >= end ||
      body[end - 1] !== 0x0a
    ) {
      throw new AtomicError('layer-invalid', `${what} has a PAX header that cannot be read`);
    }
    records.push([body.toString('latin1', space + 1, equals), body.toString('latin1', equals + 1, end - 1)]);
    at = end;
  }
  return records;
}

/** A global header may carry comments and times; one that would rename or resize what follows is refused. */
export function checkGlobal(records: PaxRecords, what: string): void {
  for (const [key] of records) {
    if (
      /^(?:path|linkpath|size|hdrcharset|GNU\.sparse|SCHILY\.(?:xattr|acl|realsize)|LIBARCHIVE\.xattr)/.test(
        key,
      )
    ) {
      throw new AtomicError(
        'unsupported',
        `${what} has a global PAX header that sets ${JSON.stringify(key)}`,
      );
    }
  }
}

/** The whole blocks of a PAX extended header for the entry that follows it. */
export function formatPax(records: PaxRecords): Buffer {
  const body = Buffer.from(records.map(([key, value]) => formatRecord(key, value)).join(''), 'latin1');
  const header = createHeader({ path: 'PaxHeaders/entry', mode: 0o644, size: body.length, type: 'x' });
  return Buffer.concat([header, body], BLOCK_BYTES + paddedSize(body.length));
}

/** A record's length counts its own digits. */
function formatRecord(key: string, value: string): string {
  const rest = ` ${key}=${value}\n`;
  let length = rest.length + 1;
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length;
  return `${length}${rest}`;
}
