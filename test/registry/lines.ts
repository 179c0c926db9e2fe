/** What may stand between a client and a real registry. */
import { once } from 'node:events';
import { createServer as createHttpServer, request as httpRequest } from 'node:http';
import { createConnection, createServer, type Server } from 'node:net';

export interface Line {
  /** Where the client goes instead. */
  readonly host: string;
  close(): Promise<void>;
}

export interface Cuts {
  /** Bytes that a connection may bring to the client, or take from it, before it is cut. */
  readonly down?: number;
  readonly up?: number;
  /** How often; always when not given. */
  readonly times?: number;
}

/** A port that leads to `target` and cuts connections. */
export async function startCuttingLine(target: string, { down, up, times = Infinity }: Cuts): Promise<Line> {
  const [host = '', port = ''] = target.split(':');
  let left = times;
  const server = createServer((near) => {
    const far = createConnection({ host, port: Number(port) });
    near.pipe(far);
    far.pipe(near);
    for (const [end, most = Infinity] of [
      [far, down],
      [near, up],
    ] as const) {
      let passed = 0;
      end.on('data', (chunk: Buffer) => {
        passed += chunk.length;
        if (passed <= most || left === 0) return;
        left -= 1;
        near.resetAndDestroy();
      });
    }
    for (const [end, other] of [
      [near, far],
      [far, near],
    ] as const) {
      end.on('error', () => undefined);
      end.on('close', () => other.destroy());
    }
  });
  return listen(server);
}

/** A reverse proxy that refuses requests with a longer body than that, as nginx does. */
export async function startNarrowProxy(target: string, largestBody: number): Promise<Line> {
  const [host = '', port = ''] = target.split(':');
  const server = createHttpServer((incoming, outgoing) => {
    const { method, url: path, headers } = incoming;
    if (Number(headers['content-length'] ?? 0) > largestBody) {
      outgoing.writeHead(413, { connection: 'close' }).end('<html>too large</html>');
      return;
    }
    const forwarded = httpRequest({ host, port, method, path, headers }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 500, answer.headers);
      answer.pipe(outgoing);
    });
    forwarded.on('error', () => outgoing.destroy());
    incoming.pipe(forwarded);
  });
  return listen(server);
}

async function listen(server: Server): Promise<Line> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the line has no port');
  return {
    host: `127.0.0.1:${address.port}`,
    async close() {
      server.close();
      await once(server, 'close');
    },
  };
}
