/** Proxies on loopback that lead every host to one and tell what they were asked, for a user `us@er` with `se:cret`. */
import { once } from 'node:events';
import { createServer, request } from 'node:http';
import { createConnection, createServer as createTcpServer, type Server } from 'node:net';
import type { Duplex } from 'node:stream';

interface Proxy {
  readonly url: string;
  close(): void;
}

export interface HttpProxy extends Proxy {
  /** Method and what follows it in the request line, for each request. */
  readonly asked: readonly string[];
  /** Proxy-Authorization, for each request. */
  readonly authorizations: readonly unknown[];
}

export interface SocksProxy extends Proxy {
  /** What was sent before the tunnel stood: greeting, credentials, the wish for a host. */
  readonly told: readonly string[];
}

/** @param target `HOST:PORT`, where all that is asked for is looked up */
export async function startProxy(target: string): Promise<HttpProxy> {
  const asked: string[] = [];
  const authorizations: unknown[] = [];
  const [host = '', port = ''] = target.split(':');
  const server = createServer((incoming, outgoing) => {
    asked.push(`${incoming.method} ${incoming.url}`);
    authorizations.push(incoming.headers['proxy-authorization']);
    const path = new URL(incoming.url ?? '').pathname;
    request({ host, port, path, headers: { accept: incoming.headers.accept ?? '*/*' } }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 500, answer.headers);
      answer.pipe(outgoing);
    }).end();
  });
  server.on('connect', (incoming, socket) => {
    asked.push(`CONNECT ${incoming.url}`);
    authorizations.push(incoming.headers['proxy-authorization']);
    join(target, socket, () => socket.write('HTTP/1.1 200 OK\r\n\r\n'));
  });
  const close = (): void => {
    server.closeAllConnections();
    server.close();
  };
  return { url: await listen(server, 'http'), asked, authorizations, close };
}

/** One that speaks SOCKS5 and takes any user with a password: RFC 1928, RFC 1929. */
export async function startSocksProxy(target: string): Promise<SocksProxy> {
  const told: string[] = [];
  const answers = [Buffer.of(5, 2), Buffer.of(1, 0), Buffer.from('05000001000000000000', 'hex')];
  const server = createTcpServer((client) => {
    let step = 0;
    const answer = (bytes: Buffer): void => {
      told.push(bytes.toString('latin1'));
      client.write(answers[step] ?? '');
      if (++step < answers.length) return;
      client.off('data', answer);
      join(target, client);
    };
    client.on('data', answer);
  });
  return { url: await listen(server, 'socks5'), told, close: () => void server.close() };
}

/** Makes a client and a target one line. At once: what came before somebody listens would be lost. */
function join(target: string, client: Duplex, begin?: () => void): void {
  const [host = '', port = ''] = target.split(':');
  const tunnel = createConnection({ host, port: Number(port) }, begin);
  tunnel.pipe(client).pipe(tunnel);
  for (const end of [tunnel, client]) end.on('error', () => end.destroy());
}

async function listen(server: Server, scheme: string): Promise<string> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('the proxy has no port');
  return `${scheme}://us%40er:se%3Acret@127.0.0.1:${address.port}`;
}
