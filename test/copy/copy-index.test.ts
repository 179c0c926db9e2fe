import { describe, expect, test } from 'vitest';
import { copyImage, type CopyOptions, type CopyOutcome } from '../../src/copy/copy.ts';
import { planIndex } from '../../src/copy/copy-index.ts';
import {
  DOCKER_LIST,
  DOCKER_MANIFEST,
  OCI_INDEX,
  OCI_MANIFEST,
  type ManifestFormat,
} from '../../src/image/media-type.ts';
import { moveLimits } from '../../src/limits.ts';
import type { DestinationTraits } from '../../src/transport/transport.ts';
import { buildImage, buildIndex, sha256, type BuiltImage } from '../fixtures/image-builder.ts';
import { failureOf } from '../stream/collect.ts';
import { copyOptions, FakeDestination, sourceOf, type FakeSource } from './fakes.ts';

const shared = { entries: [{ path: 'shared' }] };

function imageFor(architecture: string, format: ManifestFormat = 'oci'): BuiltImage {
  return buildImage({
    format,
    platform: { os: 'linux', architecture },
    layers: [shared, { entries: [{ path: architecture }] }],
  });
}

const images = [imageFor('amd64'), imageFor('arm64')];
const index = buildIndex(images);

function copyAll(
  source: FakeSource,
  destination: FakeDestination,
  options: Partial<CopyOptions> = {},
): Promise<CopyOutcome> {
  return copyImage(source, destination, copyOptions({ which: 'all', ...options }));
}

const json = (bytes: Uint8Array | undefined): { mediaType: string; manifests: { digest: string }[] } =>
  JSON.parse(Buffer.from(bytes ?? '').toString()) as never;

