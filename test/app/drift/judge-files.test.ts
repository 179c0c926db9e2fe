import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { Deployment } from '../../../src/app/containers.ts';
import { judgeConfig, judgeHostFiles, judgeOnHost } from '../../../src/app/drift/judge-files.ts';
import type { Judgement } from '../../../src/app/drift/parts.ts';
import { parseInfo } from '../../../src/container/info.ts';

const sum = (content: string): string => createHash('sha256').update(content).digest('hex');

/** A host that has these files, links as `-> TARGET`. */
function filesOf(contents: Readonly<Record<string, string>>) {
  return {
    checksum: (path: string): Promise<string | undefined> => {
      const content = contents[path];
      return Promise.resolve(
        content === undefined ? undefined : content.startsWith('-> ') ? '0' : sum(content),
      );
    },
    readLink: (path: string): Promise<string | undefined> =>
      Promise.resolve(contents[path]?.startsWith('-> ') === true ? contents[path].slice(3) : undefined),
  };
}

function deploymentOf(info: Readonly<Record<string, unknown>>): Deployment {
  return { slot: 0, path: '/a/web.0', info: parseInfo(JSON.stringify(info), 'info') };
}

const recorded = {
  'files-checksum': {
    'config.json': sum('{}'),
    'web.service': sum('unit'),
    'tmpfiles-web.conf': sum('d /run/web'),
  },
};
const OWN = { '/a/web.0/web.service': 'unit', '/a/web.0/tmpfiles-web.conf': 'd /run/web' };

const brief = ({ part, remedies }: Judgement): unknown[] => [part.status, part.found, part.details, remedies];

const unit = (contents: Readonly<Record<string, string>>, info: object = recorded): Promise<Judgement> =>
  judgeOnHost(filesOf(contents), deploymentOf({ ...info }), 'unit', 'web.service', '/etc/web.service');

describe('the unit', () => {
  it('is well when it is what was rendered', async () => {
    expect(brief(await unit({ ...OWN, '/etc/web.service': 'unit' }))).toEqual([
      'ok',
      '/etc/web.service',
      [],
      {},
    ]);
  });

  it.each([
    ['mine', '/etc/web.service was edited'],
    ['-> /dev/null', '/etc/web.service is masked'],
    ['-> /tmp/x\n', '/etc/web.service is a link to /tmp/x\\u000a'],
    [undefined, '/etc/web.service is missing'],
  ])('has drifted when it is %j', async (content, found) => {
    const there = content === undefined ? OWN : { ...OWN, '/etc/web.service': content };
    expect(brief(await unit(there))).toEqual(['drift', found, [], { unit: true, deployment: false }]);
  });

  it('asks for the deployment where its copy is none', async () => {
    expect(brief(await unit({ '/etc/web.service': 'unit' }))).toEqual([
      'drift',
      "/etc/web.service is as it was, the deployment's copy is not",
      ['/a/web.0/web.service is missing'],
      { deployment: true },
    ]);
    expect(brief(await unit({ '/a/web.0/web.service': 'mine', '/etc/web.service': 'mine' }))).toEqual([
      'drift',
      '/etc/web.service was edited',
      ['/a/web.0/web.service was edited'],
      { unit: true, deployment: true },
    ]);
  });

  it('is compared with the copy where nothing was recorded', async () => {
    expect((await unit({ ...OWN, '/etc/web.service': 'unit' }, {})).part.status).toBe('ok');
    expect(brief(await unit({ ...OWN, '/etc/web.service': 'mine' }, {}))).toEqual([
      'drift',
      '/etc/web.service was edited',
      [],
      { unit: true, deployment: false },
    ]);
    expect((await unit({ '/etc/web.service': 'mine' }, {})).part.status).toBe('not recorded');
    expect((await unit({}, {})).part).toMatchObject({
      status: 'drift',
      found: '/etc/web.service is missing',
    });
  });

  it('is none where the image has no service', async () => {
    const info = { 'has-container-service': false, 'files-checksum': {} };
    expect((await unit({}, info)).part).toMatchObject({ status: 'ok', found: 'none' });
    expect((await unit({ '/etc/web.service': 'x' }, info)).part.status).toBe('not recorded');
  });
});

describe('config.json', () => {
  const judge = (contents: Readonly<Record<string, string>>, info: object = recorded): Promise<Judgement> =>
    judgeConfig(filesOf(contents), deploymentOf({ ...info }));

  it.each([
    ['{}', 'ok', '/a/web.0/config.json'],
    ['{"x":1}', 'drift', '/a/web.0/config.json was edited'],
    [undefined, 'drift', '/a/web.0/config.json is missing'],
  ])('that is %j is told as %s', async (content, status, found) => {
    const there = content === undefined ? {} : { '/a/web.0/config.json': content };
    expect((await judge(there)).part).toMatchObject({ status, found });
  });

  it('of which nothing was recorded can only be missing', async () => {
    expect((await judge({ '/a/web.0/config.json': 'x' }, {})).part.status).toBe('not recorded');
    expect((await judge({}, {})).part.status).toBe('drift');
    expect((await judge({}, { 'has-container-service': false })).part.status).toBe('not recorded');
    expect((await judge({}, { 'files-checksum': {} })).part).toMatchObject({ status: 'ok', found: 'none' });
  });
});

describe('host files', () => {
  const judge = (
    contents: Readonly<Record<string, string>>,
    checksums?: Record<string, string>,
  ): Promise<Judgement> =>
    judgeHostFiles(
      filesOf(contents),
      deploymentOf({
        'installed-files': ['/etc/a', '/./b'],
        ...(checksums && { 'installed-files-checksum': checksums }),
      }),
    );
  const checksums = { '/etc/a': sum('a'), '/./b': sum('b') };

  it('are well when each is as it was made, by its plain path', async () => {
    expect(brief(await judge({ '/etc/a': 'a', '/b': 'b' }, checksums))).toEqual(['ok', '2', [], {}]);
  });

  it('are told of one by one when they are not', async () => {
    expect(brief(await judge({ '/etc/a': 'A' }, checksums))).toEqual([
      'drift',
      '2 of 2 are not as installed',
      ['/etc/a was changed', '/b is missing'],
      {
        hostFiles: [
          { path: '/etc/a', state: 'changed' },
          { path: '/b', state: 'missing' },
        ],
      },
    ]);
  });

  it('without a checksum can only be missing', async () => {
    expect((await judge({ '/etc/a': 'A', '/b': 'B' })).part).toMatchObject({
      status: 'not recorded',
      found: 'no checksums of 2 of 2',
    });
    expect((await judge({ '/etc/a': 'A' })).part).toMatchObject({
      status: 'drift',
      details: ['/b is missing'],
    });
  });

  it('that no install of ours can have made are left alone', async () => {
    const deployment = deploymentOf({ 'installed-files': ['/etc/../x', 'y'] });
    expect((await judgeHostFiles(filesOf({}), deployment)).part.status).toBe('not recorded');
  });
});
