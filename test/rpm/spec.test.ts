/** Specs are read by the real rpmspec and rpmbuild: what a text means is theirs to say. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseContainerName } from '../../src/container/name.ts';
import { createExec } from '../../src/host/exec.ts';
import { buildPackage, sourceTree } from '../../src/rpm/build.ts';
import { readPackageFacts, type PackageFacts } from '../../src/rpm/facts.ts';
import { readPackage } from '../../src/rpm/read-package.ts';
import { renderSpec } from '../../src/rpm/spec.ts';
import { useTempFolder } from '../fixtures/temp-folder.ts';

const folder = useTempFolder();
const exec = createExec();
const NAME = parseContainerName('web');
const REVISION = 'ab'.repeat(32);
const LONG = { timeout: 120_000 };

let made = 0;
const newFolder = (): string => {
  const path = join(folder(), `build-${++made}`);
  mkdirSync(path);
  return path;
};
const factsOf = (labels: Record<string, string>): PackageFacts =>
  readPackageFacts(NAME, labels, { revision: REVISION, defaultVersion: '0' });

/** What rpm's own reader makes of a spec; the folder is where whatever ran would leave its mark. */
function query(spec: string): Record<string, string> {
  const cwd = newFolder();
  writeFileSync(join(cwd, 'package.spec'), spec);
  const tags = ['NAME', 'VERSION', 'RELEASE', 'SUMMARY', 'LICENSE', 'URL', 'DESCRIPTION'];
  const lists = [
    'REQUIRENAME',
    'PROVIDENAME',
    'CONFLICTNAME',
    'OBSOLETENAME',
    'PREIN',
    'POSTIN',
    'TRIGGERNAME',
  ];
  const format = [
    ...tags.map((tag) => `${tag}=%{${tag}}\\f`),
    ...lists.map((tag) => `${tag}=[%{${tag}} ]\\f`),
  ];
  const args = ['-q', '--queryformat', format.join(''), 'package.spec'];
  const env = { PATH: process.env['PATH'], HOME: cwd, LC_ALL: 'C.UTF-8' };
  const { status, stdout, stderr } = spawnSync('rpmspec', args, { cwd, env, encoding: 'utf8' });
  expect({ status, stderr }).toMatchObject({ status: 0 });
  expect(readdirSync(cwd)).toEqual(['package.spec']);
  return Object.fromEntries(
    stdout
      .split('\f')
      .filter((part) => part !== '')
      .map((part) => {
        const [key = '', ...value] = part.split('=');
        return [key, value.join('=')];
      }),
  );
}

/** Texts that a spec could take for something else. */
const hostile = fc
  .array(
    fc.oneof(
      fc.constantFrom(
        '%',
        '%%',
        '%{',
        '}',
        '%(touch ran)',
        '%{lua:io.open("ran","w")}',
        '%[1+1]',
        '%{nil}',
        '%define x y',
        '%global percent x',
        '%post',
        '%files',
        '%if 0',
        '%endif',
        '%include /etc/passwd',
        '%package x',
        '%{percent}',
        '\\',
        '\\%',
        '\n',
        '\r',
        ' ',
        '#',
        '"',
        "'",
        '$(touch ran)',
        '`touch ran`',
        'Requires: bash',
        'Obsoletes: glibc',
        '\u0000',
        '\u2028',
        'é漢',
      ),
      fc.string({ unit: 'grapheme', maxLength: 4 }),
    ),
    { maxLength: 12 },
  )
  .map((parts) => parts.join(''));