describe('copying an index', () => {
  test('copies each image as it is, then the index, and a shared layer once', async () => {
    const source = sourceOf(index);
    const destination = new FakeDestination();
    const outcome = await copyAll(source, destination);
    expect(outcome).toMatchObject({
      digest: index.digest,
      sourceDigest: index.digest,
      manifests: 3,
      copied: 5,
    });
    expect(source.asked).toHaveLength(5);
    expect(
      destination.log.filter((line) => !line.startsWith('blob')).map((line) => line.split(' ')[0]),
    ).toEqual(['entry', 'entry', 'reference', 'commit']);
    expect(destination.manifests.get(index.digest)?.bytes).toEqual(index.manifest);
  });

  test('of a single image copies that one', async () => {
    const [image = imageFor('amd64')] = images;
    expect(await copyAll(sourceOf(image), new FakeDestination())).toMatchObject({
      digest: image.digest,
      manifests: 1,
    });
  });

  test('alone copies no image', async () => {
    const source = sourceOf(index);
    const destination = new FakeDestination();
    const outcome = await copyAll(source, destination, { which: 'index-only' });
    expect(outcome).toMatchObject({ digest: index.digest, copied: 0, manifests: 1 });
    expect(source.asked).toEqual([]);
  });

  test('copies the images of a nested index, down to the limit', async () => {
    const inner = { schemaVersion: 2, mediaType: OCI_INDEX, manifests: [index.descriptor] };
    const bytes = Buffer.from(JSON.stringify(inner));
    const outer = { ...index, manifest: bytes, digest: sha256(bytes) };
    const source = sourceOf(outer);
    source.manifests.set(index.digest, { bytes: index.manifest, mediaType: '' });
    const destination = new FakeDestination();
    expect(await copyAll(source, destination)).toMatchObject({ digest: outer.digest, manifests: 4 });
    const restore = moveLimits({ 'index-depth': 1 });
    const failed = await failureOf(copyAll(source, new FakeDestination())).finally(restore);
    expect(failed.code).toBe('limit-exceeded');
  });

  test('in another format converts the images, and names them anew', async () => {
    const destination = new FakeDestination();
    const { digest, mediaType } = await copyAll(sourceOf(index), destination, { wishes: { format: 'v2s2' } });
    expect(mediaType).toBe(DOCKER_LIST);
    const list = json(destination.manifests.get(digest)?.bytes);
    expect(
      list.manifests.map((entry) => json(destination.manifests.get(entry.digest as never)?.bytes)),
    ).toEqual([
      expect.objectContaining({ mediaType: DOCKER_MANIFEST }),
      expect.objectContaining({ mediaType: DOCKER_MANIFEST }),
    ]);
  });

  test('to a registry that knows Docker’s formats alone converts all of it', async () => {
    const destination = new FakeDestination();
    destination.refusedTypes.add(OCI_MANIFEST).add(OCI_INDEX);
    expect(await copyAll(sourceOf(index), destination)).toMatchObject({
      mediaType: DOCKER_LIST,
      manifests: 3,
    });
  });

  test('keeps all digests or fails', async () => {
    const destination = new FakeDestination({ manifestTypes: [DOCKER_MANIFEST, DOCKER_LIST] });
    const failed = await failureOf(
      copyAll(sourceOf(index), destination, { wishes: { preserveDigests: true } }),
    );
    expect(failed).toMatchObject({ code: 'digest-changes' });
    expect(destination.log).toEqual([]);
  });

  test('is refused where one image alone has a place', async () => {
    const destination = new FakeDestination({ manifestTypes: [DOCKER_MANIFEST] });
    expect(await failureOf(copyAll(sourceOf(index), destination))).toMatchObject({
      code: 'unsupported',
      hint: expect.stringContaining('--all'),
    });
  });

  test('ends with an entry that is not what the index says', async () => {
    const source = sourceOf(index);
    const [one = imageFor('x'), two = imageFor('y')] = images;
    source.manifests.set(two.digest, { bytes: one.manifest, mediaType: '' });
    const destination = new FakeDestination();
    expect((await failureOf(copyAll(source, destination))).code).toBe('digest-mismatch');
    expect(destination.log.some((line) => line.startsWith('reference'))).toBe(false);
  });

  test('brings signatures of the index and of its images', async () => {
    const [one = imageFor('x')] = images;
    const [ofIndex, ofImage] = [[Buffer.from('index')], [Buffer.from('image')]];
    const getSignatures: FakeSource['getSignatures'] = (digest) =>
      Promise.resolve(digest === undefined ? ofIndex : digest === one.digest ? ofImage : []);
    const source = { ...sourceOf(index), getSignatures };
    const destination = new FakeDestination({ signatures: true });
    await copyAll(source, destination);
    expect([...destination.signatures]).toEqual([
      [one.digest, ofImage],
      [index.digest, ofIndex],
    ]);
    const failed = await failureOf(copyAll(source, new FakeDestination()));
    expect(failed.hint).toContain('--remove-signatures');
    const unsigned = new FakeDestination();
    await copyAll(source, unsigned, { removeSignatures: true });
    expect(unsigned.signatures.size).toBe(0);
  });
});

describe('planIndex', () => {
  const traitsOf = (manifestTypes: DestinationTraits['manifestTypes']): DestinationTraits =>
    new FakeDestination({ manifestTypes }).traits;
  const indexOf = (mediaType: string) => ({ kind: 'index' as const, mediaType, manifests: [] });

  test.each([
    ['a list where all is taken', DOCKER_LIST, undefined, undefined, 'v2s2', 'oci'],
    ['an index where all is taken', OCI_INDEX, undefined, undefined, 'oci', 'v2s2'],
    ['a list where OCI’s is taken', DOCKER_LIST, [OCI_MANIFEST, OCI_INDEX], undefined, 'oci', undefined],
    ['an index that is asked for as a list', OCI_INDEX, undefined, 'v2s2', 'v2s2', undefined],
  ] as const)('%s', (_name, mediaType, types, format, expected, other) => {
    const wishes = format === undefined ? {} : { format };
    const plan = planIndex(indexOf(mediaType), wishes, { name: 'x', traits: traitsOf(types) }, false);
    expect(plan).toEqual({ format: expected, otherFormat: other, kept: undefined });
  });
});
