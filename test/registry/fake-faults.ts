import type { IncomingMessage, ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';

/** What a registry can do wrong. */
export type Fault =
  /** Answers with this status instead. */
  | {
      readonly kind: 'status';
      readonly status: number;
      readonly headers?: Record<string, string>;
      readonly body?: string;
    }
  /** Answers 307 to this URL. */
  | { readonly kind: 'redirect'; readonly to: string }
  /** Cuts the connection before any answer. */
  | { readonly kind: 'reset' }
  /** Takes the request and never answers. */
  | { readonly kind: 'silent' }
  /** Says for ever that the answer will come. */
  | { readonly kind: 'promise' }
  /** Promises the whole body and cuts the connection after so many bytes of it. */
  | { readonly kind: 'cut'; readonly after: number }
  /** Sends the whole body without a length, and ends it cleanly after so many bytes. */
  | { readonly kind: 'short'; readonly after: number }
  /** Says this Content-Length, and sends so many bytes: zeros behind the real ones. */
  | { readonly kind: 'wrong-length'; readonly length: number }
  /** Sends the first bytes, then nothing more, and keeps the connection. */
  | { readonly kind: 'stall'; readonly after: number }
  /** Never stops sending. */
  | { readonly kind: 'endless' }
  /** Changes the last byte. */
  | { readonly kind: 'wrong-bytes' }
  /** Says another digest in Docker-Content-Digest. */
  | { readonly kind: 'wrong-digest' }
  /** Answers a Range with the whole body. */
  | { readonly kind: 'ignore-range' }
  /** Answers a Range with the bytes from another place. */
  | { readonly kind: 'wrong-range' }
  /** Answers a Range with the right bytes, and says they are of a longer blob. */
  | { readonly kind: 'wrong-total' }
  /** Takes so many bytes of the request's body, keeps them, and cuts the connection. */
  | { readonly kind: 'cut-request'; readonly after: number }
  /** Sends the whole body without a length, in pieces of so many bytes: rude, and no fault. */
  | { readonly kind: 'small-chunks'; readonly length: number }
  /** Sends the first bytes, then one every few milliseconds, for ever. */
  | { readonly kind: 'trickle'; readonly after: number };

export interface FaultRule {
  /** Tried on `METHOD /path?query`. */
  readonly on: RegExp;
  readonly fault: Fault;
  /** How often it still strikes. */
  times: number;
}

/** A successful answer that is about to be sent. */
export interface PlannedAnswer {
  status: number;
  headers: Record<string, string>;
  body: Buffer;
}

const WRONG_DIGEST = `sha256:${'0'.repeat(64)}`;

/** The rule that strikes this request, counted. */
export function takeFault(rules: readonly FaultRule[], request: IncomingMessage): Fault | undefined {
  const rule = rules.find(({ on, times }) => times > 0 && on.test(`${request.method} ${request.url}`));
  if (rule === undefined) return undefined;
  rule.times -= 1;
  return rule.fault;
}

/** Faults that leave no room for a real answer; true when one was given. */
export function answerWithFault(fault: Fault | undefined, response: ServerResponse): boolean {
  switch (fault?.kind) {
    case 'status':
      response.writeHead(fault.status, fault.headers).end(fault.body);
      return true;
    case 'redirect':
      response.writeHead(307, { location: fault.to }).end('see there');
      return true;
    case 'reset':
      response.socket?.resetAndDestroy();
      return true;
    case 'silent':
      return true;
    case 'promise': {
      const timer = setInterval(() => response.writeProcessing(), 5);
      response.once('close', () => clearInterval(timer));
      return true;
    }
    case undefined:
    case 'cut':
    case 'short':
    case 'wrong-length':
    case 'stall':
    case 'endless':
    case 'wrong-bytes':
    case 'wrong-digest':
    case 'ignore-range':
    case 'wrong-range':
    case 'wrong-total':
    case 'trickle':
    case 'small-chunks':
    case 'cut-request':
  }
  return false;
}

/** Sends an answer with the given fault in it. */
export function sendAnswer(answer: PlannedAnswer, fault: Fault | undefined, response: ServerResponse): void {
  const { status, headers, body } = answer;
  switch (fault?.kind) {
    case 'cut':
      response.writeHead(status, { ...headers, 'content-length': body.length });
      response.write(body.subarray(0, fault.after), () => response.socket?.destroySoon());
      return;
    case 'stall':
      response.writeHead(status, { ...headers, 'content-length': body.length });
      response.write(body.subarray(0, fault.after));
      return;
    case 'trickle': {
      response.writeHead(status, { ...headers, 'content-length': body.length });
      response.write(body.subarray(0, fault.after));
      let at = fault.after;
      const timer = setInterval(() => response.write(body.subarray(at, ++at)), 5);
      response.once('close', () => clearInterval(timer));
      return;
    }
    case 'short':
      response.writeHead(status, { ...headers, 'transfer-encoding': 'chunked' });
      response.end(body.subarray(0, fault.after));
      return;
    case 'small-chunks':
      response.writeHead(status, { ...headers, 'transfer-encoding': 'chunked' });
      pipeline(cutUp(body, fault.length), response).catch(() => undefined);
      return;
    case 'wrong-length':
      response.writeHead(status, { ...headers, 'content-length': fault.length });
      response.end(
        Buffer.concat([body, Buffer.alloc(Math.max(0, fault.length - body.length))]).subarray(
          0,
          fault.length,
        ),
      );
      return;
    case 'endless':
      response.writeHead(status, { ...headers, 'transfer-encoding': 'chunked' });
      response.write(body);
      pourEndlessly(response);
      return;
    case 'wrong-bytes':
      response.writeHead(status, { ...headers, 'content-length': body.length });
      response.end(Buffer.concat([body.subarray(0, -1), Buffer.from([(body.at(-1) ?? 0) ^ 1])]));
      return;
    case 'wrong-digest':
      response.writeHead(status, {
        ...headers,
        'docker-content-digest': WRONG_DIGEST,
        'content-length': body.length,
      });
      response.end(body);
      return;
    case undefined:
    case 'status':
    case 'redirect':
    case 'reset':
    case 'silent':
    case 'promise':
    case 'ignore-range':
    case 'wrong-range':
    case 'wrong-total':
    case 'cut-request':
      response
        .writeHead(status, { ...headers, 'content-length': headers['content-length'] ?? body.length })
        .end(body);
  }
}

function pourEndlessly(response: ServerResponse): void {
  const chunk = Buffer.alloc(64 * 1024);
  const pour = (): void => {
    while (!response.destroyed && response.write(chunk));
  };
  response.on('drain', pour);
  pour();
}

function* cutUp(body: Buffer, length: number): Generator<Buffer> {
  for (let at = 0; at < body.length; at += length) yield body.subarray(at, at + length);
}
