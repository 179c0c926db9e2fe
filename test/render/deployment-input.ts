import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { EMPTY_MANIFEST } from '../../src/container/exports-manifest.ts';
import type { DirectoryFact, ImageFacts } from '../../src/container/image-facts.ts';
import { parseContainerName } from '../../src/container/name.ts';
import type { ValuesContext } from '../../src/container/values.ts';
import type { ImageConfig } from '../../src/image/config.ts';
import { parseHealthcheck } from '../../src/image/health-check.ts';
import type { DeploymentInput } from '../../src/render/bundle.ts';
import type { Templates } from '../../src/render/own-template.ts';

const TEMPLATES = join(import.meta.dirname, '../../templates');

export const templates: Templates = {
  service: readFileSync(join(TEMPLATES, 'service.ejs'), 'utf8'),
  tmpfiles: readFileSync(join(TEMPLATES, 'tmpfiles.ejs'), 'utf8'),
};

/** Linux 6.1's, in the kernel's order. */
export const KERNEL_CAPABILITIES = `
  CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE
  NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN
  SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE
  MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE`
  .trim()
  .split(/\s+/)
  .map((name) => `CAP_${name}`);

export function imageConfig(changes: Partial<ImageConfig> = {}): ImageConfig {
  return {
    architecture: 'amd64',
    healthCheck: parseHealthcheck(undefined),
    os: 'linux',
    variant: undefined,
    created: undefined,
    diffIds: [],
    entrypoint: [],
    cmd: ['/bin/serve'],
    env: [],
    user: '',
    workingDir: '',
    volumes: [],
    stopSignal: undefined,
    labels: {},
    ...changes,
  };
}

export function imageFacts(
  directories: Readonly<Record<string, Partial<DirectoryFact>>> = {},
  passwd?: string,
): ImageFacts {
  return {
    accounts: { passwd, group: undefined },
    directories: new Map(
      Object.entries(directories).map(([path, fact]) => [
        path,
        { realPath: path, linked: false, mode: 0o755, uid: 0, gid: 0, ...fact },
      ]),
    ),
  };
}

export function valuesContext(changes: Partial<ValuesContext> = {}): ValuesContext {
  return {
    runtime: '/usr/bin/runc',
    runtimeFeatures: { systemdCgroup: true, pidFile: true },
    imageName: 'docker.io/x',
    imageId: 'a343',
    set: {},
    identity: { uid: 0, gid: 0 },
    directories: { run: '/run', conf: '/etc', state: '/var/lib' },
    allCapabilities: KERNEL_CAPABILITIES,
    program: '/usr/bin/atomic-ts',
    uuid: () => '5e0cc1d8-756b-4e2c-955b-e3613ffe6797',
    ...changes,
  };
}

/** An ordinary image on a host that has every file it is asked for. */
export function deploymentInput(changes: Partial<DeploymentInput> = {}): DeploymentInput {
  const name = parseContainerName('x');
  return {
    name,
    deploymentDirectory: `/c/${name}.0`,
    rootfs: `/c/${name}.0/rootfs`,
    remote: false,
    exports: { present: false, manifest: EMPTY_MANIFEST },
    config: imageConfig(),
    facts: imageFacts(),
    values: valuesContext(),
    selinux: false,
    sourceMissing: () => false,
    templates,
    ...changes,
  };
}
