import { AtomicError } from '../errors.ts';
import { isDigest, type Digest } from './digest.ts';

/** A repository in a registry, and which of its images: `host[:port]/path[:tag][@digest]`. */
export interface RegistryImage {
  /** Host and port of the registry; `docker.io` for the public one. */
  readonly domain: string;
  /** The path as the registry's API knows it: `library/busybox` for `busybox`. */
  readonly repository: string;
  /** `latest` when neither tag nor digest was given; undefined when only a digest was. */
  readonly tag: string | undefined;
  readonly digest: Digest | undefined;
  /** As it was typed, without a transport. */
  readonly given: string;
  /** Whether `given` names a registry. */
  readonly qualified: boolean;
}

/** An image in one of the transports. Immutable; `formatReference` gives back a text that parses to the same. */
export type ImageReference =
  | { readonly transport: 'docker'; readonly image: RegistryImage; readonly plainHttp: boolean }
  | { readonly transport: 'oci' | 'oci-archive'; readonly path: string; readonly tag: string | undefined }
  | { readonly transport: 'dir'; readonly path: string }
  | { readonly transport: 'docker-archive'; readonly path: string; readonly image: string | undefined }
  /** Of the local Docker engine: `NAME[:TAG]`, or the id of an image, `sha256:HEX` or the hex alone. */
  | { readonly transport: 'docker-daemon'; readonly image: string }
  /** An image in an ostree repo; without `repository` in the local storage. */
  | { readonly transport: 'ostree'; readonly image: string; readonly repository: string | undefined };

const DEFAULT_DOMAIN = 'docker.io';
const TAG = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/;
/** A path component: distribution's reference grammar. */
const COMPONENT = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/;
const DOMAIN_LABEL = '[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?';
const DOMAIN = new RegExp(
  `^(?:${DOMAIN_LABEL}(?:\\.${DOMAIN_LABEL})*|\\[[0-9a-fA-F:.]+\\])(?::[0-9]{1,5})?$`,
);
const NAME_LENGTH = 255;

/**
 * Reads an image as people and scripts write it.
 *
 * Besides skopeo's transports, atomic's spellings: `oci:IMAGE` and a bare `IMAGE` are a registry's, `http:IMAGE` a
 * registry over plain HTTP, `docker:IMAGE:TAG` the local Docker daemon, `dockertar:/PATH` a `docker save` file.
 * `oci:` is a layout folder when `isFolder` says that one is there, or when it is written as a path.
 *
 * @param isFolder asked once, for what stands behind `oci:`.
 * @throws AtomicError `reference-invalid`
 * @see containers-transports(5); distribution/reference grammar
 */
