import { AtomicError, messageOf } from '../errors.ts';
import { EMPTY_MANIFEST, parseExportsManifest, type ExportsManifest } from './exports-manifest.ts';
import { readInRoot, resolveInRoot } from './rooted-path.ts';

/** What an image brings along to be installed as a system container. */
export interface Exports {
  /** Whether there is an /exports at all; an ordinary image has none. */
  readonly present: boolean;
  /** config.json, to be used as it is; goes before the template. */
  readonly configJson?: string;
  readonly configTemplate?: string;
  readonly serviceTemplate?: string;
  /** Empty: there is to be no tmpfiles configuration. */
  readonly tmpfilesTemplate?: string;
  readonly manifest: ExportsManifest;
}

/**
 * Reads /exports out of a checked-out image. Links are followed inside `rootfs` only; each file is a regular one of at
 * most `export-size` in UTF-8. Templates have their line ends turned into `\n`, as Python's text files do.
 * @throws AtomicError `exports-invalid`, `limit-exceeded`
 */
export async function readExports(rootfs: string): Promise<Exports> {
  const read = (name: string): Promise<string | undefined> => readText(rootfs, `/exports/${name}`);
  const readTemplate = async (name: string): Promise<string | undefined> =>
    (await read(name))?.replaceAll(/\r\n?/g, '\n');
  const manifest = await read('manifest.json');
  const configJson = await read('config.json');
  const configTemplate = await readTemplate('config.json.template');
  const serviceTemplate = await readTemplate('service.template');
  const tmpfilesTemplate = await readTemplate('tmpfiles.template');
  return {
    present: resolveInRoot(rootfs, '/exports') !== undefined,
    ...(configJson === undefined ? {} : { configJson }),
    ...(configTemplate === undefined ? {} : { configTemplate }),
    ...(serviceTemplate === undefined ? {} : { serviceTemplate }),
    ...(tmpfilesTemplate === undefined ? {} : { tmpfilesTemplate }),
    manifest: manifest === undefined ? EMPTY_MANIFEST : parseExportsManifest(manifest),
  };
}

async function readText(rootfs: string, path: string): Promise<string | undefined> {
  const bytes = await readInRoot(rootfs, path, 'export-size', 'exports-invalid');
  if (bytes === undefined) return undefined;
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (error) {
    throw new AtomicError('exports-invalid', `${path} in the image is not UTF-8: ${messageOf(error)}`, {
      cause: error,
    });
  }
}
