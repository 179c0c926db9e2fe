import { describe, expect, it } from 'vitest';
import { normaliseSpec } from '../../src/render/normalise-spec.ts';

const context = { capabilities: ['CAP_KILL', 'CAP_CHOWN'], selinux: false };
const normalise = (spec: object): ReturnType<typeof normaliseSpec> =>
  normaliseSpec({ ociVersion: '1.0.0', ...spec }, context);

describe('normaliseSpec', () => {
  it('gives back the very object when nothing is to be changed', () => {
    const spec = {
      ociVersion: '1.0.0-rc2-dev',
      platform: { os: 'linux' },
      process: { terminal: false, capabilities: { bounding: ['CAP_KILL'], ambient: null }, selinuxLabel: '' },
      hooks: {},
      linux: {
        devices: null,
        apparmorProfile: '',
        rlimits: [],
        seccomp: { defaultAction: 'SCMP_ACT_ALLOW', architectures: null },
      },
    };
    const { spec: same, warnings } = normaliseSpec(spec, context);
    expect(same).toBe(spec);
    expect(warnings).toEqual([]);
  });

  it('moves what was under linux before 1.0, and raises the version', () => {
    const rlimits = [{ type: 'RLIMIT_NOFILE', hard: 1, soft: 1 }];
    const { spec, warnings } = normaliseSpec(
      {
        ociVersion: '0.3.0',
        process: {},
        linux: {
          capabilities: ['CAP_KILL'],
          rlimits,
          apparmorProfile: 'p',
          selinuxProcessLabel: 'l',
          devices: null,
        },
      },
      { ...context, selinux: true },
    );
    const set = ['CAP_KILL'];
    expect(spec).toEqual({
      ociVersion: '1.0.2',
      process: {
        capabilities: { bounding: set, effective: set, inheritable: set, permitted: set },
        rlimits,
        apparmorProfile: 'p',
        selinuxLabel: 'l',
      },
      linux: { devices: null },
    });
    expect(warnings).toHaveLength(6);
  });

  it('does not move over what process has already, nor out of a newer configuration', () => {
    const old = { ociVersion: '0.3.0', process: { rlimits: [] }, linux: { rlimits: [1] } };
    expect(normaliseSpec(old, context).spec).toMatchObject({
      process: { rlimits: [] },
      linux: { rlimits: [1] },
    });
    const current = { process: {}, linux: { rlimits: [1] } };
    expect(normalise(current).warnings).toEqual([]);
  });

  it('gives a version to a configuration without one', () => {
    expect(normaliseSpec({}, context).spec['ociVersion']).toBe('1.0.2');
    expect(normaliseSpec({ ociVersion: '' }, context).spec['ociVersion']).toBe('1.0.2');
  });

  it('turns the terminal off', () => {
    const { spec, warnings } = normalise({ process: { terminal: true } });
    expect(spec['process']).toEqual({ terminal: false });
    expect(warnings).toHaveLength(1);
  });

  it('drops unknown capabilities from lists and sets, with one warning each', () => {
    const { spec, warnings } = normalise({
      process: {
        capabilities: { bounding: ['CAP_TIME', 'CAP_KILL'], permitted: ['CAP_TIME', 'KILL'], ambient: [] },
      },
    });
    expect(spec['process']).toEqual({ capabilities: { bounding: ['CAP_KILL'], permitted: [], ambient: [] } });
    expect(warnings).toEqual([
      'The capability CAP_TIME does not exist here; it is dropped from the runtime configuration.',
      'The capability KILL does not exist here; it is dropped from the runtime configuration.',
    ]);
    expect(normalise({ process: { capabilities: ['CAP_TIME'] } }).spec['process']).toMatchObject({
      capabilities: { bounding: [], effective: [] },
    });
  });

  it('drops SELinux labels only where SELinux is off', () => {
    const spec = { ociVersion: '1.0.0', process: { selinuxLabel: 'l' }, linux: { mountLabel: 'm' } };
    expect(normaliseSpec(spec, context).spec).toEqual({ ociVersion: '1.0.0', process: {}, linux: {} });
    expect(normaliseSpec(spec, { ...context, selinux: true }).warnings).toEqual([]);
  });

  it('drops an empty seccomp, and renames old rules', () => {
    for (const seccomp of [{}, { defaultAction: '', architectures: null, syscalls: null }])
      expect(normalise({ linux: { seccomp } }).spec['linux']).toEqual({});
    const { spec } = normalise({
      linux: {
        seccomp: {
          defaultAction: 'A',
          syscalls: [
            { name: 'x', action: 'E' },
            { names: ['y'], action: 'E' },
          ],
        },
      },
    });
    expect(spec['linux']).toEqual({
      seccomp: {
        defaultAction: 'A',
        syscalls: [
          { names: ['x'], action: 'E' },
          { names: ['y'], action: 'E' },
        ],
      },
    });
  });

  it('leaves the given object untouched', () => {
    const spec = { ociVersion: '0.3.0', process: { terminal: true }, linux: { capabilities: ['CAP_KILL'] } };
    const before = structuredClone(spec);
    normaliseSpec(spec, context);
    expect(spec).toEqual(before);
  });
});
