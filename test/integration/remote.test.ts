/** layers and delete beside skopeo's, with real registries. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { TransferApp } from '../../src/app/context.ts';
import { copyImageLayers } from '../../src/app/copy-layers.ts';
import { deleteRemoteImage } from '../../src/app/delete-remote.ts';
import { listRemoteTags } from '../../src/app/list-tags.ts';
import { hexOf } from '../../src/image/digest.ts';
import { buildImage, writeDirTransport, writeOciLayout } from '../fixtures/image-builder.ts';
import { openQuietTransfer } from '../fixtures/transfer-app.ts';
import { startRealRegistry, type RealRegistry } from '../registry/real-registry.ts';

const IMAGE = buildImage({
  layers: [{ entries: [{ path: 'a', content: 'x' }] }, { entries: [{ path: 'b', content: 'y' }] }],
});
const [BASE, TOP] = IMAGE.layers.map(({ descriptor }) => descriptor.digest);
if (BASE === undefined || TOP === undefined) throw new Error('the image has two layers');

let app: TransferApp;
let folder = '';
let registry: RealRegistry;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'atomic-ts-remote-'));
  writeOciLayout(join(folder, 'image'), [{ image: IMAGE, tag: 'v1' }]);
  registry = await startRealRegistry({ deletes: true });
  app = await openQuietTransfer();
});

afterAll(async () => {
  await registry.close();
  rmSync(folder, { recursive: true, force: true });
});

function skopeo(args: readonly string[], cwd = folder): string {
  return execFileSync('skopeo', args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

function push(host: string, name: string): string {
  const to = `docker://${host}/${name}`;
  skopeo(['--insecure-policy', 'copy', '-q', '--dest-tls-verify=false', `oci:${folder}/image:v1`, to]);
  return to;
}

function readFiles(path: string): Record<string, Buffer> {
  return Object.fromEntries(readdirSync(path).map((name) => [name, readFileSync(join(path, name))]));
}

describe('layers', () => {
  const layers = (image: string, digests: readonly string[], to: string): Promise<unknown> =>
    copyImageLayers(app, { image, digests, folder: join(folder, to), access: {}, platform: {} });

  test.each([
    ['all', []],
    ['one by its hex', [hexOf(TOP)]],
    ['some by their digests, one of them twice', [TOP, BASE, TOP]],
    ['the config', [IMAGE.configDigest]],
  ])('puts into a folder what skopeo does: %s', async (_what, digests) => {
    const name = push(registry.host, 'layers:1');
    const cwd = mkdtempSync(join(folder, 'skopeo-'));
    skopeo(['layers', '--tls-verify=false', name, ...new Set(digests)], cwd);
    const [made = ''] = readdirSync(cwd);
    const to = `${cwd}-ours`;
    await layers(name, digests, to.slice(folder.length));
    expect(readFiles(to)).toEqual(readFiles(join(cwd, made)));
  });

  test('names those there are, and makes no folder, for one that there is not', async () => {
    await expect(layers(`oci:${folder}/image:v1`, ['0'.repeat(64)], 'none')).rejects.toMatchObject({
      code: 'value-invalid',
      hint: `It has ${BASE}, ${TOP}.`,
    });
    expect(readdirSync(folder)).not.toContain('none');
  });

  test('gives nothing away that is not what it should be', async () => {
    const path = join(folder, 'broken');
    writeDirTransport(path, IMAGE);
    writeFileSync(join(path, hexOf(TOP)), Buffer.alloc(IMAGE.layers[1]?.blob.length ?? 0));
    await expect(layers(`dir:${path}`, [], 'from-broken')).rejects.toMatchObject({ code: 'digest-mismatch' });
    const left = readdirSync(join(folder, 'from-broken'));
    expect(left).not.toContain('manifest.json');
    expect(left).not.toContain(hexOf(TOP));
  });
});

describe('delete', () => {
  test('takes an image out of its registry, with all of its tags and no others', async () => {
    const name = push(registry.host, 'app:1');
    push(registry.host, 'app:2');
    expect(await deleteRemoteImage(app, name, {}, true)).toEqual({
      image: `${registry.host}/app:1`,
      digest: IMAGE.digest,
    });
    expect(skopeo(['inspect', '--raw', '--tls-verify=false', name])).toBe(IMAGE.manifest.toString());
    await deleteRemoteImage(app, name, {}, false);
    await expect(deleteRemoteImage(app, name, {}, false)).rejects.toMatchObject({ code: 'manifest-unknown' });
    expect((await listRemoteTags(app, `docker://${registry.host}/app`, {})).tags).toEqual([]);
    expect(() => skopeo(['inspect', '--tls-verify=false', `docker://${registry.host}/app:2`])).toThrow(
      'manifest unknown',
    );
  });

  test('is refused by a registry that keeps all, which skopeo finds too', async () => {
    const closed = await startRealRegistry();
    try {
      const name = push(closed.host, 'app:1');
      await expect(deleteRemoteImage(app, name, {}, false)).rejects.toMatchObject({
        code: 'unsupported',
        hint: expect.stringContaining('storage.delete.enabled'),
      });
      expect(() => skopeo(['delete', '--tls-verify=false', name])).toThrow('unsupported');
    } finally {
      await closed.close();
    }
  });

  test.each([
    ['busybox', 'usage', 'images delete busybox'],
    ['dir:/x', 'unsupported', 'Remove the folder.'],
    ['docker-daemon:x:1', 'unsupported', 'docker image rm'],
    ['ostree:x', 'unsupported', 'images delete'],
  ])('of %s is told how it is done', async (text, code, hint) => {
    await expect(deleteRemoteImage(app, text, {}, false)).rejects.toMatchObject({
      code,
      hint: expect.stringContaining(hint),
    });
  });
});

describe('list-tags', () => {
  test.each(['docker://host/app:1', 'docker://host/app@sha256:' + '0'.repeat(64), 'docker://app:1'])(
    'does not take %s, which is one image',
    async (text) => {
      await expect(listRemoteTags(app, text, {})).rejects.toMatchObject({ code: 'reference-invalid' });
      expect(() => skopeo(['list-tags', text])).toThrow('No tag or digest allowed');
    },
  );

  test('does not take places without tags', async () => {
    await expect(listRemoteTags(app, 'dir:/x', {})).rejects.toMatchObject({ code: 'unsupported' });
  });
});
