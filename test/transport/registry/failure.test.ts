import { expect, it } from 'vitest';
import { ConnectionFailure, isTlsFailure, isWithoutTls } from '../../../src/transport/registry/failure.ts';

const HOST = new URL('https://r.example/');

function failure(code: string): ConnectionFailure {
  return new ConnectionFailure(HOST, Object.assign(new Error('x'), { code }));
}

it('speaks for the first address of a host that has several', () => {
  const refused = Object.assign(new Error('connect ECONNREFUSED ::1:443'), { code: 'ECONNREFUSED' });
  const { message, code } = new ConnectionFailure(HOST, new AggregateError([refused, new Error('other')]));
  expect([message, code]).toEqual(['connect ECONNREFUSED ::1:443', 'ECONNREFUSED']);
});

it('tells what TLS refused from what has no TLS, and both from a network that fails', () => {
  const codes = [
    'CERT_HAS_EXPIRED',
    'ERR_TLS_CERT_ALTNAME_INVALID',
    'ERR_SSL_WRONG_VERSION_NUMBER',
    'ECONNREFUSED',
  ];
  expect(codes.map((code) => isTlsFailure(failure(code)))).toEqual([true, true, true, false]);
  expect(codes.map((code) => isWithoutTls(failure(code)))).toEqual([false, false, true, false]);
});
