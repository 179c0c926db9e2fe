import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { AtomicError, isAtomicError, type ErrorCode } from '../../../src/errors.ts';
import { moveLimits } from '../../../src/limits.ts';
import { openDockerDaemonDestination } from '../../../src/transport/docker-daemon/destination.ts';
import { openEngine, type EngineOptions } from '../../../src/transport/docker-daemon/engine.ts';
import { openDockerDaemonSource } from '../../../src/transport/docker-daemon/source.ts';
import { TIMING } from '../../../src/transport/registry/options.ts';
import { writeDockerArchive } from '../../fixtures/image-builder.ts';
import { useTempFolder } from '../../fixtures/temp-folder.ts';
import {
  sendCut,
  sendEndless,
  sendJson,
  sendText,
  startFakeDocker,
  type EngineAnswer,
  type FakeDocker,
} from '../../registry/fake-docker.ts';
import { makeCertificates, type TestCertificates } from '../../registry/certificates.ts';
import { plainImage, readImage, storeImage } from '../images.ts';

const folder = useTempFolder();
let fake: FakeDocker | undefined;
let restore: (() => void) | undefined;
afterEach(async () => {
  await fake?.close();
  restore?.();
  fake = restore = undefined;
});

async function start(answers: Readonly<Record<string, EngineAnswer>> = {}): Promise<EngineOptions> {
  fake = await startFakeDocker(join(folder(), 's'), answers);
  return options(fake.host);
}

function options(host: string): EngineOptions {
  return {
    userAgent: 'test/1',
    report: () => undefined,
    environment: { DOCKER_HOST: host, TMPDIR: folder() },
    timing: { ...TIMING, answerMs: 2000, idleMs: 2000, storeMs: 2000 },
  };
}

async function failureOf(promise: Promise<unknown>): Promise<AtomicError> {
  const error: unknown = await promise.then(
    (value) => ({ unexpected: value }),
    (error: unknown) => error,
  );
  if (!isAtomicError(error)) throw new Error('expected an AtomicError', { cause: error });
  return error;
}

async function store(opened: EngineOptions): Promise<void> {
  const destination = await openDockerDaemonDestination('x:1', opened);
  try {
    await storeImage(destination, plainImage('a', 'b'), 'reference');
    await destination.commit();
  } finally {
    await destination.close();
  }
}

const image = plainImage('a', 'b');

function archive(): Buffer {
  const path = join(folder(), 'saved.tar');
  writeDockerArchive(path, [{ image, names: ['x:1'] }]);
  return readFileSync(path);
}

test('an image is asked for by the version of the API that the engine told', async () => {
  const bytes = archive();
  const opened = await start({
    '/version': sendJson({ ApiVersion: '1.44' }),
    '/images/x:latest/get': (_, response) => void response.end(bytes),
  });
  const { source } = await openDockerDaemonSource('x', opened);
  expect((await readImage(source)).blobs).toEqual([image.configDigest, ...image.diffIds]);
  await source.close();
  expect(fake?.requests).toEqual(['GET /version', 'GET /v1.44/images/x:latest/get']);
});

