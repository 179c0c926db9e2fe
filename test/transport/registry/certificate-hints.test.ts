import { expect, test } from 'vitest';
import { explain } from '../../../src/transport/registry/explain.ts';
import { ConnectionFailure, StatusFailure } from '../../../src/transport/registry/failure.ts';

test.each([
  ['CERT_HAS_EXPIRED', /renewed.*clock/],
  ['CERT_NOT_YET_VALID', /clock/],
  ['ERR_TLS_CERT_ALTNAME_INVALID', /name of the registry/],
  ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', /certs\.d\/r:5000\/ca\.crt.*--cert-dir/],
  ['ERR_SSL_WRONG_VERSION_NUMBER', /--tls-verify=false/],
])('a handshake that failed with %s says what to do', (code, hint) => {
  const failure = new ConnectionFailure(
    new URL('https://r:5000/v2/'),
    Object.assign(new Error('x'), { code }),
  );
  const task = { text: 'look', kind: 'manifest', domain: 'r:5000', signal: undefined } as const;
  expect(explain(failure, task)).toMatchObject({ code: 'tls', hint: expect.stringMatching(hint) });
});

test('a registry with TLS that is asked without it says what to do', () => {
  const body = 'Client sent an HTTP request to an HTTPS server.\n';
  const failure = new StatusFailure(new URL('http://r:5000/v2/'), 400, {}, body);
  const task = { text: 'look', kind: 'manifest', domain: 'r:5000', signal: undefined } as const;
  expect(explain(failure, task)).toMatchObject({ hint: expect.stringContaining('docker://') });
});
