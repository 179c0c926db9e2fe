import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import type { App } from '../../src/app/context.ts';
import { endImports } from '../../src/app/sync-imports.ts';
import { markImport } from '../../src/store/import-mark.ts';
import { useTempFolder } from '../fixtures/temp-folder.ts';

const folder = useTempFolder();

/** A host whose `ostree prune` fails as long as it is told to. */
function makeHost(): { app: App; programs: string[]; breakPrune: (broken: boolean) => void } {
  const programs: string[] = [];
  let isBroken = true;
  const run = (program: string, args: readonly string[]): Promise<object> => {
    programs.push(`${program} ${args[1] ?? ''}`);
    return isBroken ? Promise.reject(new Error('killed')) : Promise.resolve({});
  };
  const app = {
    exec: { run },
    files: {
      readIfExists: () => Promise.resolve(Buffer.from('this-boot\n')),
      syncFilesystem: () => Promise.resolve(),
    },
    paths: { checkouts: folder(), repository: join(folder(), 'repo') },
  };
  return { app: app as unknown as App, programs, breakPrune: (broken) => (isBroken = broken) };
}

it('collects the garbage of a lost import also when whoever dropped its refs died before that', async () => {
  const { app, programs, breakPrune } = makeHost();
  const heads = join(folder(), 'repo/refs/heads/ociimage');
  const journals = join(folder(), '.atomic-ts/journal');
  for (const path of [heads, join(folder(), 'repo/objects')]) mkdirSync(path, { recursive: true });
  await markImport(journals, { pid: 7, boot: 'another', ref: 'ociimage/a', previous: undefined });
  writeFileSync(join(heads, 'a'), `${'d'.repeat(64)}\n`);

  await expect(endImports(app)).rejects.toThrow('killed');
  expect(existsSync(join(heads, 'a'))).toBe(false);
  expect(readdirSync(journals)).toHaveLength(1);

  breakPrune(false);
  programs.length = 0;
  await endImports(app);
  expect(programs).toEqual(['ostree prune']);
  expect(readdirSync(journals)).toEqual([]);
});
