import { mkdirSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { createExec } from '../../src/host/exec.ts';
import { createFiles } from '../../src/host/files.ts';
import type { Exec, HostFile, HostFiles } from '../../src/host/ports.ts';
import { createSelinux } from '../../src/host/selinux.ts';
import { useTempFolder } from '../fixtures/temp-folder.ts';
import { failureOf } from '../stream/collect.ts';

const folder = useTempFolder();
const at = (path: string): string => join(folder(), path);

/** Programs that answer with a label for each of their last arguments; every call is kept. */
class FakePrograms {
  readonly calls: string[][] = [];
  readonly labels = new Map<string, string>();
  missing = '';

  readonly exec: Exec = {
    ...createExec({}),
    find: (program) => Promise.resolve(program === this.missing ? undefined : `/usr/sbin/${program}`),
    run: (program, args) => {
      this.calls.push([program, ...args]);
      const label = this.labels.get(args.at(-1) ?? '') ?? 'system_u:object_r:default_t:s0';
      return Promise.resolve({ exitCode: 0, stdout: `${label}\n`, stderr: '' });
    },
  };

  files(isOn = true): HostFiles {
    return createFiles(this.exec, createSelinux(this.exec, isOn));
  }
}

function hostFile(given: Partial<HostFile> & { readonly path: string }): HostFile {
  const { uid, gid } = statSync(folder());
  return { kind: 'file', mode: 0o644, uid, gid, link: false, ...given };
}

describe('where SELinux is on', () => {
  it('a file gets the label of its path', async () => {
    const programs = new FakePrograms();
    await programs.files().label(at('x.service'));
    expect(programs.calls).toEqual([['restorecon', '--', at('x.service')]]);
  });

  it('a file in the making gets none', async () => {
    const programs = new FakePrograms();
    await programs.files().writeFileAtomic(at('info'), 'x', 0o644);
    await programs.files().createFile(at('.x.service'), 'x', 0o644);
    expect(programs.calls).toEqual([]);
  });

  it('a host file and the folders made for it get labels', async () => {
    const programs = new FakePrograms();
    await programs.files().install(hostFile({ path: at('a/b/file'), content: 'x' }), at('.new'));
    expect(programs.calls).toEqual([['restorecon', '--', at('a'), at('a/b'), at('a/b/file')]]);
    programs.calls.length = 0;
    await programs
      .files()
      .install(hostFile({ path: at('a/link'), kind: 'symlink', target: 'b' }), at('.new'));
    await programs
      .files()
      .install(hostFile({ path: at('a/folder'), kind: 'directory', mode: 0o755 }), at('.new'));
    expect(programs.calls).toEqual([
      ['restorecon', '--', at('a/link')],
      ['restorecon', '--', at('a/folder')],
    ]);
  });

  it('a hard link is made where both labels agree, and is not labelled', async () => {
    const programs = new FakePrograms();
    writeFileSync(at('source'), 'x');
    for (const path of [at('source'), at('place')]) programs.labels.set(path, 'system_u:object_r:bin_t:s0');
    await programs
      .files()
      .install(hostFile({ path: at('place'), source: at('source'), link: true }), at('.new'));
    expect(statSync(at('place')).ino).toBe(statSync(at('source')).ino);
    expect(programs.calls).toEqual([
      ['stat', '--format=%C', '--', at('source')],
      ['matchpathcon', '-n', '-m', 'file', at('place')],
    ]);
  });

  it('a copy is made where they do not', async () => {
    const programs = new FakePrograms();
    writeFileSync(at('source'), 'x');
    programs.labels.set(at('place'), 'system_u:object_r:bin_t:s0');
    await programs
      .files()
      .install(hostFile({ path: at('place'), source: at('source'), link: true }), at('.new'));
    expect(statSync(at('place')).ino).not.toBe(statSync(at('source')).ino);
    expect(programs.calls.at(-1)).toEqual(['restorecon', '--', at('place')]);
  });

  it.each([
    ['restorecon', 'policycoreutils'],
    ['matchpathcon', 'selinux-utils'],
  ])('a missing %s is told of with its package', async (program, named) => {
    const programs = new FakePrograms();
    await createSelinux(programs.exec, true).requireTools();
    programs.missing = program;
    const error = await failureOf(createSelinux(programs.exec, true).requireTools());
    expect([error.code, error.message]).toEqual(['tool-missing', expect.stringContaining(program)]);
    expect(error.hint).toContain(named);
  });
});

describe('the label of files that containers share', () => {
  const exec = new FakePrograms().exec;
  const put = (path: string, content: string): void => {
    mkdirSync(dirname(at(path)), { recursive: true });
    writeFileSync(at(path), content);
  };

  it('is the one that the policy names', async () => {
    put('config', '# a comment\nSELINUX=enforcing\nSELINUXTYPE=mls\n');
    const contexts =
      'process = "a:b:c:s0"\nfile = "system_u:object_r:container_file_t:s0:c1,c2"\nro_file="x"\n';
    put('mls/contexts/lxc_contexts', contexts);
    const label = await createSelinux(exec, true, folder()).sharedLabel();
    expect(label).toBe('system_u:object_r:container_file_t:s0:c1,c2');
  });

  it('is told to be missing', async () => {
    put('targeted/contexts/lxc_contexts', 'file = "x",upperdir=/etc"\n');
    const error = await failureOf(createSelinux(exec, true, folder()).sharedLabel());
    expect([error.code, error.message]).toEqual(['host-file', expect.stringContaining('lxc_contexts')]);
  });

  it('is none where SELinux is off', async () => {
    expect(await createSelinux(exec, false, folder()).sharedLabel()).toBe(undefined);
  });
});

describe('where SELinux is off', () => {
  it('no program of its is run, nor missed', async () => {
    const programs = new FakePrograms();
    programs.missing = 'restorecon';
    await createSelinux(programs.exec, false).requireTools();
    const files = programs.files(false);
    writeFileSync(at('source'), 'x');
    await files.label(at('x.service'));
    await files.install(hostFile({ path: at('a/place'), source: at('source'), link: true }), at('.new'));
    await files.install(hostFile({ path: at('a/b/file'), content: 'x' }), at('.new'));
    expect(statSync(at('a/place')).ino).toBe(statSync(at('source')).ino);
    expect(programs.calls).toEqual([]);
  });
});
