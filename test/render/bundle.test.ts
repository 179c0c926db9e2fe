import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { EMPTY_MANIFEST } from '../../src/container/exports-manifest.ts';
import { readExports } from '../../src/container/exports.ts';
import { substitute } from '../../src/render/substitute.ts';
import { renderDeployment, type DeploymentInput, type RenderedDeployment } from '../../src/render/bundle.ts';
import { deploymentInput, imageConfig, imageFacts, valuesContext } from './deployment-input.ts';

const FIXTURES = join(import.meta.dirname, 'fixtures/exports');

async function renderFixture(
  name: string,
  changes: Partial<DeploymentInput> = {},
): Promise<RenderedDeployment> {
  const root = mkdtempSync(join(tmpdir(), 'bundle-'));
  try {
    cpSync(join(FIXTURES, name), join(root, 'exports'), { recursive: true });
    return renderDeployment(deploymentInput({ exports: await readExports(root), ...changes }));
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

const fileOf = (rendered: RenderedDeployment, path: string): string | undefined =>
  rendered.files.find((file) => file.path === path)?.content;

describe('renderDeployment', () => {
  it('leaves a configuration that needs no change byte for byte as the template rendered it', async () => {
    const set = {
      ADDTL_MOUNTS: ',{"type": "bind", "source": "/a", "destination": "/a", "options": ["rbind"]}',
    };
    const rendered = await renderFixture('behind-the-brace', { values: valuesContext({ set }) });
    const template = readFileSync(join(FIXTURES, 'behind-the-brace/config.json.template'), 'utf8');
    expect(fileOf(rendered, 'config.json')).toBe(substitute(template, 'P', rendered.values));
    expect(rendered.warnings).toEqual([]);
    expect(rendered.spec?.['mounts']).toHaveLength(4);
    expect(fileOf(rendered, 'tmpfiles-x.conf')).toBe('d    /var/lib/keeper/x.data   0700 0 0 - -\n');
    expect(rendered.renameFiles).toEqual({
      '/etc/keeper/keeper.conf': '/etc/x/keeper.conf',
      '/usr/local/bin/keeperctl': '/usr/local/bin/xctl',
    });
    expect(fileOf(rendered, 'x.service')).toContain("ExecStart=/usr/bin/runc --systemd-cgroup run 'x'\n");
  });

  it('brings a configuration from before 1.0 up to date, and writes the unit as atomic did', async () => {
    const rendered = await renderFixture('old-spec');
    expect(rendered.spec).toMatchObject({
      ociVersion: '1.0.2',
      process: { env: ['PORT=8081', 'UUID=5e0cc1d8-756b-4e2c-955b-e3613ffe6797'], rlimits: [{ hard: 1024 }] },
    });
    expect(rendered.warnings).toHaveLength(5);
    expect(fileOf(rendered, 'config.json')).toBe(JSON.stringify(rendered.spec, null, 4));
    expect(rendered.values).toMatchObject({ VERBOSE: 'True', NOTHING: 'None' });
    expect(fileOf(rendered, 'x.service')).toBe(`[Unit]
Description=Old

[Service]
ExecStartPre=
ExecStart=/usr/bin/runc  --systemd-cgroup run -d --pid-file /run/container-x.pid 'x'
ExecStop=
ExecStopPost=/usr/bin/runc delete 'x'
Restart=on-crash
WorkingDirectory=/c/x.0
PIDFile=/run/container-x.pid

[Install]
WantedBy=multi-user.target
`);
  });

  it('writes no tmpfiles configuration for an empty template, missing sources or not', async () => {
    const rendered = await renderFixture('old-spec', { sourceMissing: () => true });
    expect(rendered.files.map(({ role }) => role)).toEqual(['config', 'unit']);
  });

  it('forks by its own unit where a configuration comes without one', async () => {
    const rendered = await renderFixture('list-of-capabilities');
    expect(fileOf(rendered, 'x.service')).toContain('Type=forking\n');
    expect(rendered.values['EXEC_STOPPOST']).toBe("/usr/bin/runc delete 'x'");
    expect(rendered.warnings).toHaveLength(3);
  });

  it.each(['/usr/sbin/runc', '/usr/bin/crun'])(
    'has units of all kinds run by %s: an image’s, the one for a configuration, the one for none',
    async (runtime) => {
      const values = valuesContext({ runtime });
      const lines = async (fixture?: string): Promise<string[]> => {
        const rendered =
          fixture === undefined
            ? renderDeployment(deploymentInput({ values }))
            : await renderFixture(fixture, { values });
        expect(rendered.values).toMatchObject({ RUNTIME: runtime });
        const unit = fileOf(rendered, 'x.service') ?? '';
        return unit.split('\n').filter((line) => /^Exec\w+=./.test(line));
      };
      const detached = [
        `ExecStart=${runtime}  --systemd-cgroup run -d --pid-file /run/container-x.pid 'x'`,
        `ExecStopPost=${runtime} delete 'x'`,
      ];
      expect(await lines('old-spec')).toEqual(detached);
      expect(await lines('list-of-capabilities')).toEqual(detached);
      expect(await lines()).toEqual([
        `ExecStart=${runtime} --systemd-cgroup run 'x'`,
        `ExecStopPost=-${runtime} delete --force 'x'`,
      ]);
      expect(await lines('engine')).toContain(`ExecStop=${runtime} --systemd-cgroup kill 'x'`);
    },
  );

  it('stays attached with a runtime that cannot detach', async () => {
    const runtimeFeatures = { systemdCgroup: false, pidFile: false };
    const values = valuesContext({ runtime: '/bin/rt', runtimeFeatures });
    const unit = fileOf(await renderFixture('list-of-capabilities', { values }), 'x.service');
    expect(unit).toContain("ExecStart=/bin/rt run 'x'\n");
    expect(unit).not.toContain('forking');
  });

  it('renders nothing to run for host files only, even when the image names no command', async () => {
    const rendered = await renderFixture('host-files', { config: imageConfig({ cmd: [] }) });
    expect(rendered).toMatchObject({ files: [], spec: undefined, hasService: false });
  });

  it('renders the configuration that an image of host files brings, but no unit', () => {
    const configJson =
      '{"process":{"args":["x"],"cwd":"/"},"root":{"path":"rootfs","readonly":true},"linux":{"namespaces":[{"type":"mount"}]},"ociVersion":"1.0.0"}';
    const manifest = { ...EMPTY_MANIFEST, noContainerService: true };
    const exports = { present: true, configJson, tmpfilesTemplate: 'd /run/$NAME', manifest };
    const rendered = renderDeployment(deploymentInput({ exports }));
    expect(rendered.files).toEqual([
      { role: 'config', path: 'config.json', mode: 0o644, content: configJson },
      { role: 'tmpfiles', path: 'tmpfiles-x.conf', mode: 0o644, content: 'd /run/x' },
    ]);
  });

  it('fills an unquoted list of capabilities in, keeps hooks, repairs seccomp and drops labels', async () => {
    const rendered = await renderFixture('hooks');
    expect(rendered.spec).toMatchObject({
      process: { capabilities: { bounding: valuesContext().allCapabilities } },
      hooks: {
        // It reads what the runtime writes to it: one that does not may end before, and crun takes that for a failure.
        prestart: [{ path: '/bin/sh', args: ['sh', '-c', 'cat >/dev/null', 'x'] }],
        poststop: null,
      },
      linux: { seccomp: { syscalls: [{ names: ['kexec_load'] }] } },
    });
    expect(rendered.warnings).toHaveLength(2);
    expect(fileOf(rendered, 'x.service')).toContain('KillSignal=SIGRTMIN+3\n');
  });

  it('leaves shells their dollars', async () => {
    const rendered = await renderFixture('dollars');
    expect(rendered.spec).toMatchObject({ process: { args: ['/bin/sh', '-c', 'echo $HOME ${NAME} x'] } });
    expect(fileOf(rendered, 'x.service')).toContain(`"[ -n '$(ls /var/lib/*/assets/*`);
  });

  it('names the file and the variable that must be set, and takes it from --set', async () => {
    await expect(renderFixture('shell-unit')).rejects.toMatchObject({
      code: 'variable-unset',
      message:
        "The template file '/c/x.0/rootfs/exports/config.json.template' still contains an unreplaced value for: ''MUST_BE_SET''",
      hint: 'Set it with --set MUST_BE_SET=VALUE.',
    });
    const rendered = await renderFixture('shell-unit', {
      values: valuesContext({ set: { MUST_BE_SET: '1' } }),
    });
    expect(fileOf(rendered, 'x.service')).toContain(
      "After=keeper.service\n\n[Service]\nType=notify\nExecStartPre=/bin/bash -c 'export -p > /run/x-env'\n",
    );
  });

  it('refuses a value that breaks the JSON, and says where to look', async () => {
    const values = valuesContext({ set: { MUST_BE_SET: '"' } });
    await expect(renderFixture('shell-unit', { values })).rejects.toMatchObject({
      code: 'spec-invalid',
      hint: expect.stringContaining('--set'),
    });
  });

  it('runs an ordinary image attached, with its stop signal and its volumes', () => {
    const config = imageConfig({ volumes: ['/data'], stopSignal: 'SIGQUIT' });
    const rendered = renderDeployment(deploymentInput({ config, facts: imageFacts({ '/data': {} }) }));
    expect(rendered.values).toMatchObject({
      EXEC_START: "/usr/bin/runc --systemd-cgroup run 'x'",
      EXEC_STOPPOST: '',
    });
    expect(fileOf(rendered, 'x.service')).toContain('KillSignal=SIGQUIT\n');
    expect(fileOf(rendered, 'x.service')).not.toContain('forking');
    expect(fileOf(rendered, 'tmpfiles-x.conf')).toBe('C    /var/lib/x/data   - - - - /c/x.0/rootfs/data\n');
    expect(JSON.parse(fileOf(rendered, 'config.json') ?? '')).toEqual(rendered.spec);
  });

  it('points a configuration at a root elsewhere, and changes no number on the way', async () => {
    const rendered = await renderFixture('behind-the-brace', { remote: true, rootfs: '/else/rootfs' });
    expect(rendered.spec?.['root']).toEqual({ path: '/else/rootfs', readonly: true });
    expect(fileOf(rendered, 'config.json')).toContain('"hard": 18446744073709551615,');
  });

  it('prefers config.json to its template', () => {
    const configJson =
      '{"ociVersion":"1.0.0","process":{"args":["$X"],"cwd":"/"},"root":{"path":"rootfs","readonly":true},"linux":{"namespaces":[{"type":"mount"}]}}';
    const exports = { present: true, configJson, configTemplate: '$UNSET', manifest: EMPTY_MANIFEST };
    expect(fileOf(renderDeployment(deploymentInput({ exports })), 'config.json')).toBe(configJson);
  });

  it('names manifest.json when a renamed file’s variable is unset', () => {
    const manifest = { ...EMPTY_MANIFEST, renameFiles: { '/a': '/$NOPE' } };
    expect(() => renderDeployment(deploymentInput({ exports: { present: true, manifest } }))).toThrow(
      "The template file 'manifest.json' still contains an unreplaced value for: ''NOPE''",
    );
  });
});
