import { describe, expect, it } from 'vitest';
import { isAtomicError } from '../../../src/errors.ts';
import { chooseProxy, isLoopback } from '../../../src/transport/registry/proxy.ts';

const PROXY = { HTTPS_PROXY: 'http://secure-proxy:3128', HTTP_PROXY: 'http://plain-proxy:3128' };

function choose(url: string, environment: Record<string, string>): string | undefined {
  return chooseProxy(new URL(url), environment)?.host;
}

function catchError(action: () => unknown): unknown {
  try {
    return action();
  } catch (error) {
    return error;
  }
}

describe('the proxy for a URL', () => {
  it('is the one of its scheme', () => {
    expect(choose('https://r.example', PROXY)).toBe('secure-proxy:3128');
    expect(choose('http://r.example', PROXY)).toBe('plain-proxy:3128');
    expect(choose('https://r.example', { HTTP_PROXY: 'http://p' })).toBeUndefined();
  });

  it('may be set in lower case and without a scheme', () => {
    expect(choose('https://r.example', { https_proxy: 'p:8080' })).toBe('p:8080');
  });

  it('is no more than scheme, credentials and host', () => {
    expect(chooseProxy(new URL('http://r.example'), { http_proxy: 'http://u:p@h:1/x?y#z' })?.href).toBe(
      'http://u:p@h:1/',
    );
  });

  it('is none for the machine itself', () => {
    for (const host of ['localhost:5000', '127.0.0.1:5000', '127.9.9.9', '[::1]:5000']) {
      expect(choose(`https://${host}`, PROXY)).toBeUndefined();
    }
  });

  it.each([
    ['example.com', 'r.example.com', true],
    ['example.com', 'example.com', true],
    ['example.com', 'badexample.com', false],
    ['.example.com', 'r.example.com', true],
    ['.example.com', 'example.com', false],
    ['*.example.com', 'r.example.com', true],
    ['r.example:5000', 'r.example:5000', true],
    ['r.example:5000', 'r.example', false],
    ['r.example:443', 'r.example', true],
    ['x, R.Example ,y', 'r.example', true],
    ['*', 'r.example', true],
    ['10.0.0.0/8', '10.1.2.3:5000', true],
    ['10.0.0.0/8', '11.1.2.3', false],
    ['10.0.0.0/99', '10.1.2.3', false],
    ['10.1.2.3', '10.1.2.3', true],
    ['fd00::/8', '[fd00::1]:5000', true],
    ['fd00::1', '[fd00::1]', true],
    ['fd00::1', '[fd00::2]', false],
    ['', 'r.example', false],
  ])('NO_PROXY=%s exempts %s: %s', (list, host, exempt) => {
    expect(choose(`https://${host}`, { ...PROXY, NO_PROXY: list }) === undefined).toBe(exempt);
  });

  it('is refused without being shown when it is no URL of a proxy', () => {
    for (const value of ['http://user:secret@', 'ftp://user:secret@h', 'http://user:secret%@h']) {
      const failure = catchError(() => choose('https://r.example', { HTTPS_PROXY: value }));
      expect(isAtomicError(failure, 'value-invalid')).toBe(true);
      expect(JSON.stringify([String(failure), failure])).not.toContain('secret');
    }
  });
});

it('knows the names of the machine itself', () => {
  const loopback = ['localhost', '127.0.0.1', '127.1.2.3', '[::1]'].map((host) =>
    isLoopback(new URL(`http://${host}:1/`)),
  );
  expect(loopback).toEqual([true, true, true, true]);
  const others = ['localhost.example', '127.example', '128.0.0.1', '[::2]'].map((host) =>
    isLoopback(new URL(`http://${host}/`)),
  );
  expect(others).toEqual([false, false, false, false]);
});
