/**
 * Stacks of layers by chance, imported and checked out by us and unpacked by umoci, both compared with a model of the
 * rules: see layers-model.ts, which holds the list of differences. Where umoci refuses an image the model alone judges
 * us; it is the model that umoci agrees with wherever it answers.
 *
 * LAYER_STACKS is how many stacks are tried (always the same hundred if not given), LAYER_SEED where chance begins.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { isAtomicError } from '../../src/errors.ts';
import { indexPath, readLayerIndex } from '../../src/store/layer-index.ts';
import type { ImageStore } from '../../src/store/image-store.ts';
import type { ImportedLayer } from '../../src/store/import-layer.ts';
import type { BuiltImage, BuiltLayer, TarEntry } from '../fixtures/image-builder.ts';
import { useTempFolder } from '../fixtures/temp-folder.ts';
import { anyStack } from './layers-generator.ts';
import { DIFFERENCES, LayerModel, Refusal, type Difference } from './layers-model.ts';
import {
  checkOut,
  imageOf,
  importAll,
  importBlob,
  makeStore,
  UmociRefuses,
  unpackByUmoci,
} from './layers-setup.ts';
import { describeTree } from './tree.ts';

const folder = useTempFolder();

const STACKS = Number(process.env['LAYER_STACKS'] ?? 100);
const SEED = Number(process.env['LAYER_SEED'] ?? 20_260_101);
const EVERY_DIFFERENCE = Object.keys(DIFFERENCES) as Difference[];
const REFUSED = 'refused';

type Stack = readonly (readonly TarEntry[])[];
type Outcome = Record<string, string> | typeof REFUSED;

function modelled(stack: Stack, differences: readonly Difference[]): Outcome {
  const model = new LayerModel(differences);
  try {
    for (const layer of stack) model.apply(layer);
  } catch (error) {
    if (error instanceof Refusal) return REFUSED;
    throw error;
  }
  return model.describe();
}

function byUmoci(work: string, image: BuiltImage): Outcome {
  try {
    return describeTree(unpackByUmoci(work, image));
  } catch (error) {
    if (error instanceof UmociRefuses) return REFUSED;
    throw error;
  }
}

/** A refusal has a reason of ours, and is no failure of a program or a system call. */
async function orRefused(tree: Promise<string>): Promise<Outcome> {
  try {
    return describeTree(await tree);
  } catch (error) {
    if (isAtomicError(error, 'layer-invalid') || isAtomicError(error, 'unsupported')) return REFUSED;
    throw error;
  }
}

/** The stack, so that a failure can be read and become a case of its own. */
function show(stack: Stack): string {
  return stack
    .map((layer) =>
      layer.map((entry) =>
        JSON.stringify(entry, (_key, value: unknown) =>
          value !== null && typeof value === 'object' && 'data' in value && Array.isArray(value.data)
            ? Buffer.from(value.data as number[]).toString('latin1')
            : value,
        ),
      ),
    )
    .map((layer, i) => `layer ${i + 1}\n  ${layer.join('\n  ')}`)
    .join('\n');
}

function isSame(one: Outcome, other: Outcome): boolean {
  const [lines, others] = [new Map(Object.entries(one)), new Map(Object.entries(other))];
  return lines.size === others.size && [...lines].every(([path, line]) => others.get(path) === line);
}

test('generated stacks: what umoci unpacks is what we check out, but for the listed differences', async () => {
  const store = await makeStore(folder());
  const counts = { stacks: 0, sameTree: 0, otherTree: 0, umociRefuses: 0, weRefuse: 0, bothRefuse: 0 };
  const property = fc.asyncProperty(anyStack, async (stack) => {
    const work = mkdtempSync(join(folder(), 'work-'));
    const image = imageOf(stack);
    const theirs = byUmoci(work, image);
    const ours = await orRefused(importAll(store, image).then(() => checkOut(work, store, image)));
    rmSync(work, { recursive: true, force: true });
    expect(theirs, `umoci and the model:\n${show(stack)}`).toEqual(modelled(stack, []));
    expect(ours, `we and the model:\n${show(stack)}`).toEqual(modelled(stack, EVERY_DIFFERENCE));
    counts.stacks++;
    if (theirs === REFUSED) counts[ours === REFUSED ? 'bothRefuse' : 'umociRefuses']++;
    else if (ours === REFUSED) counts.weRefuse++;
    else counts[isSame(theirs, ours) ? 'sameTree' : 'otherTree']++;
  });
  await fc.assert(property, { seed: SEED, numRuns: STACKS });
  console.log(`generated stacks, seed ${SEED}: ${JSON.stringify(counts)}`);
  expect(counts.sameTree).toBeGreaterThan(counts.stacks / 10);
}, 36_000_000);

