import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { resolveEngineHost } from '../../../src/transport/docker-daemon/engine-host.ts';
import { useTempFolder } from '../../fixtures/temp-folder.ts';
import { messageOfFailure } from '../images.ts';

const folder = useTempFolder();

test.each([
  [{}, undefined, { origin: 'http://localhost', connect: { socketPath: '/var/run/docker.sock' } }],
  [{ DOCKER_HOST: '' }, undefined, { connect: { socketPath: '/var/run/docker.sock' } }],
  [{ DOCKER_HOST: 'unix:///a' }, undefined, { shown: 'unix:///a', connect: { socketPath: '/a' } }],
  [{ DOCKER_HOST: 'unix:///a' }, 'unix:///b', { shown: 'unix:///b', connect: { socketPath: '/b' } }],
  [{ DOCKER_HOST: 'tcp://127.0.0.1' }, undefined, { origin: 'http://127.0.0.1:2375', connect: {} }],
  [{ DOCKER_HOST: 'tcp://localhost:80' }, undefined, { origin: 'http://localhost', connect: {} }],
  [{}, 'http://[::1]:4', { origin: 'http://[::1]:4', connect: {} }],
  [{ HOME: '/none' }, 'https://far.example', { origin: 'https://far.example:2376' }],
  [{ HOME: '/none', DOCKER_TLS_VERIFY: '1' }, 'tcp://far.example:5', { origin: 'https://far.example:5' }],
])('%j and %s lead to %j', async (environment, daemonHost, expected) => {
  const host = await resolveEngineHost({ environment, ...(daemonHost !== undefined && { daemonHost }) });
  expect(host).toMatchObject(expected);
});

test('certificates have the names that Docker gives them, and are checked unless told otherwise', async () => {
  for (const name of ['ca', 'cert', 'key']) writeFileSync(join(folder(), `${name}.pem`), name);
  const environment = { DOCKER_CERT_PATH: folder(), DOCKER_HOST: 'tcp://far.example:1' };
  const { connect } = await resolveEngineHost({ environment });
  expect(connect).toEqual({
    ca: Buffer.from('ca'),
    cert: Buffer.from('cert'),
    key: Buffer.from('key'),
    rejectUnauthorized: true,
  });
  const other = await resolveEngineHost({ environment, certDir: '/none', tlsVerify: false });
  expect(other.connect).toEqual({ rejectUnauthorized: false });
});

describe('refused is', () => {
  test('another host without TLS', async () => {
    const opening = resolveEngineHost({ environment: {}, daemonHost: 'tcp://far.example:2375' });
    expect(await messageOfFailure(opening, 'denied')).toContain('would be used without TLS');
  });

  test.each([
    'ssh://user@host',
    '/run/docker.sock',
    'unix://relative',
    'tcp://',
    'tcp://a b',
    'https://u:secret@x',
  ])('%s, without repeating what may be a password', async (daemonHost) => {
    const message = await messageOfFailure(resolveEngineHost({ environment: {}, daemonHost }), 'usage');
    expect(message).not.toContain('secret');
  });
});
