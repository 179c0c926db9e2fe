/** Folders with an image's /exports each: the project's own, in the shapes of real system containers. */
import { readdirSync } from 'node:fs';
import { basename, join } from 'node:path';

const FIXTURES = join(import.meta.dirname, 'fixtures/exports');

/** Those of the folder in $TEMPLATES_DIR as well, if it is set: real ones, to try by hand. */
export function exportsFolders(): { readonly name: string; readonly path: string }[] {
  const { TEMPLATES_DIR: more } = process.env;
  return [FIXTURES, ...(more === undefined ? [] : [more])].flatMap((folder) =>
    readdirSync(folder, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => ({
        name: folder === FIXTURES ? name : `${basename(folder)}/${name}`,
        path: join(folder, name),
      })),
  );
}