/** Commits that meet at a bad moment ask for another try, as copy/import.ts gives it. */
async function importInRivalry(store: ImageStore, layer: BuiltLayer): Promise<ImportedLayer> {
  for (;;) {
    try {
      return await importBlob(store, layer);
    } catch (error) {
      if (!isAtomicError(error, 'store-race')) throw error;
    }
  }
}

test('the same image gives the same tree: whatever is in the store, in whatever order it came, however it is joined', async () => {
  const stacks = fc.sample(anyStack, { seed: SEED, numRuns: 60 });
  const whole = stacks.filter((stack) => modelled(stack, EVERY_DIFFERENCE) !== REFUSED).slice(0, 20);
  const shared = await makeStore(folder());
  for (const stack of whole) {
    const expected = modelled(stack, EVERY_DIFFERENCE);
    const image = imageOf(stack);
    // All at once, the upper layers first.
    const missing = new Map(image.layers.map((layer) => [layer.descriptor.digest, layer]));
    for (const digest of missing.keys())
      if ((await shared.findLayer(digest)) !== undefined) missing.delete(digest);
    const imported = await Promise.all(
      [...missing.values()].reverse().map((layer) => importInRivalry(shared, layer)),
    );
    for (const layer of imported) await layer.publish();
    // With a whiteout of nothing each layer is applied by itself.
    const alone = imageOf(
      stack.map((layer) => [...layer, { path: 'never-there', type: 'whiteout' as const }]),
    );
    await importAll(shared, alone);
    for (const [name, which] of [
      ['joined', image],
      ['alone', alone],
      ['again', image],
    ] as const) {
      const tree = await checkOut(folder(), shared, which, name);
      expect(describeTree(tree), `${name}:\n${show(stack)}`).toEqual(expected);
      rmSync(tree, { recursive: true });
    }
  }
  expect(whole.length).toBe(20);
});

async function readIndex(path: string): Promise<string[]> {
  const records: string[] = [];
  for await (const record of readLayerIndex(path)) {
    // A tree has no links to other trees, and does not tell what is implied from what is named.
    if (record.kind === 'lower-link' || record.kind === 'replaced') continue;
    const named = { mode: 0o755, uid: 0, gid: 0, xattrs: false, ...record, kind: 'directory' };
    records.push(JSON.stringify(record.kind === 'implied' ? named : record, Object.keys(named).sort()));
  }
  return records;
}

test('an index that is lost is made again from the layer’s tree', async () => {
  const store = await makeStore(folder());
  const isOrdinary = ({ type, path }: TarEntry): boolean =>
    !['char', 'fifo', 'hardlink'].includes(type ?? '') && path.length < 200;
  const layers = fc
    .sample(anyStack, { seed: SEED, numRuns: 20 })
    .flatMap((stack) => stack.map((layer) => layer.filter(isOrdinary)));
  for (const layer of layers) {
    const image = imageOf([layer]);
    const digest = image.layers[0]?.descriptor.digest;
    if (digest === undefined || modelled([layer], EVERY_DIFFERENCE) === REFUSED) continue;
    await importAll(store, image);
    const index = indexPath(store.repository.path, digest);
    const before = await readIndex(index);
    rmSync(index);
    await checkOut(folder(), store, image, `of-${digest.slice(7)}`);
    const last = new Map(
      before.map((line) => {
        const { kind, path } = JSON.parse(line) as { kind: string; path: string };
        return [kind === 'stored-name' ? kind : `${kind} ${path}`, line];
      }),
    );
    last.set(
      'directory ',
      last.get('directory ') ?? '{"gid":0,"kind":"directory","mode":493,"path":"","uid":0,"xattrs":false}',
    );
    const made = await readIndex(index);
    const withoutFirst = (lines: Iterable<string>): string[] =>
      [...lines].filter((line) => !line.includes('stored-name')).sort();
    expect(withoutFirst(made)).toEqual(withoutFirst(last.values()));
    expect(made.some((line) => line.includes('stored-name'))).toBe(last.has('stored-name'));
  }
});
