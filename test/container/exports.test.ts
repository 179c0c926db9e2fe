import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { readExports } from '../../src/container/exports.ts';
import { EMPTY_MANIFEST, parseExportsManifest } from '../../src/container/exports-manifest.ts';
import { limitOf } from '../../src/limits.ts';

let root = '';
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'exports-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

function put(files: Readonly<Record<string, string | Uint8Array>>): void {
  mkdirSync(join(root, 'exports'), { recursive: true });
  for (const [name, content] of Object.entries(files)) writeFileSync(join(root, 'exports', name), content);
}

describe('readExports', () => {
  it('finds nothing in an ordinary image', async () => {
    expect(await readExports(root)).toEqual({ present: false, manifest: EMPTY_MANIFEST });
  });

  it('tells an empty /exports from none', async () => {
    put({});
    expect(await readExports(root)).toEqual({ present: true, manifest: EMPTY_MANIFEST });
  });

  it('reads all four files and the manifest', async () => {
    put({
      'config.json': '{}',
      'config.json.template': '{"a": "$A"}',
      'service.template': '[Service]',
      'tmpfiles.template': '',
      'manifest.json': '{"useLinks": false}',
    });
    expect(await readExports(root)).toEqual({
      present: true,
      configJson: '{}',
      configTemplate: '{"a": "$A"}',
      serviceTemplate: '[Service]',
      tmpfilesTemplate: '',
      manifest: { ...EMPTY_MANIFEST, useLinks: false },
    });
  });

  it('turns the line ends of templates into \\n, and leaves config.json as it is', async () => {
    put({ 'config.json': '\ufeff{}\r\n', 'service.template': 'a\r\nb\rc\n' });
    const exports = await readExports(root);
    expect(exports.configJson).toBe('\ufeff{}\r\n');
    expect(exports.serviceTemplate).toBe('a\nb\nc\n');
  });

  it('follows /exports as a link inside the image, never to the host', async () => {
    mkdirSync(join(root, 'usr/exports'), { recursive: true });
    writeFileSync(join(root, 'usr/exports/service.template'), 'from usr');
    symlinkSync('/usr/exports', join(root, 'exports'));
    symlinkSync('/etc/passwd', join(root, 'usr/exports/config.json'));
    const exports = await readExports(root);
    expect(exports.serviceTemplate).toBe('from usr');
    expect(exports.configJson).toBeUndefined();
  });

  it('refuses text that is not UTF-8, and a file above the limit', async () => {
    put({ 'service.template': Uint8Array.of(0xff, 0xfe) });
    await expect(readExports(root)).rejects.toMatchObject({
      code: 'exports-invalid',
      message: expect.stringContaining('/exports/service.template in the image is not UTF-8'),
    });
    put({ 'service.template': 'x'.repeat(limitOf('export-size') + 1) });
    await expect(readExports(root)).rejects.toMatchObject({ code: 'limit-exceeded' });
  });
});

describe('parseExportsManifest', () => {
  it('writes numbers, booleans and null as Python did', () => {
    const text =
      '{"defaultValues": {"A": 8081, "B": true, "C": false, "D": null, "E": "x", "F": 1.5, "G": -1}}';
    expect(parseExportsManifest(text).defaultValues).toEqual({
      A: '8081',
      B: 'True',
      C: 'False',
      D: 'None',
      E: 'x',
      F: '1.5',
      G: '-1',
    });
  });

  it('keeps a default that is called __proto__ as a default', () => {
    const { defaultValues } = parseExportsManifest('{"defaultValues": {"__proto__": "x"}}');
    expect(Object.entries(defaultValues)).toEqual([['__proto__', 'x']]);
  });

  it('takes null for a key that is absent', () => {
    const text =
      '{"defaultValues": null, "renameFiles": null, "installedFilesTemplate": null, "noContainerService": null, "useLinks": null}';
    expect(parseExportsManifest(text)).toEqual(EMPTY_MANIFEST);
  });

  it.each([
    ['[]', 'is not a JSON object'],
    ['{', 'is not valid JSON'],
    ['{"defaultValues": []}', 'defaultValues, is not an object'],
    ['{"defaultValues": {"A": ["x"]}}', 'defaultValues, "A", is not a text'],
    ['{"defaultValues": {"A": 12345678901234567890}}', 'defaultValues, "A", is not a text'],
    ['{"installedFilesTemplate": "x"}', 'installedFilesTemplate, is not a list'],
    ['{"installedFilesTemplate": [1]}', 'installedFilesTemplate, is not a list'],
    ['{"renameFiles": {"a": 1}}', 'renameFiles, has a value for "a"'],
    ['{"noContainerService": "yes"}', 'noContainerService, is neither true nor false'],
    ['{"useLinks": 1}', 'useLinks, is neither true nor false'],
  ])('refuses %s and names the key', (text, found) => {
    expect(() => parseExportsManifest(text)).toThrow(
      expect.objectContaining({ code: 'exports-invalid', message: expect.stringContaining(found) }),
    );
  });
});
