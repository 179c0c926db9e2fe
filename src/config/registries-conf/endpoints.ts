import { AtomicError, messageOf } from '../../errors.ts';
import { parseRegistryImage, type RegistryImage } from '../../image/reference.ts';
import type { Mirror, RegistriesConf, RegistryTable } from './conf.ts';

/** What of an image's name may be rewritten. */
export type NamedImage = Pick<RegistryImage, 'domain' | 'repository' | 'tag' | 'digest'>;

/** A place where an image may be had. */
export interface Endpoint extends NamedImage {
  /** Whether plain HTTP and certificates that nobody vouches for will do. */
  readonly insecure: boolean;
  /** Whether it only stands in for the registry that the configuration names. */
  readonly mirror: boolean;
}

/** What forbids an image. */
export interface Block {
  readonly prefix: string;
  readonly file: string;
}

export interface Endpoints {
  readonly blocked: Block | undefined;
  /** In the order in which they are tried: mirrors, then the registry itself. Empty when it is blocked. */
  readonly candidates: readonly Endpoint[];
}

/**
 * Where an image is pulled from. Pure.
 * @throws AtomicError `config-invalid` when what is configured makes no name of it
 * @see containers-registries.conf(5), "Remapping and mirroring registries"
 */
export function endpointsFor(image: NamedImage, conf: RegistriesConf): Endpoints {
  const found = findTable(image, conf);
  if (found === undefined) return { blocked: undefined, candidates: [asNamed(image, false)] };
  const { table, matched } = found;
  if (table.blocked) return { blocked: table, candidates: [] };
  const rewrite = (location: string, insecure: boolean, mirror: boolean): Endpoint =>
    rewritten(image, matched, location, { insecure, mirror, file: table.file });
  const mirrors = table.mirrors.filter((mirror) => isFor(mirror, image));
  return {
    blocked: undefined,
    candidates: [
      ...mirrors.map(({ location, insecure }) => rewrite(location, insecure, true)),
      table.location === undefined
        ? asNamed(image, table.insecure)
        : rewrite(table.location, table.insecure, false),
    ],
  };
}

/**
 * Where an image is pushed to: where its name says, never to a mirror or another location. Pure.
 * @see containers-registries.conf(5): "Redirection and mirrors are currently processed only when reading images"
 */
export function pushEndpointFor(image: NamedImage, conf: RegistriesConf): Endpoints {
  const table = findTable(image, conf)?.table;
  if (table?.blocked === true) return { blocked: table, candidates: [] };
  return { blocked: undefined, candidates: [asNamed(image, table?.insecure ?? false)] };
}

function asNamed({ domain, repository, tag, digest }: NamedImage, insecure: boolean): Endpoint {
  return { domain, repository, tag, digest, insecure, mirror: false };
}

/** The table with the longest prefix; of two that are as long, the one without a wildcard. */
function findTable(
  image: NamedImage,
  { registries }: RegistriesConf,
): { readonly table: RegistryTable; readonly matched: string } | undefined {
  const name = nameOf(image);
  let best: { readonly table: RegistryTable; readonly matched: string } | undefined;
  for (const table of registries) {
    const matched = matchPrefix(name, table.prefix);
    const length = best?.table.prefix.length ?? 0;
    const isBetter =
      table.prefix.length > length || (table.prefix.length === length && !isWildcard(table.prefix));
    if (matched !== undefined && isBetter) best = { table, matched };
  }
  return best;
}

/** The part of a name that a prefix stands for. A prefix without port is for all ports, as in containers/image. */
function matchPrefix(name: string, prefix: string): string | undefined {
  if (isWildcard(prefix)) {
    const host = /^[^/:]*/.exec(name)?.[0] ?? '';
    return host.endsWith(prefix.slice(1)) ? host : undefined;
  }
  if (!name.startsWith(prefix)) return undefined;
  return name.length === prefix.length || ':/@'.includes(name.charAt(prefix.length)) ? prefix : undefined;
}

function isWildcard(prefix: string): boolean {
  return prefix.startsWith('*.');
}

function isFor({ pullFromMirror }: Mirror, { digest }: NamedImage): boolean {
  if (pullFromMirror === 'all') return true;
  return (pullFromMirror === 'digest-only') === (digest !== undefined);
}

/** The whole name, as prefixes are compared with it. */
function nameOf(image: NamedImage): string {
  const host = image.domain === 'index.docker.io' ? 'docker.io' : image.domain;
  return `${host}/${image.repository}${suffixOf(image)}`;
}

function suffixOf({ tag, digest }: NamedImage): string {
  return `${tag === undefined ? '' : `:${tag}`}${digest === undefined ? '' : `@${digest}`}`;
}

function rewritten(
  image: NamedImage,
  matched: string,
  location: string,
  { file, ...traits }: { readonly insecure: boolean; readonly mirror: boolean; readonly file: string },
): Endpoint {
  const rest = nameOf(image).slice(matched.length);
  // A prefix may hold the tag; a location then may say another one.
  const suffix = rest === '' && !/\/.*[:@]/.test(location) ? suffixOf(image) : '';
  const name = `${location}${rest}${suffix}`;
  let parsed: RegistryImage;
  try {
    parsed = parseRegistryImage(name);
    if (!parsed.qualified) throw new Error('it does not begin with a registry');
  } catch (error) {
    throw new AtomicError(
      'config-invalid',
      `${file} makes "${name}" of ${nameOf(image)}, which is no image name: ${messageOf(error)}`,
      { cause: error, hint: 'A location is written HOST[:PORT][/PATH].' },
    );
  }
  const { domain, repository, tag, digest } = parsed;
  return { domain, repository, tag, digest, ...traits };
}
