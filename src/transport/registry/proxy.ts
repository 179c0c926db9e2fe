import { BlockList, isIP } from 'node:net';
import { AtomicError } from '../../errors.ts';

type Environment = Readonly<Record<string, string | undefined>>;

const SCHEMES: ReadonlySet<string> = new Set(['http:', 'https:', 'socks5:']);

/**
 * The proxy for a request, out of HTTP_PROXY, HTTPS_PROXY and NO_PROXY in either case; undefined: none.
 * The machine itself is never reached through a proxy. NO_PROXY lists hosts, domains, addresses and networks
 * (`10.0.0.0/8`), each with a port when it is meant for that alone; `*` is everything.
 * @throws AtomicError `value-invalid`, without the value: it may hold a password
 * @see golang.org/x/net/http/httpproxy, whose rules container tools share
 */
export function chooseProxy(target: URL, environment: Environment): URL | undefined {
  const variable = target.protocol === 'https:' ? 'HTTPS_PROXY' : 'HTTP_PROXY';
  const value = read(environment, variable);
  if (value === '' || isLoopback(target) || isExempt(target, read(environment, 'NO_PROXY'))) return undefined;
  const text = value.includes('://') ? value : `http://${value}`;
  const proxy = URL.canParse(text) ? new URL(text) : undefined;
  if (proxy === undefined || !SCHEMES.has(proxy.protocol) || !isDecodable(proxy)) {
    throw new AtomicError('value-invalid', `The variable ${variable} does not hold the URL of a proxy`, {
      hint: 'A proxy is written http://HOST:PORT, https://HOST:PORT or socks5://HOST:PORT; a % in its password is %25.',
    });
  }
  // Of no use to a proxy, and undici takes none.
  for (const part of ['pathname', 'search', 'hash'] as const) proxy[part] = '';
  return proxy;
}

function isDecodable({ username, password }: URL): boolean {
  try {
    return decodeURIComponent(username + password) !== undefined;
  } catch {
    return false;
  }
}

/** Whether a URL's host is this machine: `localhost`, 127.0.0.0/8 or [::1]. */
export function isLoopback({ hostname }: URL): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(hostname);
}

function read(environment: Environment, name: string): string {
  return (environment[name] || environment[name.toLowerCase()] || '').trim();
}

function isExempt(target: URL, list: string): boolean {
  const host = target.hostname.replace(/^\[|\]$/g, '');
  const port = target.port || (target.protocol === 'https:' ? '443' : '80');
  return list
    .split(',')
    .map((entry) => entry.trim().toLowerCase())
    .some((entry) => entry !== '' && matches(entry, host, port));
}

function matches(entry: string, host: string, port: string): boolean {
  if (entry === '*') return true;
  if (entry.includes('/')) return isInNetwork(host, entry);
  const [, name = '', onlyPort] =
    /^\[?(.*?)\]?(?::(\d+))?$/.exec(isIP(entry) === 6 ? `[${entry}]` : entry) ?? [];
  if (onlyPort !== undefined && onlyPort !== port) return false;
  const domain = name.replace(/^\*\./, '.');
  // A leading dot means the domain's hosts and not the domain.
  return domain.startsWith('.') ? host.endsWith(domain) : host === domain || host.endsWith(`.${domain}`);
}

function isInNetwork(host: string, network: string): boolean {
  const [address = '', prefix = ''] = network.split('/');
  const family = isIP(address);
  const bits = Number(prefix);
  if (family === 0 || isIP(host) !== family || !(bits >= 0 && bits <= (family === 4 ? 32 : 128)))
    return false;
  const list = new BlockList();
  list.addSubnet(address, bits, family === 4 ? 'ipv4' : 'ipv6');
  return list.check(host, family === 4 ? 'ipv4' : 'ipv6');
}
