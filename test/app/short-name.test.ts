import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openFirst, readCandidates } from '../../src/app/short-name.ts';
import { AtomicError, type ErrorCode } from '../../src/errors.ts';
import { formatReference, parseReference, type ImageReference } from '../../src/image/reference.ts';
import { useTempFolder } from '../fixtures/temp-folder.ts';

const folder = useTempFolder();
const SEARCH = 'unqualified-search-registries = ["a.example", "b.example"]\n';

/** What an image that was typed may stand for, and the notices. */
async function candidates(
  text: string,
  conf: string,
  access: Parameters<typeof readCandidates>[3] = {},
): Promise<{ names: string[]; notices: string[] }> {
  const path = join(folder(), 'registries.conf');
  writeFileSync(path, conf);
  const notices: string[] = [];
  const app = {
    environment: { HOME: folder(), CONTAINERS_REGISTRIES_CONF: path },
    report: (event: object) => notices.push('text' in event ? String(event.text) : ''),
  };
  const found = await readCandidates(
    app,
    text,
    parseReference(text, () => false),
    access,
  );
  return { names: found.map(formatReference), notices };
}

describe('an image that was typed', () => {
  it('is looked for in the registries that are searched, and a notice says so', async () => {
    expect(await candidates('mine/app:1', SEARCH)).toEqual({
      names: ['docker://a.example/mine/app:1', 'docker://b.example/mine/app:1'],
      notices: [
        'The image `mine/app:1` is not fully qualified: it is pulled from a.example, else from b.example',
      ],
    });
    const { names } = await candidates('http:mine/app', SEARCH);
    expect(names).toEqual(['http:a.example/mine/app', 'http:b.example/mine/app']);
  });

  it('is what an alias says, and of which file that is', async () => {
    const { names, notices } = await candidates('mine/app', '[aliases]\n"mine/app" = "r.example/app"\n');
    expect(names).toEqual(['docker://r.example/app']);
    expect(notices).toEqual([
      `The image \`mine/app\` is not fully qualified: it is pulled from r.example/app, as ${join(folder(), 'registries.conf')} says`,
    ]);
  });

  it.each(['docker://mine/app', 'r.example/app', 'dir:/tmp/x'])('is itself: %s', async (text) => {
    expect((await candidates(text, SEARCH)).names).toEqual([text.replace(/^r\./, 'docker://r.')]);
  });

  it('is refused where somebody would have to choose', async () => {
    await expect(candidates('mine/app', `${SEARCH}short-name-mode = "enforcing"`)).rejects.toMatchObject({
      code: 'reference-invalid',
      message: 'The image `mine/app` may be any of a.example/mine/app, b.example/mine/app',
    });
  });
});

describe('credentials on the command line', () => {
  const access = { credentials: { username: 'u', password: 's3cret' } };

  it('are for one registry, and no short name may take them to several', async () => {
    const failure: unknown = await candidates('mine/app', SEARCH, access).catch((error: unknown) => error);
    expect(failure).toMatchObject({
      code: 'usage',
      message: 'Credentials for `mine/app` would be shown to each of a.example, b.example',
    });
    const one = 'unqualified-search-registries = ["a.example"]\n';
    expect((await candidates('mine/app', one, access)).names).toEqual(['docker://a.example/mine/app']);
  });
});

describe('the first of several', () => {
  const references = ['a.example/app', 'b.example/app'].map((text) => parseReference(text, () => false));

  /** Opens them where each fails with a code, or is there. */
  function open(states: readonly (ErrorCode | 'there')[], among = references): Promise<string> {
    return openFirst(among, (reference: ImageReference) => {
      const state = states[references.indexOf(reference)] ?? 'there';
      const name = formatReference(reference);
      return state === 'there' ? Promise.resolve(name) : Promise.reject(new AtomicError(state, `no ${name}`));
    });
  }

  it('is the one that is there', async () => {
    expect(await open(['there', 'there'])).toBe('docker://a.example/app');
    for (const code of ['manifest-unknown', 'image-not-found', 'unauthorized', 'denied'] as const)
      expect(await open([code, 'there'])).toBe('docker://b.example/app');
  });

  it('is not stood in for by others when it cannot be reached', async () => {
    for (const code of ['registry-unreachable', 'tls', 'rate-limited', 'digest-mismatch'] as const)
      await expect(open([code, 'there'])).rejects.toMatchObject({ code });
  });

  it('is none when nobody has it, and all have their say', async () => {
    await expect(open(['manifest-unknown', 'denied'])).rejects.toMatchObject({
      code: 'image-not-found',
      details: 'no docker://a.example/app\nno docker://b.example/app',
    });
    await expect(open(['manifest-unknown'], references.slice(0, 1))).rejects.toMatchObject({
      code: 'manifest-unknown',
    });
  });
});
