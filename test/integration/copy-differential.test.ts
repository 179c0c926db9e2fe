/**
 * Images by chance, copied by us and by skopeo between transports by chance. skopeo then takes both copies to a `dir:`,
 * which verifies each blob of ours, and what is in the two has to be the same, but for what `describeFolder` leaves out.
 *
 * COPY_CASES is how many copies are tried (always the same 20 if not given), COPY_SEED where chance begins.
 */
import { execFile, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gunzipSync } from 'node:zlib';
import * as fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { copyBetween } from '../../src/app/copy-image.ts';
import type { TransferApp } from '../../src/app/context.ts';
import { inspectImage } from '../../src/app/inspect-image.ts';
import { toGoJson } from '../../src/cli/output/go-template/json.ts';
import { shapeReport } from '../../src/cli/output/image-shapes.ts';
import { isAtomicError } from '../../src/errors.ts';
import type { Descriptor } from '../../src/image/descriptor.ts';
import { hexOf } from '../../src/image/digest.ts';
import {
  sha256,
  writeDirTransport,
  writeDockerArchive,
  writeOciArchive,
  writeOciLayout,
} from '../fixtures/image-builder.ts';
import { reportOf } from '../fixtures/built-program.ts';
import { IN_MEMORY, useTempFolder } from '../fixtures/temp-folder.ts';
import { openQuietTransfer } from '../fixtures/transfer-app.ts';
import { startRealRegistry, type RealRegistry } from '../registry/real-registry.ts';
import { anyCase, type CopyCase } from './copy-generator.ts';

const CASES = Number(process.env['COPY_CASES'] ?? 20);
const SEED = Number(process.env['COPY_SEED'] ?? 20_260_101);

const folder = useTempFolder(IN_MEMORY);
let registry: RealRegistry;
let app: TransferApp;
let places = 0;

beforeAll(async () => {
  [registry, app] = await Promise.all([startRealRegistry(), openQuietTransfer()]);
});
afterAll(() => registry?.close());

/** @returns its stdout; undefined when it fails */
async function skopeo(...args: string[]): Promise<string | undefined> {
  const run = promisify(execFile)('skopeo', ['--insecure-policy', ...args], { maxBuffer: 64 * 1024 * 1024 });
  return run.then(({ stdout }) => stdout).catch(() => undefined);
}

function writeSource(work: string, { image, from }: CopyCase): string {
  const path = join(work, 'source');
  switch (from) {
    case 'dir':
      writeDirTransport(path, image);
      break;
    case 'oci':
      // Without a tag: skopeo finds one on OCI manifests alone.
      writeOciLayout(path, [{ image }]);
      break;
    case 'oci-archive':
      writeOciArchive(path, [{ image }]);
      break;
    case 'docker-archive':
      if (image.kind === 'image') writeDockerArchive(path, [{ image, names: ['x:1'] }]);
  }
  return `${from}:${path}`;
}

function placeFor(work: string, to: CopyCase['to']): string {
  return to === 'docker'
    ? `docker://${registry.host}/copy${++places}:v1`
    : `${to}:${join(work, `${++places}`)}`;
}

function platformOptions({ platform: { os, architecture } }: CopyCase): string[] {
  return [...(os ? ['--override-os', os] : []), ...(architecture ? ['--override-arch', architecture] : [])];
}

async function copyBySkopeo(one: CopyCase, from: string, to: string): Promise<boolean> {
  const { format, layers } = one.wishes;
  const options = [
    ...(one.all ? ['--all'] : []),
    ...(format === undefined ? [] : ['--format', format]),
    ...(layers === undefined ? [] : [layers === 'none' ? '--dest-decompress' : '--dest-compress']),
    ...(to.startsWith('docker:') ? ['--dest-tls-verify=false'] : []),
    '--dest-oci-accept-uncompressed-layers',
  ];
  return (await skopeo(...platformOptions(one), 'copy', ...options, from, to)) !== undefined;
}

/** @returns why not */
async function copyByUs(
  { wishes, all, platform }: CopyCase,
  source: string,
  destination: string,
): Promise<string> {
  const access = { tlsVerify: false };
  const which = all ? 'all' : 'system';
  try {
    await copyBetween(app, { source, destination, from: access, to: access, which, wishes, platform });
    return '';
  } catch (error) {
    if (isAtomicError(error)) return error.message;
    throw error;
  }
}

interface Document {
  readonly mediaType?: string;
  readonly annotations?: object;
  readonly manifests?: readonly Descriptor[];
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[] | null;
}

/**
 * What is in a `dir:`. Left out is what differs by choice: how layers are compressed on their way to a registry, where
 * skopeo compresses plain ones and takes what it knows to be there, or out of an archive of the engine's; a media type
 * that lies about a layer which is as it was asked for; and what of a config a conversion to OCI's format makes skopeo
 * lose.
 */
