import { closeSync, openSync, writeSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { describeDiskFull, isAtomicError, messageOf, TEMP_SPACE_HINT } from '../../errors.ts';
import { hexOf } from '../../image/digest.ts';
import { formatReference } from '../../image/reference.ts';
import { limitUnpackedSize } from '../archive/open-archive.ts';
import { openDockerArchiveSource } from '../docker-archive/source.ts';
import { makeTempFolder } from '../temp-folder.ts';
import type { ImageSource } from '../transport.ts';
import { parseEngineImage } from './engine-image.ts';
import { openEngine, type Engine, type EngineOptions } from './engine.ts';

export interface DockerDaemonSource {
  readonly source: ImageSource;
  /** As it was typed; of an image by its id the start of that, as Docker shows it. */
  readonly imageName: string;
}

/**
 * Opens `docker-daemon:NAME[:TAG]` or an image by its id for reading. The engine packs it as `docker save` does; that is
 * kept in a file without a name below $TMPDIR (/var/tmp when not set; at most `archive-unpacked-size`) until `close`.
 * @throws AtomicError `image-not-found`, `engine-unreachable`, `engine-error`, `denied`, `reference-invalid`,
 *   `limit-exceeded`, `disk-full`, `interrupted`; as `docker-archive:` for what the engine sends
 * @see Docker Engine API, "Export an image"
 */
export async function openDockerDaemonSource(
  image: string,
  options: EngineOptions,
): Promise<DockerDaemonSource> {
  const { asked, id } = parseEngineImage(image);
  const name = formatReference({ transport: 'docker-daemon', image });
  const folder = await makeTempFolder(options, 'atomic-ts-docker-');
  let engine: Engine | undefined;
  try {
    engine = await openEngine(options);
    const archive = join(folder, 'image.tar');
    options.report({ event: 'notice', text: `The Docker engine packs ${asked}` });
    await spool(engine, asked, archive);
    const shown = `What the Docker engine gave for ${asked}`;
    const source = await openDockerArchiveSource(archive, undefined, options, shown);
    return {
      source: { ...source, name },
      imageName: id === undefined ? image : (source.imageName ?? hexOf(id).slice(0, 12)),
    };
  } finally {
    await engine?.close();
    await rm(folder, { recursive: true, force: true });
  }
}

async function spool(engine: Engine, asked: string, file: string): Promise<void> {
  const doing = `give out the image ${asked}`;
  const bytes = await engine.open({
    method: 'GET',
    path: `/images/${asked}/get`,
    slow: true,
    doing,
    image: asked,
  });
  const target = openSync(file, 'wx', 0o600);
  try {
    await pipeline(bytes, limitUnpackedSize(`What the Docker engine gave for ${asked}`), writeAtOnce(target));
  } catch (error) {
    const known = describeDiskFull(error, file, TEMP_SPACE_HINT);
    throw isAtomicError(known) ? known : engine.explain(error, doing);
  } finally {
    closeSync(target);
  }
}

/**
 * Writes synchronously, and so never asks to wait: the engine sends in chunks, and undici needs fifty times as long for
 * those when it is made to pause between them (a minute for 100 MB).
 */
function writeAtOnce(target: number): Writable {
  return new Writable({
    write(chunk: Buffer, _encoding, done) {
      try {
        for (let written = 0; written < chunk.length;) written += writeSync(target, chunk, written);
        done();
      } catch (error) {
        done(error instanceof Error ? error : new Error(messageOf(error)));
      }
    },
  });
}
