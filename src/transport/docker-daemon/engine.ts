import type { Readable } from 'node:stream';
import type { Agent, Dispatcher } from 'undici';
import { AtomicError, isAtomicError, messageOf, systemCodeOf } from '../../errors.ts';
import { isRecord, parseJson, type JsonRecord } from '../../image/json.ts';
import { ENGINE_ANSWER_BYTES } from '../../limits.ts';
import { readAll, readErrorText } from '../../stream/read-all.ts';
import { TIMING, type RegistryOptions } from '../registry/options.ts';
import { showForeign } from '../registry/text.ts';
import { resolveEngineHost, type EngineHost, type EngineHostOptions } from './engine-host.ts';

export type EngineOptions = EngineHostOptions &
  Pick<RegistryOptions, 'userAgent' | 'signal' | 'timing' | 'report'>;

/** One thing that is asked of the engine. */
export interface EngineCall {
  readonly method: 'GET' | 'POST';
  /** Below the version of the API: `/images/NAME/json`. */
  readonly path: string;
  readonly body?: Readable;
  /** Whether the engine packs or unpacks an image before it answers. */
  readonly slow?: boolean;
  /** Completes "The Docker engine at … cannot …": `give out busybox:latest`. */
  readonly doing: string;
  /** The image that is asked for, and that the engine may not have. */
  readonly image?: string;
}

/** A Docker engine, by its HTTP API. */
export interface Engine {
  readonly host: string;
  /**
   * The body of an answer that says yes.
   * @throws AtomicError `image-not-found`, `engine-error` for other refusals, `engine-unreachable`, `interrupted`
   */
  open(call: EngineCall): Promise<Readable>;
  /** The same whole, a JSON object. */
  read(call: EngineCall): Promise<JsonRecord>;
  /** A failure on the way as the error that a person sees. */
  explain(error: unknown, doing: string): unknown;
  close(): Promise<void>;
}

/**
 * Bytes of an answer that wait in memory for a slow reader. The engine sends an image in small pieces, and undici copies
 * all that it has read already each time that it has to pause.
 */
const BODY_BUFFER_BYTES = 1024 * 1024;
/** Docker 1.12: since then an engine answers requests of a version that it chose itself. */
const OLDEST_API = 24;

/**
 * Connects to the engine, and agrees on the version of the API: the engine's own, since what is asked of it here has not
 * changed from version to version.
 * @throws AtomicError `engine-unreachable`, `denied` when its socket may not be opened, `unsupported` when it is too old
 * @see Docker Engine API, "Versioning"
 */
export async function openEngine(options: EngineOptions): Promise<Engine> {
  const host = await resolveEngineHost(options);
  const { timing = TIMING } = options;
  const { Agent } = await import('../registry/undici.ts');
  const agent = new Agent({ connect: { ...host.connect, timeout: timing.connectMs } });
  try {
    const greeting = createEngine(host, agent, '', options);
    const { ApiVersion: told } = await greeting.read({
      method: 'GET',
      path: '/version',
      doing: 'tell its version',
    });
    const minor = typeof told === 'string' ? /^1\.(\d{1,4})$/.exec(told)?.[1] : undefined;
    if (minor === undefined) {
      throw new AtomicError(
        'engine-error',
        `What answers at ${host.shown} tells no version of the Docker API`,
      );
    }
    if (Number(minor) < OLDEST_API) {
      throw new AtomicError(
        'unsupported',
        `The Docker engine at ${host.shown} is too old: its API is 1.${minor}`,
        {
          hint: `It has to be at least Docker 1.12, with the API 1.${OLDEST_API}.`,
        },
      );
    }
    return createEngine(host, agent, `/v1.${minor}`, options);
  } catch (error) {
    await agent.destroy();
    throw error;
  }
}

function createEngine(host: EngineHost, agent: Agent, prefix: string, options: EngineOptions): Engine {
  const explain = (error: unknown, doing: string): unknown =>
    explainFailure(error, doing, host, options.signal);
  async function open(call: EngineCall): Promise<Readable> {
    const answer = await request(host, agent, prefix, call, options).catch((error: unknown) => {
      throw explain(error, call.doing);
    });
    if (answer.statusCode === 200) return answer.body;
    throw refusal(answer.statusCode, await readErrorText(answer.body), call, host);
  }
  return {
    host: host.shown,
    open,
    async read(call) {
      const what = `The answer of the Docker engine at ${host.shown}`;
      const body = await open(call);
      const bytes = await readAll(body, ENGINE_ANSWER_BYTES, what).catch((error: unknown) => {
        throw explain(error, call.doing);
      });
      const document = parseJson(bytes, what, 'engine-error');
      if (isRecord(document)) return document;
      throw new AtomicError('engine-error', `${what} is not a JSON object`);
    },
    explain,
    close: () => agent.destroy(),
  };
}

function request(
  host: EngineHost,
  agent: Agent,
  prefix: string,
  { method, path, body, slow = false }: EngineCall,
  { timing = TIMING, userAgent, signal }: EngineOptions,
): Promise<Dispatcher.ResponseData> {
  return agent.request({
    origin: host.origin,
    path: `${prefix}${path}`,
    method,
    headers: {
      'user-agent': userAgent,
      ...(body === undefined ? {} : { 'content-type': 'application/x-tar' }),
    },
    body: body ?? null,
    signal: signal ?? null,
    headersTimeout: slow ? timing.storeMs : timing.answerMs,
    highWaterMark: BODY_BUFFER_BYTES,
    bodyTimeout: slow ? timing.storeMs : timing.idleMs,
  });
}

function refusal(
  status: number,
  body: string,
  { doing, image }: EngineCall,
  { shown }: EngineHost,
): AtomicError {
  const message = messageIn(body);
  const says = message === '' ? '' : `: "${showForeign(message)}"`;
  if (status === 404 && image !== undefined) {
    return new AtomicError('image-not-found', `The Docker engine at ${shown} has no image ${image}${says}`, {
      hint: '`docker images` lists what it has.',
    });
  }
  return new AtomicError(
    'engine-error',
    `The Docker engine at ${shown} cannot ${doing} (status ${status})${says}`,
    {
      hint: 'The log of the Docker engine may tell more.',
    },
  );
}

function messageIn(body: string): string {
  try {
    const document: unknown = JSON.parse(body);
    const message = isRecord(document) ? document['message'] : undefined;
    return typeof message === 'string' ? message : body;
  } catch {
    return body.trim();
  }
}

function explainFailure(error: unknown, doing: string, host: EngineHost, signal?: AbortSignal): unknown {
  if (signal?.aborted === true) {
    // Whoever gave the signal said why, and the exit status depends on it.
    if (isAtomicError(signal.reason)) return signal.reason;
    return new AtomicError('interrupted', `Interrupted while the Docker engine was to ${doing}`, {
      cause: error,
    });
  }
  if (isAtomicError(error)) return error;
  const code = systemCodeOf(error) ?? '';
  if (code === 'EACCES' || code === 'EPERM') {
    return new AtomicError(
      'denied',
      `The Docker engine at ${host.shown} may not be used: permission denied`,
      {
        cause: error,
        hint: 'Run this as root, or as a member of the group docker.',
      },
    );
  }
  const found =
    code === 'ENOENT' ? 'there is no such socket' : `no answer (${showForeign(messageOf(error))})`;
  return new AtomicError(
    'engine-unreachable',
    `The Docker engine at ${host.shown} cannot ${doing}: ${found}`,
    {
      cause: error,
      hint: 'Start Docker, or tell where it listens: in DOCKER_HOST, or for a copy --src-daemon-host or --dest-daemon-host.',
    },
  );
}
