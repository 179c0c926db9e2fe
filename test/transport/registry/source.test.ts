import { describe, expect, it } from 'vitest';
import type { ProgressEvent } from '../../../src/events.ts';
import { OCI_INDEX, OCI_MANIFEST } from '../../../src/image/media-type.ts';
import { limitOf } from '../../../src/limits.ts';
import { failureOf, openSource, QUICK, startRegistry } from './setup.ts';

describe('the manifest of a registry image', () => {
  it('is asked for by tag, with the types that are read, and given as it is', async () => {
    const registry = await startRegistry();
    const image = registry.addImage('team/app', '1', []);
    const source = openSource(`${registry.host}/team/app:1`);
    const { bytes, mediaType } = await source.getManifest();
    expect([Buffer.from(bytes), mediaType]).toEqual([image.bytes, OCI_MANIFEST]);
    expect(source.name).toBe(`docker://${registry.host}/team/app:1`);
    const [request] = registry.requests;
    expect(request?.path).toBe('/v2/team/app/manifests/1');
    expect(request?.headers).toMatchObject({ 'user-agent': 'test/1' });
    expect(request?.headers.accept?.split(', ')).toEqual(expect.arrayContaining([OCI_MANIFEST, OCI_INDEX]));
  });

  it('is asked for by digest when the name or the caller gives one', async () => {
    const registry = await startRegistry();
    const { digest } = registry.addImage('app', '1', []);
    await openSource(`${registry.host}/app:other@${digest}`).getManifest();
    await openSource(`${registry.host}/app:other`).getManifest(digest);
    expect(registry.count(new RegExp(`^GET /v2/app/manifests/${digest}$`))).toBe(2);
  });

  it('behind a tag is compared with what the registry says it is', async () => {
    const registry = await startRegistry();
    registry.addImage('app', '1', []);
    registry.addFault(/manifests/, { kind: 'wrong-bytes' });
    const error = await failureOf(openSource(`${registry.host}/app:1`).getManifest());
    expect([error.code, error.message]).toEqual([
      'digest-mismatch',
      expect.stringContaining(`${registry.host}/app:1`),
    ]);
  });

  it('is refused beyond the limit', async () => {
    const registry = await startRegistry();
    registry.addManifest('app', Buffer.alloc(limitOf('manifest-size') + 1), OCI_MANIFEST, '1');
    expect((await failureOf(openSource(`${registry.host}/app:1`).getManifest())).code).toBe('limit-exceeded');
    registry.addFault(/manifests/, { kind: 'endless' });
    expect((await failureOf(openSource(`${registry.host}/app:1`).getManifest())).code).toBe('limit-exceeded');
  });

  it('is asked for again when its body breaks off', async () => {
    const registry = await startRegistry();
    const { bytes } = registry.addImage('app', '1', []);
    registry.addFault(/manifests/, { kind: 'cut', after: 20 }, 2);
    expect(Buffer.from((await openSource(`${registry.host}/app:1`).getManifest()).bytes)).toEqual(bytes);
    expect(registry.count(/manifests/)).toBe(3);
  });
});