describe('a spec', () => {
  it('says whatever the labels say, and nothing that a label says is done', LONG, () => {
    const labels = fc.record({
      'atomic.summary': hostile,
      'atomic.license': hostile,
      'atomic.url': hostile,
      'atomic.version': hostile,
      'atomic.release': hostile,
      'atomic.description': hostile,
    });
    fc.assert(
      fc.property(labels, (given) => {
        const facts = factsOf(given);
        const found = query(renderSpec(facts, []));
        expect(found).toMatchObject({
          NAME: 'atomic-container-web',
          VERSION: facts.version,
          RELEASE: facts.release,
          SUMMARY: facts.summary,
          LICENSE: facts.license,
          URL: facts.url ?? '(none)',
        });
        // Lines that would begin a section, or be a comment, begin with the wide form of the sign.
        const description = facts.description.replaceAll(/^%/gm, '\uFF05').replaceAll(/^#/gm, '\uFF03');
        const lines = (text: string): string[] => text.split('\n').map((line) => line.trimEnd());
        expect(
          lines(found['DESCRIPTION'] ?? '')
            .join('\n')
            .trim(),
        ).toBe(description);
        for (const tag of ['CONFLICTNAME', 'OBSOLETENAME', 'PREIN', 'POSTIN', 'TRIGGERNAME'])
          expect([tag, found[tag]]).toEqual([tag, '']);
        expect(found['REQUIRENAME']?.replaceAll(/rpmlib\(\w+\) /g, '')).toBe('');
        expect(found['PROVIDENAME']).toBe('atomic-container-web ');
      }),
      { numRuns: 100 },
    );
  });

  it('is what this program always writes', () => {
    const facts = factsOf({
      'atomic.summary': '100% of it',
      'atomic.description': '%post\ntrue',
      'atomic.requires': 'runc,a > 1',
      'atomic.provides': 'b',
      'atomic.conflicts': 'c',
    });
    const spec = renderSpec(facts, [
      { path: '/usr/lib/containers/atomic/web', user: 'root', group: 'root', isTree: true },
      { path: '/etc/a %{b}"*.conf', user: 'daemon', group: 'adm' },
    ]);
    expect(spec).toMatchInlineSnapshot(`
      "%global percent %%%%
      Name: atomic-container-web
      Version: 0
      Release: abababababababababababababababababababababababababababababababab
      Summary: 100%{percent} of it
      License: GPLv2
      BuildArch: noarch
      AutoReqProv: no
      Requires: runc
      Requires: a > 1
      Provides: b
      Conflicts: c

      %description
      ％post
      true

      %install
      mkdir -p -- "$RPM_BUILD_ROOT"
      cp -al -- "$RPM_SOURCE_DIR/root/." "$RPM_BUILD_ROOT/"

      %files
      %defattr(-, root, root, -)
      /usr/lib/containers/atomic/web
      %attr(-, daemon, adm) /etc/a???b???.conf
      "
    `);
  });
});

describe('a package', () => {
  it('has whatever files there are, under their names, and no name is run', LONG, async () => {
    const name = fc
      .oneof(
        hostile,
        fc.constantFrom(
          '%attr(4777,root,root)',
          '%dir',
          '%config',
          '*',
          '[a]',
          '{a,b}',
          '~',
          '-e',
          '%%(touch ran)',
        ),
      )
      .map((text) => text.slice(0, 60).replaceAll(/[/\p{Cc}\p{Cs}]/gu, ''))
      .filter((text) => text !== '' && text !== '.' && text !== '..');
    await fc.assert(
      fc.asyncProperty(fc.uniqueArray(name, { minLength: 1, maxLength: 6 }), async (names) => {
        const cwd = newFolder();
        const paths = names.map((each) => `/usr/share/x/${each}`);
        for (const path of paths) {
          mkdirSync(dirname(sourceTree(cwd) + path), { recursive: true });
          writeFileSync(sourceTree(cwd) + path, path, { mode: 0o640 });
        }
        const files = paths.map((path) => ({ path, user: 'root', group: 'root' }));
        const { content } = await buildPackage(exec, { folder: cwd, facts: factsOf({}), files, epoch: 1 });
        expect(content.files.map(({ path }) => path).sort()).toEqual([...paths].sort());
        expect(content.scriptlets).toEqual([]);
        for (const place of [cwd, join(cwd, 'BUILD')]) expect(existsSync(join(place, 'ran'))).toBe(false);
      }),
      { numRuns: 15 },
    );
  });

  it(
    'is the same however often it is built, and has owners, modes and the time of its image',
    LONG,
    async () => {
      const build = async (): Promise<string> => {
        const cwd = newFolder();
        const tree = sourceTree(cwd);
        mkdirSync(join(tree, 'opt/empty'), { recursive: true, mode: 0o755 });
        writeFileSync(join(tree, 'opt/tool'), 'x', { mode: 0o755 });
        const files = [
          { path: '/opt/empty', user: 'root', group: 'root' },
          { path: '/opt/tool', user: 'daemon', group: 'adm' },
        ];
        return (await buildPackage(exec, { folder: cwd, facts: factsOf({}), files, epoch: 1_700_000_000 }))
          .path;
      };
      const [first, second] = [await build(), await build()];
      const sums = spawnSync('sha256sum', [first, second], { encoding: 'utf8' }).stdout.split('\n');
      expect(sums[0]?.slice(0, 64)).toBe(sums[1]?.slice(0, 64));
      const { stdout } = spawnSync(
        'rpm',
        [
          '-qp',
          '--nosignature',
          '--queryformat',
          '%{BUILDTIME} %{BUILDHOST}\\n[%{FILEMTIMES} %{FILEMODES:perms}\\n]',
          first,
        ],
        { encoding: 'utf8' },
      );
      expect(stdout).toBe('1700000000 localhost\n1700000000 drwxr-xr-x\n1700000000 -rwxr-xr-x\n');
      expect((await readPackage(exec, first)).files).toEqual([
        { path: '/opt/empty', kind: 'directory', checksum: '0', user: 'root', group: 'root' },
        {
          path: '/opt/tool',
          kind: 'file',
          checksum: '2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881',
          user: 'daemon',
          group: 'adm',
        },
      ]);
    },
  );

  it('is not made of files that rpmbuild cannot tell apart', async () => {
    const cwd = newFolder();
    const tree = sourceTree(cwd);
    mkdirSync(join(tree, 'opt/a-b'), { recursive: true });
    for (const path of ['opt/a b', 'opt/a-b/c']) writeFileSync(join(tree, path), '');
    const files = ['/opt/a b', '/opt/a-b/c'].map((path) => ({ path, user: 'root', group: 'root' }));
    await expect(
      buildPackage(exec, { folder: cwd, facts: factsOf({}), files, epoch: 1 }),
    ).rejects.toMatchObject({ code: 'unsupported', message: expect.stringContaining('"/opt/a-b"') });
  });

  it('is not made in a folder whose name rpm would read', async () => {
    const cwd = join(folder(), 'a %(touch ran)');
    mkdirSync(cwd);
    await expect(
      buildPackage(exec, { folder: cwd, facts: factsOf({}), files: [], epoch: 1 }),
    ).rejects.toMatchObject({ code: 'unsupported' });
    expect(readdirSync(cwd)).toEqual([]);
  });
});
