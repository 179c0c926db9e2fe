import { expect, test } from 'vitest';
import { limitOf } from '../../../src/limits.ts';
import { chooseImage, parseArchiveManifest } from '../../../src/transport/docker-archive/archive-manifest.ts';

const parse = (value: unknown) => parseArchiveManifest(Buffer.from(JSON.stringify(value)), 'manifest.json');
const images = parse([
  { Config: 'a.json', RepoTags: ['busybox:latest', 'busybox:1'], Layers: ['a/layer.tar'] },
  { Config: 'b.json', RepoTags: ['registry.example:5000/app:2', 'Not A Name'], Layers: [] },
  { Config: 'c.json', RepoTags: null, Layers: null },
]);

test.each([
  ['busybox', 'a.json', 'busybox:latest'],
  ['busybox:1', 'a.json', 'busybox:1'],
  ['docker.io/library/busybox', 'a.json', 'busybox:latest'],
  ['registry.example:5000/app:2', 'b.json', 'registry.example:5000/app:2'],
  ['@1', 'b.json', 'registry.example:5000/app:2'],
  ['@2', 'c.json', undefined],
])('%s chooses %s, named %s', (wanted, config, imageName) => {
  expect(chooseImage(images, wanted, 'x')).toMatchObject({ config, imageName });
});

test('the only image needs no choice and has its first name', () => {
  expect(chooseImage(images.slice(0, 1), undefined, 'x').imageName).toBe('busybox:latest');
  expect(chooseImage(images.slice(2), undefined, 'x').imageName).toBeUndefined();
});

test('a wrong or missing choice is answered with the names that exist', () => {
  const names = 'it has busybox:latest, busybox:1, registry.example:5000/app:2, Not A Name';
  expect(() => chooseImage(images, undefined, '/x')).toThrow(`/x holds 3 images: ${names}`);
  expect(() => chooseImage(images, 'busybox:3', '/x')).toThrow(`/x has no image "busybox:3": ${names}`);
  expect(() => chooseImage(images, '@3', '/x')).toThrow('/x has no image "@3"');
  expect(() => chooseImage([], 'busybox', '/x')).toThrow('/x holds no image');
  expect(() => chooseImage(images, 'BUSYBOX', '/x')).toThrow('is no image name');
});

test.each([
  ['an object', {}],
  ['an entry that is no object', ['x']],
  ['no Config', [{ Layers: [] }]],
  ['layers that are no texts', [{ Config: 'x', Layers: [1] }]],
])('a manifest.json with %s is refused', (_, value) => {
  expect(() => parse(value)).toThrow(/^manifest\.json/);
});

test('more layers than the limit are refused', () => {
  const Layers = Array.from({ length: limitOf('layers') + 1 }, () => 'l');
  expect(() => parse([{ Config: 'x', Layers }])).toThrow(
    `has ${limitOf('layers') + 1} layers; the limit is ${limitOf('layers')}`,
  );
});