function describeFolder(path: string, document: string, one: CopyCase): unknown {
  const read = (digest: Descriptor['digest']): Buffer => readFileSync(join(path, hexOf(digest)));
  const { mediaType, annotations, manifests, config, layers } = JSON.parse(document) as Document;
  if (manifests !== undefined) {
    return {
      mediaType,
      annotations,
      images: manifests.map(({ digest, platform, annotations: notes }) => ({
        platform,
        notes,
        image: describeFolder(path, readFileSync(join(path, `${hexOf(digest)}.manifest.json`), 'utf8'), one),
      })),
    };
  }
  const {
    created,
    architecture,
    os,
    config: run,
    rootfs,
    history,
  } = JSON.parse(read(config.digest).toString()) as Record<string, unknown>;
  return {
    annotations,
    format: config.mediaType,
    config: {
      created: created && Date.parse(created as string),
      ...lean({ architecture, os, run, rootfs, history }),
    },
    layers: layers?.map(({ digest, mediaType: type }) => {
      const { tar, isPlain } = unpack(read(digest));
      if (one.to === 'docker' || one.from === 'docker-archive') return { diffId: sha256(tar) };
      return { diffId: sha256(tar), type: one.wishes.layers === undefined ? type : isPlain };
    }),
  };
}

/** Without what Go leaves out where it is empty. */
function lean<Value>(value: Value): Value {
  const isEmpty = (item: unknown): boolean =>
    item === '' ||
    item === false ||
    item === null ||
    (typeof item === 'object' && Object.keys(item).length === 0);
  return JSON.parse(JSON.stringify(value), (key, item: unknown) =>
    isEmpty(item) && !/^\d*$/.test(key) ? undefined : item,
  ) as Value;
}

/** The case, so that a failure can be read and become one of its own. */
function show({ image, ...asked }: CopyCase): string {
  return `${JSON.stringify(asked)}\n${[image, ...(image.kind === 'index' ? image.images : [])].map((each) => each.manifest.toString()).join('\n')}`;
}

function unpack(blob: Buffer): { tar: Buffer; isPlain: boolean } {
  if (blob[0] === 0x1f) return { tar: gunzipSync(blob), isPlain: false };
  if (blob[0] !== 0x28) return { tar: blob, isPlain: true };
  return { tar: spawnSync('zstd', ['-dcq'], { input: blob }).stdout, isPlain: false };
}

/** By way of skopeo, which reads it all. */
async function lookAt(work: string, one: CopyCase, place: string): Promise<unknown> {
  const path = join(work, `${++places}`);
  const options = [...(one.all ? ['--all'] : []), ...(one.to === 'docker' ? ['--src-tls-verify=false'] : [])];
  const done = await skopeo(...platformOptions(one), 'copy', ...options, place, `dir:${path}`);
  return done === undefined
    ? 'skopeo cannot read it'
    : describeFolder(path, readFileSync(join(path, 'manifest.json'), 'utf8'), one);
}

/** Undefined where skopeo refuses to look. */
async function inspectBySkopeo(image: string, one: CopyCase): Promise<unknown> {
  const told = await skopeo(...platformOptions(one), 'inspect', image);
  return told === undefined ? undefined : reportOf(told);
}

async function inspectByUs(image: string, { platform }: CopyCase): Promise<unknown> {
  const report = await inspectImage(app, { image, access: {}, platform }, false);
  return reportOf(toGoJson(shapeReport(report), '  '));
}

/** What came of a case, for either program; nothing is compared where skopeo refuses it. */
interface Outcome {
  readonly failure: string;
  readonly content: unknown;
}

test('generated images: a copy of ours is the one that skopeo makes, and so is what inspect says', async () => {
  const counts = { cases: 0, same: 0, refused: 0, weAlone: 0 };
  const property = fc.asyncProperty(anyCase, async (one) => {
    const work = mkdtempSync(join(folder(), 'work-'));
    const source = writeSource(work, one);
    const [ours, theirs] = [placeFor(work, one.to), placeFor(work, one.to)];
    const copied = await copyBySkopeo(one, source, theirs);
    const failure = await copyByUs(one, source, ours);
    counts.cases++;
    counts[copied ? 'same' : failure === '' ? 'weAlone' : 'refused']++;
    const look = async (place: string, why: string): Promise<Outcome | undefined> =>
      copied ? { failure: why, content: why === '' ? await lookAt(work, one, place) : '' } : undefined;
    expect(await look(ours, failure), `copied by both:\n${show(one)}`).toEqual(await look(theirs, ''));
    // The manifest that we make of a docker-archive is another than skopeo's: decisions 106.
    const told = one.from === 'docker-archive' ? undefined : await inspectBySkopeo(source, one);
    const said = told && (await inspectByUs(source, one));
    expect(said, `inspected by both:\n${show(one)}`).toEqual(told);
    rmSync(work, { recursive: true, force: true });
  });
  await fc.assert(property, { seed: SEED, numRuns: CASES });
  console.log(`generated copies, seed ${SEED}: ${JSON.stringify(counts)}`);
  expect(counts.same).toBeGreaterThan(counts.cases / 2);
}, 36_000_000);
