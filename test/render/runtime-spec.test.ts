import { describe, expect, it } from 'vitest';
import type { Mount } from '../../src/render/generated-mounts.ts';
import {
  factPaths,
  generateSpec,
  type GeneratedSpec,
  type SpecInput,
} from '../../src/render/runtime-spec.ts';
import { imageConfig, imageFacts } from './deployment-input.ts';

function generate(
  changes: Partial<SpecInput> = {},
): GeneratedSpec & Pick<GeneratedSpec['spec'], 'process' | 'mounts'> {
  const generated = generateSpec({
    config: imageConfig(),
    facts: imageFacts(),
    name: 'x',
    stateDirectory: '/var/lib',
    rootfs: '/c/x.0/rootfs',
    sourceMissing: () => false,
    ...changes,
  });
  return { ...generated, process: generated.spec.process, mounts: generated.spec.mounts };
}

const destinations = (mounts: readonly Mount[]): string[] => mounts.map(({ destination }) => destination);

describe('generateSpec', () => {
  it('runs Entrypoint and Cmd in WorkingDir', () => {
    const config = imageConfig({ entrypoint: ['/entry.sh', '--'], cmd: ['serve'], workingDir: 'srv/app/' });
    expect(generate({ config }).process).toMatchObject({
      args: ['/entry.sh', '--', 'serve'],
      cwd: '/srv/app',
    });
    expect(generate().process.cwd).toBe('/');
  });

  it('refuses an image that names no command', () => {
    expect(() => generate({ config: imageConfig({ cmd: [] }) })).toThrow(
      expect.objectContaining({ code: 'config-invalid', hint: expect.stringContaining('CMD') }),
    );
  });

  it('adds PATH and TERM to Env where they are missing, and drops what is no variable', () => {
    const { process, warnings } = generate({ config: imageConfig({ env: ['A=b=c', 'E=', 'BROKEN', '=x'] }) });
    expect(process.env).toEqual([
      'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
      'TERM=xterm',
      'A=b=c',
      'E=',
    ]);
    expect(warnings).toHaveLength(2);
    expect(generate({ config: imageConfig({ env: ['PATH=/p', 'TERM=dumb'] }) }).process.env).toEqual([
      'PATH=/p',
      'TERM=dumb',
    ]);
  });

  it('lets root change owners and drop to a user, without ambient capabilities', () => {
    const { capabilities } = generate().process;
    expect(capabilities['effective']).toEqual(
      expect.arrayContaining(['CAP_CHOWN', 'CAP_SETUID', 'CAP_SETGID']),
    );
    expect(capabilities['ambient'] ?? []).toEqual([]);
    expect(capabilities['inheritable'] ?? []).toEqual([]);
  });

  it('gives another user low ports and nothing else', () => {
    const facts = imageFacts({}, 'redis:x:999:1000::/:/bin/sh');
    const { process } = generate({ config: imageConfig({ user: 'redis' }), facts });
    expect(process.user).toEqual({ uid: 999, gid: 1000, additionalGids: [] });
    expect(process.capabilities['effective']).toEqual(['CAP_NET_BIND_SERVICE']);
    expect(process.capabilities['ambient']).toEqual(['CAP_NET_BIND_SERVICE']);
  });

  it('shares the host’s network and keeps its root read-only', () => {
    const { spec } = generate();
    expect(spec).toMatchObject({
      root: { path: 'rootfs', readonly: true },
      linux: { namespaces: [{ type: 'pid' }, { type: 'ipc' }, { type: 'uts' }, { type: 'mount' }] },
    });
    expect(spec).not.toHaveProperty('hostname');
  });

  it('makes the writable directories that the image has, as they look there', () => {
    const facts = imageFacts({
      '/run': {},
      '/tmp': { mode: 0o1777 },
      '/var/run': { linked: true, realPath: '/run' },
      '/var/cache': { uid: 5, gid: 6 },
    });
    const { mounts } = generate({ facts });
    expect(destinations(mounts)).toContain('/run');
    expect(destinations(mounts)).not.toContain('/var/run');
    expect(destinations(mounts)).not.toContain('/var/log');
    const optionsOf = (path: string): readonly string[] =>
      mounts.find(({ destination }) => destination === path)?.options ?? [];
    expect(optionsOf('/tmp')).toEqual(expect.arrayContaining(['tmpcopyup', 'mode=1777', 'nosuid', 'nodev']));
    expect(optionsOf('/var/cache')).toEqual(expect.arrayContaining(['uid=5', 'gid=6', 'mode=0755']));
  });

  it('binds the host’s resolver files read-only where the host has them', () => {
    const all = generate().mounts;
    expect(destinations(all).slice(-2)).toEqual(['/etc/resolv.conf', '/etc/hosts']);
    expect(all.at(-1)).toMatchObject({
      type: 'bind',
      source: '/etc/hosts',
      options: expect.arrayContaining(['ro']),
    });
    const none = generate({ sourceMissing: (path) => path === '/etc/resolv.conf' }).mounts;
    expect(destinations(none)).not.toContain('/etc/resolv.conf');
  });

  it('keeps volumes in a folder of the container’s name, each under a name of its own', () => {
    const config = imageConfig({
      volumes: ['/data', '/var/lib/a-b', '/var/lib/a/b', 'rel/', '/with blank'],
      user: '5:6',
    });
    const { volumes } = generate({ config, facts: imageFacts({ '/data': {} }) });
    expect(volumes).toEqual([
      { path: '/data', source: '/var/lib/x/data', copyFrom: '/c/x.0/rootfs/data', uid: 5, gid: 6 },
      { path: '/rel', source: '/var/lib/x/rel', copyFrom: undefined, uid: 5, gid: 6 },
      { path: '/var/lib/a-b', source: '/var/lib/x/var-lib-a_2Db', copyFrom: undefined, uid: 5, gid: 6 },
      { path: '/var/lib/a/b', source: '/var/lib/x/var-lib-a-b', copyFrom: undefined, uid: 5, gid: 6 },
      { path: '/with blank', source: '/var/lib/x/with_20blank', copyFrom: undefined, uid: 5, gid: 6 },
    ]);
  });

  it('leaves out volumes over what the runtime provides, with a warning', () => {
    const config = imageConfig({
      volumes: ['/', '/sys/fs/cgroup', '/dev', '/proc/../proc/x', '/device', '/../..'],
    });
    const { volumes, warnings } = generate({ config });
    expect(volumes).toMatchObject([{ path: '/device' }]);
    expect(warnings).toHaveLength(4);
  });

  it('prefers a volume to a tmpfs at the same path, and mounts what is below afterwards', () => {
    const config = imageConfig({ volumes: ['/var/log', '/var/cache/app', '/run/deep/er'] });
    const facts = imageFacts({ '/run': {}, '/var/log': {}, '/var/cache': {} });
    const own = generate({ config, facts }).mounts.slice(7, -2);
    expect(own.map(({ destination, type }) => [destination, type])).toEqual([
      ['/run', 'tmpfs'],
      ['/var/cache', 'tmpfs'],
      ['/var/log', 'bind'],
      ['/run/deep/er', 'bind'],
      ['/var/cache/app', 'bind'],
    ]);
  });
});

describe('factPaths', () => {
  it('asks for the writable directories and for the volumes, normalised', () => {
    expect(factPaths(imageConfig({ volumes: ['data/', '/tmp'] }))).toEqual(
      expect.arrayContaining(['/run', '/tmp', '/var/cache', '/data']),
    );
  });
});
