import { parseDigest, type Digest } from '../../image/digest.ts';
import { parseRegistryImage } from '../../image/reference.ts';
import { completeTag } from '../docker-archive/image-writer.ts';

/** An image as the engine is asked for it. */
export interface EngineImage {
  /** `busybox:latest`, `busybox@sha256:…` or `sha256:…`. */
  readonly asked: string;
  /** When it is asked for by its id. */
  readonly id: Digest | undefined;
}

/**
 * Reads what stands behind `docker-daemon:`: a name, completed with the tag `latest`, or an id, with or without `sha256:`.
 * @throws AtomicError `reference-invalid`
 * @see containers-transports(5)
 */
export function parseEngineImage(text: string): EngineImage {
  const hex = /^(?:sha256:)?([0-9a-f]{64})$/.exec(text)?.[1];
  if (hex !== undefined) {
    const id = parseDigest(`sha256:${hex}`, text);
    return { asked: id, id };
  }
  const { digest } = parseRegistryImage(text);
  return { asked: digest === undefined ? completeTag(text) : text, id: undefined };
}
