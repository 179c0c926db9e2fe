import { setTimeout as sleep } from 'node:timers/promises';
import type { Report } from '../../events.ts';
import {
  CONNECT_TIMEOUT_MS,
  IDLE_TIMEOUT_MS,
  SLOW_WINDOW_MS,
  UPLOAD_STORE_TIMEOUT_MS,
  WHOLE_ANSWER_MS,
} from '../../limits.ts';
import type { AuthFileQuery, Credentials } from '../../config/auth-file.ts';
import type { RegistriesConf } from '../../config/registries-conf/index.ts';

export interface RegistryOptions {
  /** Plain HTTP and nothing else, as `http:IMAGE` asks for. */
  readonly plainHttp: boolean;
  /** Whether certificates are checked; when not, a registry without TLS is taken as well. True when not given. */
  readonly tlsVerify?: boolean;
  /** For this registry and the token server it names; they win over the auth files. */
  readonly credentials?: Credentials;
  /** Read instead of the files of containers-auth.json(5). */
  readonly authFile?: string;
  /** Takes credentials from nowhere but `credentials`. */
  readonly anonymous?: boolean;
  /** Read instead of the folders of containers-certs.d(5). */
  readonly certDir?: string;
  /** Runs credential helpers; where it is not given, none is asked. */
  readonly exec?: AuthFileQuery['exec'];
  /** The host's registries.conf, asked at the first call; mirrors and what is blocked are unknown when not given. */
  readonly registries?: () => Promise<RegistriesConf>;
  readonly userAgent: string;
  /** Told about each `retry`. */
  readonly report: Report;
  readonly signal?: AbortSignal;
  /** HTTP_PROXY, HTTPS_PROXY, NO_PROXY, XDG_RUNTIME_DIR, XDG_CONFIG_HOME, HOME, REGISTRY_AUTH_FILE, SSL_CERT_FILE. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Tries of one request that fails for a passing reason, the first included; REQUEST_TRIES when not given. */
  readonly tries?: number;
  /** limits.ts, when not given; tests wait less. */
  readonly timing?: Timing;
}

/** How long we wait for what, in milliseconds. */
export interface Timing {
  readonly connectMs: number;
  /** To the first byte of an answer. */
  readonly answerMs: number;
  /** Between two bytes of an answer's body. */
  readonly idleMs: number;
  /** Between two looks at whether a blob has brought SLOW_BYTES. */
  readonly slowMs: number;
  /** To the end of an answer that is read whole. */
  readonly wholeMs: number;
  /** To the answer when a blob was sent. */
  readonly storeMs: number;
  /** Waits before another try; rejects when the signal is aborted. */
  pause(milliseconds: number, signal: AbortSignal | undefined): Promise<void>;
}

export const TIMING: Timing = {
  connectMs: CONNECT_TIMEOUT_MS,
  answerMs: CONNECT_TIMEOUT_MS,
  idleMs: IDLE_TIMEOUT_MS,
  slowMs: SLOW_WINDOW_MS,
  wholeMs: WHOLE_ANSWER_MS,
  storeMs: UPLOAD_STORE_TIMEOUT_MS,
  async pause(milliseconds, signal) {
    await sleep(milliseconds, undefined, signal === undefined ? {} : { signal });
  },
};
