/** A line to a registry without TLS that sees what is asked for, and that a test can hold and cut. */
import { once } from 'node:events';
import { createConnection, createServer, type Socket } from 'node:net';

export interface BlobRequest {
  readonly digest: string;
  /** The first byte that is asked for. */
  readonly from: number;
}

export interface WatchedLine {
  /** `127.0.0.1:PORT` */
  readonly host: string;
  /** GET requests for blobs, in the order of arrival. */
  readonly blobs: BlobRequest[];
  /** Bytes that have come through from the registry. */
  given(): number;
  /** Lets no more than so many bytes through, counted from now. */
  hold(bytes: number): void;
  /** Lets everything through. */
  release(): void;
  close(): Promise<void>;
}

export async function startWatchedLine(registry: string): Promise<WatchedLine> {
  const sockets = new Set<Socket>();
  const held = new Set<Socket>();
  const blobs: BlobRequest[] = [];
  let given = 0;
  let limit = Infinity;
  const [host, port] = registry.split(':');
  const server = createServer((near) => {
    const far = createConnection({ host, port: Number(port) });
    near.on('data', (chunk: Buffer) => {
      blobs.push(...readBlobRequests(chunk.toString('latin1')));
      far.write(chunk);
    });
    far.on('data', (chunk: Buffer) => {
      given += chunk.length;
      near.write(chunk);
      if (given < limit) return;
      far.pause();
      held.add(far);
    });
    for (const [end, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(end);
      end.on('error', () => undefined);
      end.on('end', () => other.end());
      end.on('close', () => {
        sockets.delete(end);
        held.delete(end);
        other.destroy();
      });
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the line has no port');
  return {
    host: `127.0.0.1:${address.port}`,
    blobs,
    given: () => given,
    hold(bytes) {
      limit = given + bytes;
    },
    release() {
      limit = Infinity;
      for (const socket of held) socket.resume();
      held.clear();
    },
    async close() {
      const closed = once(server, 'close');
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

/** A request's head is small and comes in one piece. */
function readBlobRequests(text: string): BlobRequest[] {
  const heads = [
    ...text.matchAll(/GET \/v2\/\S+\/blobs\/(sha256:[0-9a-f]{64}) HTTP\/1\.1\r\n([\s\S]*?)\r\n\r\n/g),
  ];
  return heads.map(([, digest = '', fields = '']) => ({
    digest,
    from: Number(/^range: bytes=(\d+)-/im.exec(fields)?.[1] ?? 0),
  }));
}
