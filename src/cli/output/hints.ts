import type { ErrorCode } from '../../errors.ts';

/** What to do about errors that bring no advice of their own. */
export const HINTS: Readonly<Partial<Record<ErrorCode, string>>> = {
  'reference-invalid': 'An image is written [HOST[:PORT]/]NAME[:TAG], or with a transport such as oci:PATH.',
  'image-not-found': 'Check the name of the image.',
  'manifest-unknown': 'Check the name and the tag of the image.',
  'manifest-invalid': 'The image is broken or of a kind that is not known: push it again with another tool.',
  'manifest-refused': 'The registry does not take images of this kind: try --format v2s2 or --format oci.',
  'config-invalid': 'The image is broken: build and push it again.',
  'registry-error': 'Try again later, or ask those who run the registry.',
  'size-mismatch':
    'The registry or a proxy damages what it sends: try again, or take the image from elsewhere.',
  'digest-mismatch':
    'The bytes are not those that the image names: try again, or take the image from elsewhere.',
  'compression-unsupported': 'Push the image with gzip or zstd layers.',
  'stream-broken': 'The layer is damaged where it comes from: push the image again.',
  'archive-invalid':
    'The archive is damaged or of another kind: write it again, with `docker save` or skopeo.',
  'layer-invalid': 'The layer is not one that a root file system can be made of: build the image again.',
  'platform-missing': 'Take an image that is built for this machine.',
  'template-invalid': 'The template comes with the image: mend it there.',
  'exports-invalid': 'The /exports of the image are at fault: mend them there.',
  'spec-invalid': 'The config.json of the image is at fault: mend it there.',
  'unit-invalid': 'The unit comes with the image: mend it there.',
  'value-invalid': 'The command’s --help tells what it takes.',
  'command-failed': 'With --debug it is told where this happened.',
};
