import { AtomicError } from '../errors.ts';

declare const brand: unique symbol;

/** A container's name: also that of its unit, its deployment directories and its runtime's container. */
export type ContainerName = string & { readonly [brand]: 'ContainerName' };

/** A file name holds 255 bytes; the rest is for `tmpfiles-….conf` and the runtime's own suffixes. */
const NAME_BYTES = 200;
const NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]*$/;

/**
 * Reads a container's name: letters, digits, `_`, `.` and `-`, a letter or digit first. Such a name needs no quoting in
 * units, tmpfiles and shell lines, and is no path.
 *
 * A name may end in `.0` or `.1` (`redis-7.0` is the default name of redis:7.0); whether that collides with the
 * deployment of a container named without the ending, only the caller can see.
 * @throws AtomicError `name-invalid`
 */
export function parseContainerName(text: string): ContainerName {
  if (isContainerName(text)) return text;
  const shown = JSON.stringify(text.length > NAME_BYTES ? `${text.slice(0, 60)}…` : text);
  const found =
    text === ''
      ? 'it is empty'
      : text.length > NAME_BYTES
        ? `it has ${text.length} characters, and ${NAME_BYTES} are allowed`
        : 'it has other characters than letters, digits, "_", "." and "-", or does not begin with a letter or digit';
  throw new AtomicError('name-invalid', `${shown} cannot name a container: ${found}`, {
    hint: 'Choose one with --name.',
  });
}

/** Whether a text is a name that `parseContainerName` takes. */
export function isContainerName(text: string): text is ContainerName {
  return text.length <= NAME_BYTES && NAME.test(text);
}

/**
 * The name a container gets when none is given: the image's last path component, with `-TAG` unless the tag is `latest`;
 * a digest adds nothing, and takes the tag's place. An archive's file extension is left out.
 * @param imageNameAsGiven the image as it was typed, with or without a transport.
 * @throws AtomicError `name-invalid`
 */
export function defaultContainerName(imageNameAsGiven: string): ContainerName {
  const [image = '', digest] = imageNameAsGiven.replace(/^[a-z-]+:(?=\/\/)/, '').split('@');
  const withoutTransport = image.replace(
    /^(?:oci-archive|docker-archive|docker-daemon|dockertar|docker|oci|dir|https?):/,
    '',
  );
  const parts = (withoutTransport.split('/').findLast((part) => part !== '') ?? '').split(':');
  // docker-archive:FILE:NAME:TAG names an image inside the file; the last two parts are it.
  const [base = '', tag = ''] = parts.length > 2 ? parts.slice(-2) : parts;
  const plain = base.replace(/\.(?:tar|oci|tgz|tar\.(?:gz|zst|xz|bz2))$/, '');
  const untagged = tag === '' || tag === 'latest' || digest !== undefined;
  return parseContainerName(untagged ? plain : `${plain}-${tag}`);
}