export function parseReference(text: string, isFolder: (path: string) => boolean): ImageReference {
  if (text.startsWith('docker://')) return registry(text.slice('docker://'.length));
  const [scheme, rest] = splitOnce(text, ':');
  switch (rest === undefined ? '' : scheme) {
    case 'dir':
      return { transport: 'dir', path: nonEmpty(rest, text, 'dir:PATH') };
    case 'oci': {
      const { path, tag } = pathAndTag(nonEmpty(rest, text, 'oci:PATH[:TAG]'));
      if (/^[./]/.test(path) || isFolder(path)) return { transport: 'oci', path, tag };
      return registry(rest ?? '');
    }
    case 'oci-archive':
      return { transport: 'oci-archive', ...pathAndTag(nonEmpty(rest, text, 'oci-archive:FILE[:TAG]')) };
    case 'docker-archive': {
      const { path, tag } = pathAndTag(nonEmpty(rest, text, 'docker-archive:FILE[:NAME:TAG]'));
      return { transport: 'docker-archive', path, image: tag };
    }
    case 'dockertar':
      // atomic's own tests write two slashes: dockertar://root/x.tar is /root/x.tar.
      return {
        transport: 'docker-archive',
        path: nonEmpty(rest, text, 'dockertar:/PATH').replace(/^\/+/, '/'),
        image: undefined,
      };
    case 'docker':
    case 'docker-daemon':
      return { transport: 'docker-daemon', image: nonEmpty(rest, text, `${scheme}:NAME:TAG`) };
    case 'ostree': {
      // A digest holds an "@" as well: a repo is the path behind the last one.
      const [, image = '', repository] = /^(.+?)(?:@(\.{0,2}\/.*))?$/s.exec(rest ?? '') ?? [];
      return { transport: 'ostree', image: nonEmpty(image, text, 'ostree:NAME[@/PATH/OF/REPO]'), repository };
    }
    case 'containers-storage':
      throw new AtomicError('unsupported', `"${text}" is an image of podman's storage, which is not read`, {
        hint: 'Save it with `podman save --format oci-archive -o FILE IMAGE` and use oci-archive:FILE.',
      });
    case 'http':
      return registry((rest ?? '').replace(/^\/\//, ''), true);
    case 'https':
      return registry((rest ?? '').replace(/^\/\//, ''));
    default:
      return registry(text);
  }
}

function registry(name: string, plainHttp = false): ImageReference {
  return { transport: 'docker', image: parseRegistryImage(name), plainHttp };
}

/**
 * Reads `[host[:port]/]path[:tag][@digest]`. A first component with a dot, a colon or the name `localhost` is a host.
 * @throws AtomicError `reference-invalid`
 */
export function parseRegistryImage(given: string): RegistryImage {
  const invalid = (found: string): AtomicError =>
    new AtomicError('reference-invalid', `"${given}" is no image name: ${found}`, {
      hint: /^\.{0,2}\//.test(given)
        ? 'A path is written with its transport: dir:PATH, oci:PATH, oci-archive:FILE or docker-archive:FILE.'
        : 'An image is written [HOST[:PORT]/]NAME[:TAG] or …@sha256:DIGEST, NAME in lower case.',
    });
  const [beforeDigest, digest] = splitOnce(given, '@');
  // As in a URL; a digest has neither. It is not repeated.
  if (digest !== undefined && /[./]/.test(digest)) {
    throw new AtomicError(
      'reference-invalid',
      `"${given.replace(/^.*@/s, '…@')}" is no image name: user and password have no place in it`,
      { hint: 'Log in with `atomic-ts login`, or give --creds USER:PASSWORD.' },
    );
  }
  if (digest !== undefined && !isDigest(digest))
    throw invalid(`"${digest}" is no digest, such as sha256: and 64 hexadecimal digits`);
  const slash = beforeDigest.lastIndexOf('/');
  const colon = beforeDigest.indexOf(':', slash + 1);
  const path = colon === -1 ? beforeDigest : beforeDigest.slice(0, colon);
  const tag = colon === -1 ? undefined : beforeDigest.slice(colon + 1);
  if (tag !== undefined && !TAG.test(tag)) throw invalid(`"${tag}" is no tag`);
  const [first, rest] = splitOnce(path, '/');
  const qualified =
    rest !== undefined && (/[.:]/.test(first) || first === 'localhost' || first.startsWith('['));
  if (qualified && /^[a-z][a-z-]*:$/.test(first)) {
    throw new AtomicError(
      'reference-invalid',
      `"${given}" is no image name: there is no transport "${first}"`,
      {
        hint: 'There are docker://, dir:, oci:, oci-archive:, docker-archive:, docker-daemon: and ostree:.',
      },
    );
  }
  if (qualified && !DOMAIN.test(first)) throw invalid(`"${first}" is no host name`);
  const domain = qualified ? first : DEFAULT_DOMAIN;
  const components = qualified ? rest : path;
  if (components === '') throw invalid('it is empty');
  for (const component of components.split('/')) {
    if (!COMPONENT.test(component)) throw invalid(`"${component}" is not a valid part of a name`);
  }
  if (path.length > NAME_LENGTH) throw invalid(`it has more than ${NAME_LENGTH} characters`);
  const repository =
    domain === DEFAULT_DOMAIN && !components.includes('/') ? `library/${components}` : components;
  return {
    domain,
    repository,
    tag: tag ?? (digest === undefined ? 'latest' : undefined),
    digest,
    given,
    qualified,
  };
}

/** A text that parses to the same reference. */
export function formatReference(reference: ImageReference): string {
  const suffix = (part: string | undefined): string => (part === undefined ? '' : `:${part}`);
  switch (reference.transport) {
    case 'docker':
      return `${reference.plainHttp ? 'http:' : 'docker://'}${reference.image.given}`;
    case 'oci':
    case 'oci-archive':
      return `${reference.transport}:${reference.path}${suffix(reference.tag)}`;
    case 'dir':
      return `dir:${reference.path}`;
    case 'docker-archive':
      return `docker-archive:${reference.path}${suffix(reference.image)}`;
    case 'docker-daemon':
      return `docker-daemon:${reference.image}`;
    case 'ostree':
      return `ostree:${reference.image}${reference.repository === undefined ? '' : `@${reference.repository}`}`;
  }
}

/** `PATH[:TAG]`: the first colon ends the path, as in containers-transports(5). */
function pathAndTag(text: string): { path: string; tag: string | undefined } {
  const [path, tag] = splitOnce(text, ':');
  return { path, tag: tag === '' ? undefined : tag };
}

function nonEmpty(rest: string | undefined, text: string, form: string): string {
  if (rest !== undefined && rest !== '') return rest;
  throw new AtomicError('reference-invalid', `"${text}" names nothing`, { hint: `It is written ${form}.` });
}

function splitOnce(text: string, separator: string): [string, string | undefined] {
  const at = text.indexOf(separator);
  return at === -1 ? [text, undefined] : [text.slice(0, at), text.slice(at + separator.length)];
}
