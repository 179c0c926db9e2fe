import { rmSync } from 'node:fs';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { isAtomicError } from '../../src/errors.ts';
import type { TarEntry } from '../fixtures/image-builder.ts';
import { useTempFolder } from '../fixtures/temp-folder.ts';
import { anyStack } from './layers-generator.ts';
import { DIFFERENCES, LayerModel, Refusal, type Difference } from './layers-model.ts';
import { checkOut, imageOf, importAll, makeStore, unpackByUmoci } from './layers-setup.ts';
import { describeTree } from './tree.ts';

const folder = useTempFolder();

type Outcome = Record<string, string> | string;

function modelled(stack: readonly (readonly TarEntry[])[], differences: Iterable<Difference>): Outcome {
  const model = new LayerModel(differences);
  try {
    for (const layer of stack) model.apply(layer);
  } catch (error) {
    if (error instanceof Refusal) return `refused: ${error.message}`;
    throw error;
  }
  return model.describe();
}

const ALL = Object.keys(DIFFERENCES) as Difference[];
const RUNS = Number(process.env['LAYER_STACKS'] ?? 40);
const SEED = Number(process.env['LAYER_SEED'] ?? 1);

test('probe', async () => {
  const counts: Record<string, number> = {};
  const count = (key: string): void => void (counts[key] = (counts[key] ?? 0) + 1);
  const shown: Record<string, number> = {};
  const store = await makeStore(folder());
  let n = 0;
  for (const stack of fc.sample(anyStack, { numRuns: RUNS, seed: SEED })) {
    n++;
    const image = imageOf(stack);
    let umoci: Outcome;
    const work = join(folder(), `w${n}`);
    try {
      umoci = describeTree(unpackByUmoci(work, image));
    } catch (error) {
      umoci = `refused: ${String(error).slice(-200)}`;
    }
    let ours: Outcome;
    try {
      await importAll(store, image);
      ours = describeTree(await checkOut(work, store, image));
    } catch (error) {
      if (!isAtomicError(error)) throw error;
      ours = `refused: ${error.message}`;
    }
    rmSync(work, { recursive: true, force: true });
    const plain = modelled(stack, []);
    const all = modelled(stack, ALL);
    const same = (a: Outcome, b: Outcome): boolean =>
      typeof a === 'string' || typeof b === 'string'
        ? typeof a === typeof b
        : JSON.stringify(Object.entries(a).sort()) === JSON.stringify(Object.entries(b).sort());
    const label = (x: Outcome): string => (typeof x === 'string' ? 'R' : 'T');
    const key = `umoci ${label(umoci)} ${same(umoci, plain) ? '=' : '!'} plain; ours ${label(ours)} ${same(ours, all) ? '=' : '!'} all`;
    count(key);
    if (!(same(umoci, plain) && same(ours, all))) {
      shown[key] = (shown[key] ?? 0) + 1;
      if ((shown[key] ?? 0) <= 3) {
        console.log(key, n);
        console.log(
          stack
            .map((layer, i) =>
              layer
                .map(
                  (e) =>
                    `  ${i} ${e.type ?? 'file'} ${Buffer.from(e.path).toString('latin1')} ${e.target === undefined ? '' : '-> ' + Buffer.from(e.target).toString('latin1')} ${(e.mode ?? -1).toString(8)} ${JSON.stringify(e.xattrs ?? {})}`,
                )
                .join('\n'),
            )
            .join('\n'),
        );
        const diff = (a: Outcome, b: Outcome): string => {
          if (typeof a === 'string' || typeof b === 'string')
            return `${typeof a === 'string' ? a : 'tree'} | ${typeof b === 'string' ? b : 'tree'}`;
          return [...new Set([...Object.keys(a), ...Object.keys(b)])]
            .filter((k) => a[k] !== b[k])
            .map((k) => `${k}: ${a[k]} | ${b[k]}`)
            .join('\n');
        };
        if (!same(umoci, plain)) console.log('UMOCI|plain', diff(umoci, plain));
        if (!same(ours, all)) console.log('OURS|all', diff(ours, all));
      }
    }
  }
  console.log(counts);
  expect(1).toBe(1);
}, 3_600_000);
