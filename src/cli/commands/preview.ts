import type { Preview } from '../../app/change.ts';

/** A preview as a person reads it: the steps, then every file with its content. */
export function previewLines({ name, image, digest, files, steps }: Preview): string[] {
  return [
    `${name}: ${image} (${digest})`,
    '',
    'Steps:',
    ...steps.map((step) => `  ${step}`),
    ...files.flatMap(({ path, mode, content }) => [
      '',
      `${path} (${mode}):`,
      ...content
        .replace(/\n$/, '')
        .split('\n')
        .map((line) => `  ${line}`),
    ]),
    '',
    'Nothing was changed.',
  ];
}
