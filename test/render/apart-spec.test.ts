import { describe, expect, it } from 'vitest';
import { processApart, specApart } from '../../src/render/apart-spec.ts';

const SPEC = {
  ociVersion: '1.0.2',
  process: {
    terminal: true,
    consoleSize: { height: 1, width: 2 },
    user: { uid: 7, gid: 8 },
    args: ['/usr/bin/run.sh'],
    env: ['A=b'],
    cwd: '/srv',
    capabilities: { bounding: ['CAP_KILL'] },
  },
  root: { path: 'rootfs', readonly: true },
  mounts: [
    { destination: '/proc', type: 'proc', source: 'proc' },
    { destination: '/dev/pts', type: 'devpts', source: 'devpts' },
    { destination: '/a', type: 'bind', source: 'data' },
    { destination: '/b', type: 'none', source: './more', options: ['ro', 'rbind'] },
    { destination: '/c', type: 'bind', source: '/srv/c' },
  ],
  linux: { cgroupsPath: 'system.slice:runc:web', namespaces: [{ type: 'mount' }] },
};
const apart = (run: Parameters<typeof specApart>[2], spec: unknown = SPEC): Record<string, unknown> =>
  JSON.parse(specApart(JSON.stringify(spec), '/x/config.json', run)) as Record<string, unknown>;

describe('the configuration of a run apart', () => {
  it('has the command that was asked for, and all else of the process as it was', () => {
    expect(apart({ command: ['ls', '-l'], terminal: false })['process']).toEqual({
      ...SPEC.process,
      consoleSize: undefined,
      terminal: false,
      args: ['ls', '-l'],
    });
  });

  it('keeps its own command when there is none', () => {
    expect(apart({ command: [], terminal: false })['process']).toMatchObject({ args: ['/usr/bin/run.sh'] });
  });

  it.each([
    { command: ['sh'], terminal: true, own: false, given: true },
    { command: ['sh'], terminal: false, own: true, given: false },
    { command: [], terminal: true, own: true, given: true },
    { command: [], terminal: true, own: false, given: false },
    { command: [], terminal: false, own: true, given: false },
  ])('has a terminal only where there is one: %j', ({ command, terminal, own, given }) => {
    const spec = { ...SPEC, process: { ...SPEC.process, terminal: own } };
    expect(apart({ command, terminal }, spec)['process']).toMatchObject({ terminal: given });
  });

  it.each([
    [[{ destination: '/dev', type: 'tmpfs', source: 'tmpfs' }], false],
    [[{ destination: '/dev', type: 'bind', source: '/dev' }], true],
    [[{ destination: '/dev/pts', type: 'devpts', source: 'x' }], true],
    [undefined, false],
  ])('has none where there is no place for it: %j', (mounts, has) => {
    const spec = { ...SPEC, mounts };
    expect(apart({ command: ['sh'], terminal: true }, spec)['process']).toMatchObject({ terminal: has });
  });

  it('may be of its process alone', () => {
    const run = { command: ['ls'], terminal: true };
    expect(JSON.parse(processApart(JSON.stringify(SPEC), '/x', run))).toEqual(apart(run)['process']);
  });

  it('leaves the cgroup to the runtime', () => {
    expect(apart({ command: [], terminal: false })['linux']).toEqual({ namespaces: [{ type: 'mount' }] });
  });

  it('finds what the bundle holds from another folder', () => {
    const { root, mounts } = apart({ command: [], terminal: false, bundle: '/checkouts/web.1' });
    expect(root).toEqual({ path: '/checkouts/web.1/rootfs', readonly: true });
    expect((mounts as { source: string }[]).map(({ source }) => source)).toEqual([
      'proc',
      'devpts',
      '/checkouts/web.1/data',
      '/checkouts/web.1/more',
      '/srv/c',
    ]);
    expect(apart({ command: [], terminal: false })['root']).toEqual(SPEC.root);
  });

  it('keeps integers that no double holds', () => {
    const text = '{"process": {"rlimits": [{"hard": 18446744073709551615}]}}';
    expect(specApart(text, '/x', { command: ['ls'], terminal: false })).toContain('18446744073709551615');
  });

  it.each([
    ['{', 'is not valid JSON'],
    ['[]', 'is not a JSON object'],
  ])('refuses %s', (text, reason) => {
    expect(() => specApart(text, '/x/config.json', { command: [], terminal: false })).toThrow(
      expect.objectContaining({ code: 'spec-invalid', message: expect.stringContaining(reason) }),
    );
  });
});
