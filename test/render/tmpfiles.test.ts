import { describe, expect, it } from 'vitest';
import { renderTmpfiles, type TmpfilesInput } from '../../src/render/tmpfiles.ts';
import { templates } from './deployment-input.ts';

const bind = (source: unknown): object => ({ destination: '/d', type: 'bind', source, options: ['rbind'] });

function render(sources: readonly unknown[], changes: Partial<TmpfilesInput> = {}): string | undefined {
  return renderTmpfiles({
    spec: { mounts: sources.map(bind) },
    volumes: [],
    identity: { uid: 0, gid: 7 },
    sourceMissing: () => true,
    previous: undefined,
    templates,
    ...changes,
  });
}

describe('renderTmpfiles', () => {
  it('makes a folder for each missing source, in atomic’s words, each once', () => {
    expect(render(['/var/lib/a', '/run/b', '/var/lib/a'])).toBe(
      'd    /var/lib/a   0700 0 7 - -\nd    /run/b   0700 0 7 - -\n',
    );
  });

  it('makes none for sources that are there, and says undefined for none at all', () => {
    const sourceMissing = (path: string): boolean => path === '/run/b';
    expect(render(['/var/lib/a', '/run/b'], { sourceMissing })).toBe('d    /run/b   0700 0 7 - -\n');
    expect(render(['/var/lib/a'], { sourceMissing })).toBeUndefined();
  });

  it('keeps a folder that the deployment before made, which is there for that reason', () => {
    const previous = 'd    /run/b   0700 0 7 - -\nd    /else   0700 0 7 - -\n';
    expect(render(['/var/lib/a', '/run/b'], { previous, sourceMissing: () => false })).toBe(
      'd    /run/b   0700 0 7 - -\n',
    );
  });

  it('knows bind mounts by type and by option, and passes over others and relative sources', () => {
    const mounts = [
      { destination: '/a', type: 'rbind', source: '/a' },
      { destination: '/b', source: '/b', options: ['bind'] },
      { destination: '/c', type: 'tmpfs', source: '/c' },
      { destination: '/d', type: 'bind', source: 'rootfs/d' },
      { destination: '/e', type: 'bind', source: 5 },
      'odd',
    ];
    expect(render([], { spec: { mounts } })).toBe('d    /a   0700 0 7 - -\nd    /b   0700 0 7 - -\n');
    expect(render([], { spec: { mounts: null } })).toBeUndefined();
  });

  it('quotes paths with blanks, quotes and backslashes, and doubles percent signs', () => {
    expect(render(['/a b', `/q"'`, '/back\\slash', '/100%'])).toBe(
      [
        'd    "/a b"   0700 0 7 - -',
        `d    "/q\\"'"   0700 0 7 - -`,
        'd    "/back\\\\slash"   0700 0 7 - -',
        'd    /100%%   0700 0 7 - -',
        '',
      ].join('\n'),
    );
  });

  it('refuses a path with a line break', () => {
    expect(() => render(['/new\nline'])).toThrow(expect.objectContaining({ code: 'value-invalid' }));
  });

  it('fills a volume from the image where the image has the directory, and makes an empty one else', () => {
    const volumes = [
      { path: '/data', source: '/var/lib/x/data', copyFrom: '/c/x.0/rootfs/data', uid: 9, gid: 8 },
      { path: '/new', source: '/var/lib/x/new', copyFrom: undefined, uid: 9, gid: 8 },
    ];
    const sources = ['/var/lib/x/data', '/var/lib/x/new'];
    expect(render(sources, { volumes })).toBe(
      'C    /var/lib/x/data   - - - - /c/x.0/rootfs/data\nd    /var/lib/x/new   0755 9 8 - -\n',
    );
  });
});