describe('a failing registry', () => {
  it('is asked again after 503, twice, and each time it is reported', async () => {
    const registry = await startRegistry();
    registry.addImage('app', '1', []);
    registry.addFault(/manifests/, { kind: 'status', status: 503 }, 2);
    const events: ProgressEvent[] = [];
    await openSource(`${registry.host}/app:1`, { events }).getManifest();
    expect(events.map(({ event }) => event)).toEqual(['retry', 'retry']);
  });

  it.each([
    [401, 'UNAUTHORIZED', 'unauthorized'],
    [403, 'DENIED', 'denied'],
    [404, 'MANIFEST_UNKNOWN', 'manifest-unknown'],
    [404, 'NAME_UNKNOWN', 'image-not-found'],
    [429, 'TOOMANYREQUESTS', 'rate-limited'],
    [500, 'UNKNOWN', 'registry-error'],
    [418, 'TEAPOT', 'registry-error'],
  ])('with status %i and %s is the error %s in one sentence', async (status, code, expected) => {
    const registry = await startRegistry();
    const body = JSON.stringify({ errors: [{ code, message: 'what it says' }] });
    registry.addFault(/manifests/, { kind: 'status', status, body });
    const error = await failureOf(openSource(`${registry.host}/team/app:1`).getManifest());
    expect(error.code).toBe(expected);
    expect(error.message).toMatch(
      new RegExp(
        `^Cannot read the manifest of ${registry.host}/team/app:1: .*${registry.host}.* \\("what it says"\\)$`,
      ),
    );
  });

  it('says how long a rate limit lasts', async () => {
    const registry = await startRegistry();
    registry.addFault(/manifests/, { kind: 'status', status: 429, headers: { 'retry-after': '3600' } });
    const error = await failureOf(openSource(`${registry.host}/app:1`).getManifest());
    expect([error.code, error.message, error.hint]).toEqual([
      'rate-limited',
      expect.stringContaining('for the next 3600 seconds'),
      expect.stringContaining('atomic-ts login'),
    ]);
  });

  it('may send megabytes of control characters: they are cut and escaped', async () => {
    const registry = await startRegistry();
    registry.addFault(/manifests/, {
      kind: 'status',
      status: 403,
      body: '\u001b]0;owned\u0007\r\n'.repeat(500_000),
    });
    const { code, message } = await failureOf(openSource(`${registry.host}/app:1`).getManifest());
    expect(code).toBe('denied');
    expect(message).toContain('\\u001b]0;owned\\u0007');
    expect(message).not.toMatch(/[\u0000-\u001f]/);
    expect(message.length).toBeLessThan(4000);
  });

  it('may refuse with a message that never ends', async () => {
    const registry = await startRegistry();
    registry.addFault(/manifests/, { kind: 'endless' });
    expect((await failureOf(openSource(`${registry.host}/app:1`).getManifest())).code).toBe(
      'manifest-unknown',
    );
  });

  it('that answers HTML is quoted with nothing of it', async () => {
    const registry = await startRegistry();
    registry.addFault(/manifests/, { kind: 'status', status: 404, body: '<html>not here</html>' });
    const { message } = await failureOf(openSource(`${registry.host}/app:1`).getManifest());
    expect(message).toBe(
      `Cannot read the manifest of ${registry.host}/app:1: ${registry.host} has no such image`,
    );
  });

  it('that nobody runs is unreachable', async () => {
    const registry = await startRegistry();
    await registry.close();
    const error = await failureOf(openSource(`${registry.host}/app:1`).getManifest());
    expect([error.code, error.message]).toEqual([
      'registry-unreachable',
      expect.stringContaining('ECONNREFUSED'),
    ]);
  });

  it('that cuts every connection is unreachable, after several tries', async () => {
    const registry = await startRegistry();
    registry.addFault(/manifests/, { kind: 'reset' });
    expect((await failureOf(openSource(`${registry.host}/app:1`).getManifest())).code).toBe(
      'registry-unreachable',
    );
    expect(registry.count(/manifests/)).toBe(4);
  });

  it('that never answers is unreachable', async () => {
    const registry = await startRegistry();
    registry.addFault(/manifests/, { kind: 'silent' });
    const source = openSource(`${registry.host}/app:1`, { timing: { ...QUICK, answerMs: 50 } });
    expect((await failureOf(source.getManifest())).code).toBe('registry-unreachable');
  });

  it('does not hold up an interruption', async () => {
    const registry = await startRegistry();
    registry.addFault(/manifests/, { kind: 'silent' });
    const control = new AbortController();
    const reading = failureOf(openSource(`${registry.host}/app:1`, { signal: control.signal }).getManifest());
    while (registry.requests.length === 0) await new Promise((resolve) => setImmediate(resolve));
    control.abort();
    expect((await reading).code).toBe('interrupted');
  });
});

describe('an answer that is read whole', () => {
  it('is given up when it takes too long, however steadily it trickles', async () => {
    const registry = await startRegistry();
    registry.addImage('app', '1', []);
    registry.addFault(/manifests/, { kind: 'trickle', after: 1 });
    const timing = { ...QUICK, wholeMs: 50 };
    const error = await failureOf(openSource(`${registry.host}/app:1`, { timing }).getManifest());
    expect([error.code, error.message]).toEqual([
      'registry-unreachable',
      expect.stringContaining('took longer than 0.05 seconds'),
    ]);
  });
});

describe('a tag that changes between two requests', () => {
  it('leaves the manifest of an index that was read to be asked for by its digest', async () => {
    const registry = await startRegistry();
    const first = registry.addImage('app', '1', [Buffer.from('first')]);
    const source = openSource(`${registry.host}/app:1`);
    await source.getManifest();
    registry.addImage('app', '1', [Buffer.from('second')]);
    expect(Buffer.from((await source.getManifest(first.digest)).bytes)).toEqual(first.bytes);
  });
});
