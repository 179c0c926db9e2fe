import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { getContainer } from '../../src/app/containers.ts';
import { diagnoseContainers } from '../../src/app/drift/diagnose-containers.ts';
import { findPreinstalled, listPreinstalled, refusePreinstalled } from '../../src/app/preinstalled.ts';
import { parseContainerName } from '../../src/container/name.ts';
import { createListHost, writeContainer, writeDeployment, type ListHost } from './list-host.ts';

let folder: string;
let host: ListHost;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'preinstalled-'));
  host = createListHost(folder);
  const { preinstalled } = host.app.paths;
  writeDeployment(join(preinstalled, 'plain'), { image: 'quay.io/plain' });
  writeDeployment(join(preinstalled, 'linked.0'));
  symlinkSync('linked.0', join(preinstalled, 'linked'));
  // As names go, redis-7.0 is one of its own.
  writeDeployment(join(preinstalled, 'redis-7.0'));
  mkdirSync(join(preinstalled, 'empty'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

describe('containers of the operating system', () => {
  it('are folders, and links to deployments, each once', async () => {
    const { preinstalled } = host.app.paths;
    const found = await listPreinstalled(host.app);
    expect(found.map(({ name, path }) => [name, path])).toEqual([
      ['linked', join(preinstalled, 'linked.0')],
      ['plain', join(preinstalled, 'plain')],
      ['redis-7.0', join(preinstalled, 'redis-7.0')],
    ]);
    expect(host.warnings).toEqual([]);
  });

  it('are found by name', async () => {
    const plain = await findPreinstalled(host.app, parseContainerName('plain'));
    expect(plain?.info.image).toBe('quay.io/plain');
    expect(await findPreinstalled(host.app, parseContainerName('empty'))).toBeUndefined();
    expect(await findPreinstalled(host.app, parseContainerName('none'))).toBeUndefined();
  });

  it('are told of when their info cannot be read, and left out', async () => {
    writeFileSync(join(host.app.paths.preinstalled, 'plain/info'), '[');
    expect((await listPreinstalled(host.app)).map(({ name }) => name)).toEqual(['linked', 'redis-7.0']);
    expect(host.warnings).toHaveLength(1);
  });

  it('are refused to be changed, with what to do', async () => {
    const name = parseContainerName('plain');
    const refusal = {
      code: 'container-preinstalled',
      message: `Cannot update plain: it is part of the operating system (${join(host.app.paths.preinstalled, 'plain')})`,
      hint: expect.stringContaining('atomic-ts install --name OTHER quay.io/plain'),
    };
    await expect(getContainer(host.app, name, 'update')).rejects.toMatchObject(refusal);
    await expect(refusePreinstalled(host.app, 'update', name)).rejects.toMatchObject(refusal);
    await expect(refusePreinstalled(host.app, 'update', parseContainerName('none'))).resolves.toBeUndefined();
    await expect(getContainer(host.app, parseContainerName('none'))).rejects.toMatchObject({
      code: 'container-not-found',
    });
  });

  it('are judged with all others, and sent to the package manager', async () => {
    const { preinstalled } = host.app.paths;
    const path = join(preinstalled, 'plain');
    for (const name of ['linked.0', 'redis-7.0'])
      writeDeployment(join(preinstalled, name), { service: false });
    writeFileSync(join(path, 'plain.service'), '[Service]');
    const checks = await diagnoseContainers(host.app, { rootfs: true });
    expect(checks.map(({ name, status }) => [name, status])).toEqual([
      ['container linked', 'ok'],
      ['container plain', 'drift'],
      ['container redis-7.0', 'ok'],
    ]);
    expect(checks[1]).toMatchObject({
      found: 'unit: /usr/lib/systemd/system/plain.service is missing',
      advice: expect.stringContaining('part of the operating system'),
    });
  });

  it('give way to a container of the checkouts of the same name', async () => {
    const path = writeContainer(host.app.paths.checkouts, 'plain');
    const container = await getContainer(host.app, parseContainerName('plain'), 'update');
    expect(container.current.path).toBe(path);
  });
});
