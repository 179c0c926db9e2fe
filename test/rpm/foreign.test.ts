import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { createExec } from '../../src/host/exec.ts';
import { definitions } from '../../src/rpm/build.ts';
import { checkForeignPackage } from '../../src/rpm/foreign.ts';
import { readPackage } from '../../src/rpm/read-package.ts';
import { useTempFolder } from '../fixtures/temp-folder.ts';

const folder = useTempFolder();
const exec = createExec();

/** A package of somebody's, made by the real rpmbuild. */
function makePackage(
  extra: { tags?: string; sections?: string; files?: string; install?: string } = {},
): string {
  const spec = `Name: atomic-container-web
Version: 1
Release: 1
Summary: x
License: x
BuildArch: noarch
AutoReqProv: no
${extra.tags ?? ''}
%description
x
%install
mkdir -p $RPM_BUILD_ROOT/opt/web
${extra.install ?? ''}
%files
/opt/web
${extra.files ?? ''}
${extra.sections ?? ''}
`;
  for (const name of ['BUILD', 'SOURCES']) mkdirSync(join(folder(), name), { recursive: true });
  writeFileSync(join(folder(), 'foreign.spec'), spec);
  const args = ['-bb', '--target=noarch', ...definitions(folder()), 'foreign.spec'];
  const env = { PATH: process.env['PATH'], HOME: folder(), LC_ALL: 'C.UTF-8' };
  const { status, stderr } = spawnSync('rpmbuild', args, { cwd: folder(), env, encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr);
  return join(folder(), 'RPMS', 'atomic-container-web.rpm');
}

const check = async (path: string, expected = 'atomic-container-web'): Promise<void> =>
  checkForeignPackage(await readPackage(exec, path), expected);

describe("an image's own package", () => {
  it('may bring files and folders', async () => {
    const path = makePackage({
      install: 'echo x >$RPM_BUILD_ROOT/opt/web/x; ln -s x $RPM_BUILD_ROOT/opt/web/y',
    });
    await expect(check(path)).resolves.toBeUndefined();
    expect((await readPackage(exec, path)).files.map((file) => [file.path, file.kind])).toEqual([
      ['/opt/web', 'directory'],
      ['/opt/web/x', 'file'],
      ['/opt/web/y', 'symlink'],
    ]);
  });

  it('is called like its container’s', async () => {
    await expect(check(makePackage(), 'atomic-container-other')).rejects.toMatchObject({
      code: 'exports-invalid',
      message: expect.stringContaining('it is called atomic-container-web, and not atomic-container-other'),
    });
  });

  it.each([
    ['a scriptlet', '%post\ntouch /tmp/ran', 'touch /tmp/ran'],
    ['a scriptlet in lua', '%pre -p <lua>\nposix.mkdir("/tmp/ran")', 'posix.mkdir'],
    ['a trigger', '%triggerin -- bash\ntouch /tmp/ran', 'touch /tmp/ran'],
    ['a file trigger', '%transfiletriggerin -- /usr\ntouch /tmp/ran', 'touch /tmp/ran'],
    ['a verify script', '%verifyscript\ntouch /tmp/ran', 'touch /tmp/ran'],
    ['a script before the transaction', '%pretrans\ntouch /tmp/ran', 'touch /tmp/ran'],
  ])('has not %s, which would run as root', async (_what, sections, line) => {
    await expect(check(makePackage({ sections }))).rejects.toMatchObject({
      code: 'exports-invalid',
      message: expect.stringContaining('scriptlets'),
      details: expect.stringContaining(line),
    });
  });

  it('takes no other package away', async () => {
    await expect(check(makePackage({ tags: 'Obsoletes: bash' }))).rejects.toMatchObject({
      code: 'exports-invalid',
      details: 'bash',
    });
  });

  it('has no accounts made', async () => {
    await expect(check(makePackage({ tags: 'Provides: user(toor) = 0' }))).rejects.toMatchObject({
      code: 'exports-invalid',
      details: expect.stringContaining('user(toor)'),
    });
  });

  it('has no device nodes', async () => {
    const path = makePackage({ files: '%dev(c,1,3) %attr(0666,root,root) /opt/web/null' });
    await expect(check(path)).rejects.toMatchObject({
      code: 'exports-invalid',
      message: expect.stringContaining('"/opt/web/null" is neither'),
    });
  });

  it('is one', async () => {
    const path = join(folder(), 'no.rpm');
    writeFileSync(path, 'no package');
    await expect(readPackage(exec, path)).rejects.toMatchObject({
      code: 'exports-invalid',
      message: `Cannot use the package ${path}: rpm cannot read it`,
    });
  });
});
