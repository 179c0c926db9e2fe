import { parseRegistryImage } from '../../image/reference.ts';
import { invalid } from './fields.ts';

const HOST = /^(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:.]+\])(?::[0-9]{1,5})?$/;

/** A prefix or location, without slashes at its end; undefined when there is none. */
export function readPlace(text: string, key: string, path: string): string | undefined {
  const place = text.replace(/\/+$/, '');
  if (/^https?:/.test(place)) {
    throw invalid(path, `the ${key} "${text}"`, 'It is written without http:// and https://.');
  }
  return place === '' ? undefined : place;
}

/** @throws AtomicError `config-invalid` for what is no `host[:port]` */
export function readSearchRegistry(text: string, path: string): string {
  const host = readPlace(text, 'search registry', path);
  if (host === undefined || !HOST.test(host) || isQualified(`${host}/image`) !== true) {
    throw invalid(
      path,
      `the search registry "${text}"`,
      'It is written HOST[:PORT], with a dot, a port or the name localhost, and without a path.',
    );
  }
  return host;
}

/** Whether a name without tag and digest begins with a registry; undefined when it is no such name. */
export function isQualified(name: string): boolean | undefined {
  try {
    const { qualified } = parseRegistryImage(`${name}:latest`);
    return qualified;
  } catch {
    // A second tag, or a tag behind a digest, is as invalid as any other character that does not belong there.
    return undefined;
  }
}
