/** The way through a SOCKS5 proxy: RFC 1928, RFC 1929. undici's own waits for ever for a proxy that falls silent. */
import { SocksClient, type SocksProxy } from 'socks';
import { messageOf } from '../../errors.ts';
import { buildConnector } from './undici.ts';

/**
 * What makes undici's connections, by a tunnel through a proxy, which looks up the names.
 * @param proxy `socks5://[USER:PASSWORD@]HOST[:PORT]`, user and password in percent-encoding
 * @param tls of the far end, as undici takes it; its `timeout` (milliseconds) holds for the tunnel as well
 */
export function connectBySocks(
  proxy: URL,
  tls: buildConnector.BuildOptions & { readonly timeout: number },
): buildConnector.connector {
  const secure = buildConnector(tls);
  const [userId, password] = [proxy.username, proxy.password].map(decodeURIComponent);
  const by: SocksProxy = {
    type: 5,
    host: withoutBrackets(proxy.hostname),
    port: Number(proxy.port || 1080),
    ...(userId === undefined || userId === '' ? {} : { userId, password: password ?? '' }),
  };
  return (options, callback) => {
    const { hostname, protocol } = options;
    const port = Number(options.port || (protocol === 'https:' ? 443 : 80));
    const destination = { host: withoutBrackets(hostname), port };
    const wanted = { proxy: by, command: 'connect', destination, timeout: tls.timeout } as const;
    void SocksClient.createConnection(wanted, (error, opened) => {
      // The library's own error holds the password.
      if (error !== null) callback(new Error(messageOf(error)), null);
      else if (opened === undefined) callback(new Error('the proxy has opened nothing'), null);
      else if (protocol === 'https:') secure({ ...options, httpSocket: opened.socket }, callback);
      else callback(null, opened.socket.setNoDelay(true));
    });
  };
}

/** As a URL writes an address of IPv6, and a socket does not. */
function withoutBrackets(host: string): string {
  return host.replace(/^\[(.*)\]$/, '$1');
}
