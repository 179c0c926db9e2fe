import type { Readable } from 'node:stream';
import { AtomicError } from '../../errors.ts';
import { isRecord } from '../../image/json.ts';
import { formatReference } from '../../image/reference.ts';
import { ENGINE_ANSWER_BYTES } from '../../limits.ts';
import { readAll } from '../../stream/read-all.ts';
import { streamTar, type TarStream } from '../archive/tar-stream.ts';
import {
  completeTag,
  createImageWriter,
  DOCKER_TRAITS,
  formatArchiveManifest,
  type WrittenImage,
} from '../docker-archive/image-writer.ts';
import type { ImageDestination } from '../transport.ts';
import { parseEngineImage } from './engine-image.ts';
import { openEngine, type Engine, type EngineOptions } from './engine.ts';
import { checkLoadAnswer } from './load-answer.ts';

export interface DockerDaemonOptions extends EngineOptions {
  /** More names for the image: `NAME[:TAG]`. */
  readonly additionalTags?: readonly string[];
}

/**
 * Opens `docker-daemon:NAME[:TAG]` for writing: the image is sent as an archive of `docker save`, each blob as it comes,
 * and the engine takes it in `commit`. Afterwards the engine is asked whether it is there under its names.
 * @throws AtomicError `reference-invalid` for an id or a digest, `engine-unreachable`, `engine-error`, `denied`
 * @see Docker Engine API, "Import images"
 */
export async function openDockerDaemonDestination(
  image: string,
  options: DockerDaemonOptions,
): Promise<ImageDestination> {
  const name = formatReference({ transport: 'docker-daemon', image });
  const { asked, id } = parseEngineImage(image);
  if (id !== undefined) {
    throw new AtomicError('reference-invalid', `An image cannot be stored as ${name}, by its id`, {
      hint: 'Write docker-daemon:NAME:TAG.',
    });
  }
  const names = [...new Set([asked, ...(options.additionalTags ?? [])].map(completeTag))];
  const engine = await openEngine(options);
  let tar: TarStream<void> | undefined;
  // The request begins with the first blob, and not while the source still thinks.
  const begin = (): TarStream<void> => (tar ??= streamTar((bytes) => load(engine, bytes, names)));
  const writer = createImageWriter(name, names, (...member) => begin().add(...member));
  return {
    name,
    traits: DOCKER_TRAITS,
    hasBlob: async (descriptor) => writer.has(descriptor),
    putBlob: writer.putBlob,
    putManifest: writer.putManifest,
    async commit() {
      const written = writer.image();
      const manifest = formatArchiveManifest([written.listed]);
      await begin().add('manifest.json', manifest.length, manifest);
      await begin().finish();
      for (const one of names) await requireLoaded(engine, one, written);
    },
    async close() {
      await tar?.giveUp();
      await engine.close();
    },
  };
}

async function load(engine: Engine, body: Readable, names: readonly string[]): Promise<void> {
  const doing = `load the image ${names.join(', ')}`;
  const answer = await engine.open({ method: 'POST', path: '/images/load?quiet=1', body, slow: true, doing });
  const what = `The Docker engine at ${engine.host}`;
  try {
    const bytes = await readAll(
      answer,
      ENGINE_ANSWER_BYTES,
      `The answer of the Docker engine at ${engine.host}`,
    );
    checkLoadAnswer(bytes.toString('utf8'), what, doing);
  } catch (error) {
    throw engine.explain(error, doing);
  }
}

/** An engine with containerd's store calls an image by the digest of a manifest that it made; then the layers have to do. */
async function requireLoaded(engine: Engine, name: string, written: WrittenImage): Promise<void> {
  const doing = `show the image ${name} that was sent to it`;
  const found = await engine.read({ method: 'GET', path: `/images/${name}/json`, doing, image: name });
  if (found['Id'] === written.id) return;
  const layers = isRecord(found['RootFS']) ? found['RootFS']['Layers'] : undefined;
  if (isRecord(found['Descriptor']) && JSON.stringify(layers) === JSON.stringify(written.diffIds)) return;
  throw new AtomicError(
    'engine-error',
    `The Docker engine at ${engine.host} has another image under ${name} than the one that was sent to it`,
    { hint: 'Somebody else may have loaded one at the same time: try again.' },
  );
}
