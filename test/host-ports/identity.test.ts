import { describe, expect, it } from 'vitest';
import { capabilitiesUpTo, readKernelCapabilities } from '../../src/host/capabilities.ts';
import { armVariant, goArchitecture, readIdentity } from '../../src/host/identity.ts';

describe('identity', () => {
  it.each([
    ['x64', 'LE', 'amd64'],
    ['ia32', 'LE', '386'],
    ['arm64', 'LE', 'arm64'],
    ['arm', 'LE', 'arm'],
    ['ppc64', 'LE', 'ppc64le'],
    ['ppc64', 'BE', 'ppc64'],
    ['s390x', 'BE', 's390x'],
    ['riscv64', 'LE', 'riscv64'],
  ] as const)('spells %s (%s) as %s', (arch, order, expected) => {
    expect(goArchitecture(arch, order)).toBe(expected);
  });

  it.each([
    ['armv5tel', 'v5'],
    ['armv6l', 'v6'],
    ['armv7l', 'v7'],
    ['armv8l', 'v7'],
    ['aarch64', 'v7'],
  ])('takes %s for %s', (machine, variant) => {
    expect(armVariant(machine)).toBe(variant);
  });

  it('knows who we are', () => {
    const identity = readIdentity();
    expect(identity.uid).toBe(process.getuid?.());
    expect(identity.gid).toBe(process.getgid?.());
    expect(identity.variant === undefined).toBe(identity.architecture !== 'arm');
  });
});

describe('capabilities', () => {
  it('are named in the order of their numbers, up to the last of the kernel', () => {
    expect(capabilitiesUpTo(1)).toEqual(['CAP_CHOWN', 'CAP_DAC_OVERRIDE']);
    const all = capabilitiesUpTo(40);
    expect(all).toHaveLength(41);
    expect(all[8]).toBe('CAP_SETPCAP');
    expect(all[21]).toBe('CAP_SYS_ADMIN');
    expect(all[37]).toBe('CAP_AUDIT_READ');
    expect(all[40]).toBe('CAP_CHECKPOINT_RESTORE');
    expect(capabilitiesUpTo(63)).toEqual(all);
  });

  it('are those of the running kernel', async () => {
    const names = await readKernelCapabilities();
    expect(names[0]).toBe('CAP_CHOWN');
    expect(names.length).toBeGreaterThan(30);
  });
});