describe('an engine that cannot be used is told in one sentence:', () => {
  test('no socket', async () => {
    const host = `unix://${folder()}/none`;
    const error = await failureOf(openEngine(options(host)));
    expect([error.code, error.message]).toEqual([
      'engine-unreachable',
      `The Docker engine at ${host} cannot tell its version: there is no such socket`,
    ]);
    expect(error.hint).toContain('DOCKER_HOST');
  });

  test('a socket that only others may open', async () => {
    const engine = await openEngine(await start());
    const refused = Object.assign(new Error('connect EACCES'), { code: 'EACCES' });
    const error = engine.explain(refused, 'tell its version');
    await engine.close();
    expect(error).toMatchObject({
      code: 'denied',
      hint: 'Run this as root, or as a member of the group docker.',
    });
    expect(error).toHaveProperty(
      'message',
      `The Docker engine at ${engine.host} may not be used: permission denied`,
    );
  });

  test('a socket that nobody listens at any more', async () => {
    const host = (await start()).environment['DOCKER_HOST'] ?? '';
    await fake?.close();
    fake = undefined;
    expect((await failureOf(openEngine(options(host)))).code).toBe('engine-unreachable');
  });

  test.each<[string, EngineAnswer, ErrorCode, RegExp]>([
    ['an old one', sendJson({ ApiVersion: '1.23' }), 'unsupported', /is too old: its API is 1\.23$/],
    ['none at all', sendJson({ hello: 1 }), 'engine-error', /tells no version of the Docker API$/],
    ['a version of another kind', sendJson({ ApiVersion: '1.2/../x' }), 'engine-error', /tells no version/],
    ['no JSON', sendText('<html>'), 'engine-error', /is not valid JSON/],
    ['no object', sendText('[]'), 'engine-error', /is not a JSON object$/],
    ['an endless answer', sendEndless(), 'limit-exceeded', /is larger than the limit of 1048576 bytes$/],
    ['a cut one', sendCut(Buffer.from('{')), 'engine-unreachable', /cannot tell its version: no answer/],
    ['silence', (request) => void request.resume(), 'engine-unreachable', /no answer \(Headers Timeout/],
  ])('%s', async (_, answer, code, message) => {
    const error = await failureOf(openEngine(await start({ '/version': answer })));
    expect(error.code).toBe(code);
    expect(error.message).toMatch(message);
  });
});

describe('an engine behind TLS', () => {
  let certificates: TestCertificates;
  let server: Server;
  let environment: Record<string, string>;
  beforeAll(async () => {
    certificates = await makeCertificates();
    const { folder, authority, server: own, client } = certificates;
    for (const [name, bytes] of Object.entries({ ca: authority, ...client }))
      writeFileSync(join(folder, `${name}.pem`), bytes);
    // As dockerd with --tlsverify: only whoever has a certificate is answered.
    server = createServer(
      { ...own, ca: authority, requestCert: true, rejectUnauthorized: true },
      (_, response) => {
        response.end('{"ApiVersion":"1.41"}');
      },
    );
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    environment = { DOCKER_HOST: `tcp://127.0.0.1:${port}`, DOCKER_CERT_PATH: folder };
  });
  afterAll(async () => {
    server.close();
    server.closeAllConnections();
    await certificates.remove();
  });

  test('is shown our certificate, and shows one that our authority signed', async () => {
    const engine = await openEngine({ ...options(''), environment });
    expect(engine.host).toBe(environment['DOCKER_HOST']);
    await engine.close();
  });

  test('is not spoken to when its certificate is of somebody else', async () => {
    rmSync(join(certificates.folder, 'ca.pem'));
    const error = await failureOf(openEngine({ ...options(''), environment }));
    expect(error.code).toBe('engine-unreachable');
    expect(error.message).toMatch(/certificate/);
    const engine = await openEngine({ ...options(''), environment, tlsVerify: false });
    await engine.close();
  });
});

describe('reading fails with what the engine said, and leaves no file:', () => {
  const get = '/images/x:1/get';
  test.each<[string, EngineAnswer, ErrorCode, RegExp]>([
    [
      'no such image',
      sendJson({ message: 'no such thing' }, 404),
      'image-not-found',
      /has no image x:1: "no such thing"$/,
    ],
    [
      'a long message with an escape sequence',
      sendJson({ message: `\u001b[31m${'m'.repeat(5000)}` }, 500),
      'engine-error',
      /\(status 500\): ".*\\u001b\[31mm{250,300}…"$/,
    ],
    ['an endless error', sendEndless(500), 'engine-error', /\(status 500\): "x{300}…"$/],
    ['no message', sendText('', 500), 'engine-error', /\(status 500\)$/],
    [
      'what is no tar',
      sendText('junk'.repeat(1000)),
      'archive-invalid',
      /^What the Docker engine gave for x:1 is not a tar/,
    ],
    [
      'an error behind the tar',
      sendText('{"error":"x"}'),
      'archive-invalid',
      /^What the Docker engine gave for x:1/,
    ],
    [
      'a cut tar',
      sendCut(Buffer.alloc(1024)),
      'engine-unreachable',
      /cannot give out the image x:1: no answer/,
    ],
  ])('%s', async (_, answer, code, message) => {
    const error = await failureOf(openDockerDaemonSource('x:1', await start({ [get]: answer })));
    expect(error.message).toMatch(message);
    expect(error.code).toBe(code);
    expect(error.message.length).toBeLessThan(600);
    expect(error.message).not.toContain('\u001b');
    expect(readdirSync(folder())).toEqual(['s']);
  });

  test('more than an archive may have', async () => {
    restore = moveLimits({ 'archive-unpacked-size': 1024 * 1024 });
    const error = await failureOf(openDockerDaemonSource('x:1', await start({ [get]: sendEndless() })));
    expect([error.code, error.hint]).toEqual([
      'limit-exceeded',
      expect.stringContaining('--limit archive-unpacked-size='),
    ]);
    expect(readdirSync(folder())).toEqual(['s']);
  });

  test('no folder for temp files', async () => {
    const environment = { DOCKER_HOST: 'unix:///none', TMPDIR: '/nowhere' };
    const error = await failureOf(openDockerDaemonSource('x:1', { ...options(''), environment }));
    expect([error.code, error.hint]).toEqual(['file-exists', 'Name a folder that can be written in TMPDIR.']);
  });

  test('an interruption', async () => {
    const controller = new AbortController();
    const opened = await start({
      [get]: (_, response) => {
        response.write(Buffer.alloc(1024));
        setImmediate(() => controller.abort(new AtomicError('interrupted', 'Interrupted by SIGTERM')));
      },
    });
    const error = await failureOf(openDockerDaemonSource('x:1', { ...opened, signal: controller.signal }));
    expect(error.message).toBe('Interrupted by SIGTERM');
    expect(readdirSync(folder())).toEqual(['s']);
  });
});

describe('writing', () => {
  const loaded = sendText('{"stream":"Loaded image: x:1\\n"}\r\n');

  test('sends one archive, and asks whether the image is there', async () => {
    let sent: Promise<Buffer> | undefined;
    const opened = await start({
      '/images/load': (request, response) => {
        sent = buffer(request);
        void sent.then(() => response.end('{"stream":"Loaded"}\r\n'));
      },
      '/images/x:1/json': sendJson({ Id: image.configDigest }),
    });
    await store(opened);
    expect(fake?.requests.slice(1)).toEqual([
      'POST /v1.41/images/load?quiet=1',
      'GET /v1.41/images/x:1/json',
    ]);
    expect((await sent)?.includes(`${image.configDigest.slice(7)}.json`)).toBe(true);
  });

  test('is content with equal layers where ids are those of manifests', async () => {
    const json = { Id: 'sha256:0', Descriptor: { digest: 'sha256:0' }, RootFS: { Layers: image.diffIds } };
    await store(await start({ '/images/load': loaded, '/images/x:1/json': sendJson(json) }));
    expect(fake?.requests).toHaveLength(3);
  });

  test.each<[string, Readonly<Record<string, EngineAnswer>>, ErrorCode, RegExp]>([
    [
      'an error in the answer',
      {
        '/images/load': sendText(
          '{"stream":"x"}\r\n{"errorDetail":{"message":"no space\\u001b"},"error":"no"}\r\n',
        ),
      },
      'engine-error',
      /cannot load the image x:1: "no space\\u001b"$/,
    ],
    ['junk for an answer', { '/images/load': sendText('junk') }, 'engine-error', /is not valid JSON/],
    ['an endless answer', { '/images/load': sendEndless() }, 'limit-exceeded', /is larger than the limit/],
    [
      'a refusal',
      { '/images/load': sendJson({ message: 'no' }, 500) },
      'engine-error',
      /\(status 500\): "no"$/,
    ],
    [
      'a refusal before the archive was read',
      { '/images/load': (_, response) => void response.writeHead(503).end('{"message":"busy"}') },
      'engine-error',
      /\(status 503\): "busy"$/,
    ],
    [
      'a connection that breaks',
      { '/images/load': (request) => void request.once('data', () => request.destroy()) },
      'engine-unreachable',
      /cannot load the image x:1: no answer/,
    ],
    [
      'an image that is not there afterwards',
      { '/images/load': loaded, '/images/x:1/json': sendJson({ message: 'none' }, 404) },
      'image-not-found',
      /has no image x:1: "none"$/,
    ],
    [
      'another image there afterwards',
      { '/images/load': loaded, '/images/x:1/json': sendJson({ Id: 'sha256:1', RootFS: { Layers: [] } }) },
      'engine-error',
      /has another image under x:1 than the one that was sent to it$/,
    ],
  ])('fails with %s', async (_, answers, code, message) => {
    const error = await failureOf(store(await start(answers)));
    expect(error.message).toMatch(message);
    expect(error.code).toBe(code);
  });

  test('cannot be by an id or a digest', async () => {
    for (const name of [image.configDigest, `x@${image.configDigest}`]) {
      const error = await failureOf(openDockerDaemonDestination(name, options('unix:///none')));
      expect(error.code).toBe('reference-invalid');
    }
  });
});
