import { BlockList, isIP } from 'node:net';
import { AtomicError } from '../../errors.ts';
import { REDIRECTS } from '../../limits.ts';
import { discardBody, type HttpRequest, type Send } from './http.ts';
import { showForeign, showUrl } from './text.ts';

const REDIRECTING: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

/**
 * Follows redirects of GET and HEAD, REDIRECTS at most. Authorization does not leave the origin it was meant for.
 * @throws AtomicError `registry-error` for a loop, a target that is no URL, or one that gives up TLS
 */
export function withRedirects(send: Send): Send {
  return async (first) => {
    let request = first;
    for (let hops = 0; ; hops++) {
      const answer = await send(request);
      if (!REDIRECTING.has(answer.status) || !['GET', 'HEAD'].includes(request.method)) return answer;
      await discardBody(answer);
      if (hops === REDIRECTS) {
        throw new AtomicError(
          'registry-error',
          `${showUrl(first.url)} was redirected more than ${REDIRECTS} times, at last by ${showUrl(request.url)}`,
        );
      }
      request = redirect(request, resolveLocation(answer.headers.location, request.url));
    }
  };
}

function redirect(request: HttpRequest, url: URL): HttpRequest {
  if (url.origin === request.url.origin) return { ...request, url };
  const { authorization: _, ...headers } = request.headers;
  return { ...request, url, headers };
}

/**
 * Where a Location header points, relative to the URL that was asked.
 * @throws AtomicError `registry-error` when it is missing, no HTTP URL, plain HTTP after TLS, or nearer to us
 */
export function resolveLocation(location: string | string[] | undefined, asked: URL): URL {
  const text = typeof location === 'string' ? location : '';
  const url = text !== '' && URL.canParse(text, asked.href) ? new URL(text, asked) : undefined;
  if (url === undefined || !['http:', 'https:'].includes(url.protocol)) {
    const found =
      text === '' ? 'no location' : `"${showForeign(text.replace(/[?#].*/s, ''))}", which is no HTTP URL`;
    throw new AtomicError('registry-error', `${showUrl(asked)} sends us on to ${found}`);
  }
  if (asked.protocol === 'https:' && url.protocol === 'http:') {
    throw new AtomicError(
      'registry-error',
      `${showUrl(asked)} sends us on from TLS to plain HTTP at ${showUrl(url)}, which is not followed`,
      { hint: 'A registry behind a proxy has to be told its own https URL (docker-registry: http.host).' },
    );
  }
  if (isNearer(url, asked)) {
    throw new AtomicError(
      'registry-error',
      `${showUrl(asked)} sends us on to ${showUrl(url)}, which only this machine can reach; it was not followed`,
    );
  }
  return url;
}

const HERE = new BlockList();
HERE.addSubnet('127.0.0.0', 8, 'ipv4');
HERE.addSubnet('0.0.0.0', 8, 'ipv4');
HERE.addSubnet('::', 127, 'ipv6');

/** There clouds answer questions about the machine that asks, keys included. */
const LINK_LOCAL = new BlockList();
LINK_LOCAL.addSubnet('169.254.0.0', 16, 'ipv4');
LINK_LOCAL.addSubnet('fe80::', 10, 'ipv6');

/**
 * Whether a URL leads to this machine though `from`, which named it, is elsewhere, or to another host on the link:
 * nothing of a registry's is there, and what is there trusts whoever can reach it. Names are not looked up.
 */
export function isNearer(url: URL, from: URL): boolean {
  if (url.hostname === from.hostname) return false;
  return holds(LINK_LOCAL, url) || (isHere(url) && !isHere(from));
}

function isHere(url: URL): boolean {
  return holds(HERE, url) || /(?:^|\.)localhost\.?$/.test(url.hostname);
}

function holds(list: BlockList, { hostname }: URL): boolean {
  const host = hostname.replace(/^\[|\]$/g, '');
  const family = isIP(host);
  return family !== 0 && list.check(host, family === 4 ? 'ipv4' : 'ipv6');
}
