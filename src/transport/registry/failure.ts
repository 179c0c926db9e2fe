/** Failures as the inner layers see them; explain.ts turns them into the errors that leave this folder. */
import type { IncomingHttpHeaders } from 'node:http';
import { messageOf, systemCodeOf } from '../../errors.ts';

/** No answer, or one that broke off. */
export class ConnectionFailure extends Error {
  readonly url: URL;
  readonly code: string | undefined;

  constructor(url: URL, cause: unknown) {
    // A host with several addresses fails with one error for each, and an empty message above them.
    const first: unknown = cause instanceof AggregateError && cause.message === '' ? cause.errors[0] : cause;
    super(messageOf(first), { cause });
    this.url = url;
    this.code = systemCodeOf(cause) ?? systemCodeOf(first);
  }
}

/** An answer with a status that was not hoped for. */
export class StatusFailure extends Error {
  readonly url: URL;
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** The start of its body. */
  readonly body: string;

  constructor(url: URL, status: number, headers: IncomingHttpHeaders, body: string) {
    super(`HTTP status ${status}`);
    this.url = url;
    this.status = status;
    this.headers = headers;
    this.body = body;
  }
}

/** Whether it was TLS that failed, by its handshake or its certificate. */
export function isTlsFailure({ code = '' }: ConnectionFailure): boolean {
  return (
    /^(?:ERR_TLS_|ERR_SSL_|CERT_|CRL_|SELF_SIGNED_|DEPTH_ZERO_|UNABLE_TO_|HOSTNAME_)/.test(code) ||
    code === 'EPROTO'
  );
}

/** Whether what answered does not speak TLS at all: it took our greeting for a broken request. */
export function isWithoutTls({ code = '' }: ConnectionFailure): boolean {
  return [
    'ERR_SSL_WRONG_VERSION_NUMBER',
    'ERR_SSL_PACKET_LENGTH_TOO_LONG',
    'ERR_SSL_HTTP_REQUEST',
    'EPROTO',
    'ECONNRESET',
    'UND_ERR_SOCKET',
  ].includes(code);
}
