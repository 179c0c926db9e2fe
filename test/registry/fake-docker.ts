/** A Docker engine that only has faults: for each path the answer that a test gives it, over a unix socket. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';

export type EngineAnswer = (request: IncomingMessage, response: ServerResponse) => void;

export interface FakeDocker {
  readonly host: string;
  /** `GET /v1.41/images/x:1/json`, in the order they came. */
  readonly requests: readonly string[];
  close(): Promise<void>;
}

/** @param answers by the start of the path below the API's version; `/version` is answered well when it is not among them */
export async function startFakeDocker(
  socketPath: string,
  answers: Readonly<Record<string, EngineAnswer>> = {},
): Promise<FakeDocker> {
  const requests: string[] = [];
  const all = { '/version': sendJson({ ApiVersion: '1.41' }), ...answers };
  const server = createServer((request, response) => {
    const { method = '', url = '' } = request;
    requests.push(`${method} ${url}`);
    const path = url.replace(/^\/v[\d.]+\//, '/');
    const answer = Object.entries(all).find(([start]) => path.startsWith(start))?.[1];
    if (answer === undefined) response.writeHead(404).end('{"message":"page not found"}');
    else answer(request, response);
  });
  server.listen(socketPath);
  await once(server, 'listening');
  return {
    host: `unix://${socketPath}`,
    requests,
    async close() {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

/** Reads what it is sent, then answers. */
export function sendJson(value: unknown, status = 200): EngineAnswer {
  return sendText(JSON.stringify(value), status);
}

export function sendText(text: string, status = 200): EngineAnswer {
  return (request, response) => {
    request.resume().on('end', () => response.writeHead(status).end(text));
  };
}

/** Never comes to an end. */
export function sendEndless(status = 200): EngineAnswer {
  return (request, response) => {
    request.resume();
    response.writeHead(status);
    const chunk = Buffer.alloc(64 * 1024, 'x');
    const more = (): void => {
      while (!response.destroyed && response.write(chunk));
    };
    response.on('drain', more);
    more();
  };
}

/** Sends some bytes, and breaks the connection off. */
export function sendCut(bytes: Uint8Array): EngineAnswer {
  return (request, response) => {
    request.resume();
    response.writeHead(200, { 'content-length': bytes.length + 1 });
    response.write(bytes, () => response.destroy());
  };
}
