import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { helloImage } from './support/images.ts';
import {
  CHECKOUTS,
  openStage,
  readInfo,
  REPOSITORY,
  takeSnapshot,
  UNITS,
  waitForPage,
  type Stage,
} from './support/stage.ts';

interface Preview {
  readonly name: string;
  readonly image: string;
  readonly digest: string;
  readonly files: readonly { readonly path: string; readonly mode: string; readonly content: string }[];
  readonly steps: readonly string[];
}

const UUID = /[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/g;
const v1 = helloImage();
let stage: Stage;
let image: string;

async function preview(...args: string[]): Promise<Preview> {
  const text = await stage.succeed('--json', ...args);
  return JSON.parse(text) as Preview;
}

/** What may differ between two renderings: the drawn UUID, and the time. */
function settle(content: string): string {
  return content.replace(UUID, 'UUID').replace(/"created": \d+/, '"created": 0');
}

/** Every file of a preview is on the host as it says, and its deployment has no other. */
async function expectWritten({ name, files }: Preview, slot: 0 | 1): Promise<void> {
  for (const { path, mode, content } of files) {
    expect(await stage.run('stat', '-c', '%a', path)).toBe(mode.replace(/^0/, ''));
    expect(settle(await stage.host.readFile(path))).toBe(settle(content));
  }
  const written = await stage.shell(`find ${CHECKOUTS}/${name}.${slot} -maxdepth 1 -type f | sort`);
  const deployment = files.map(({ path }) => path).filter((path) => path.startsWith(CHECKOUTS));
  expect(written.split('\n')).toEqual(deployment.sort());
}

beforeAll(async () => {
  stage = await openStage();
  image = await stage.push(v1, 'hello');
});
afterAll(() => stage.close());

describe('a dry run', () => {
  let before: string;
  beforeAll(async () => {
    before = await takeSnapshot(stage);
  });

  it('of an installation is a document of what would be written, and changes nothing but the store', async () => {
    const planned = await preview('install', image, '--name', 'dry', '--dry-run');
    expect(await takeSnapshot(stage)).toBe(before);
    expect(await stage.run('ostree', `--repo=${REPOSITORY}`, 'refs', '--list', 'ociimage')).toContain(
      'localhost_3A5000_2Fhello_3Alatest',
    );
    expect(Object.keys(planned)).toEqual(['name', 'image', 'digest', 'files', 'steps']);
    expect(planned).toMatchObject({ name: 'dry', image, digest: v1.digest });
    for (const file of planned.files) expect(Object.keys(file)).toEqual(['path', 'mode', 'content']);
    expect(planned.files.map(({ path, mode }) => [path, mode])).toEqual([
      [`${CHECKOUTS}/dry.0/config.json`, '0644'],
      [`${CHECKOUTS}/dry.0/dry.service`, '0644'],
      [`${CHECKOUTS}/dry.0/tmpfiles-dry.conf`, '0644'],
      [`${CHECKOUTS}/dry.0/info`, '0644'],
      [`${UNITS}/dry.service`, '0644'],
      ['/etc/tmpfiles.d/dry.conf', '0644'],
    ]);
    expect(planned.steps).toEqual(
      expect.arrayContaining([
        `place the deployment ${CHECKOUTS}/dry.0`,
        `write ${UNITS}/dry.service`,
        `point ${CHECKOUTS}/dry at ${CHECKOUTS}/dry.0`,
        'systemctl daemon-reload',
        'systemd-tmpfiles --create /etc/tmpfiles.d/dry.conf',
        'systemctl enable dry',
        'systemctl start dry',
      ]),
    );

    await stage.succeed('install', image, '--name', 'dry');
    await expectWritten(planned, 0);
  });

  it('of an update shows the other deployment, and the service runs on as it was', async () => {
    const running = await takeSnapshot(stage);
    const pid = await stage.run('systemctl', 'show', '-P', 'MainPID', 'dry');
    const planned = await preview('update', 'dry', '--set', 'RECEIVER=Universe', '--dry-run');
    expect(await takeSnapshot(stage)).toBe(running);
    expect(await stage.run('systemctl', 'show', '-P', 'MainPID', 'dry')).toBe(pid);
    await waitForPage(stage, 'http://localhost:8081/', 'Hi World');
    const config = planned.files.find(({ path }) => path === `${CHECKOUTS}/dry.1/config.json`);
    expect(config?.content).toContain('RECEIVER=Universe');
    expect(planned.steps).toEqual(expect.arrayContaining(['systemctl stop dry', 'systemctl start dry']));

    await stage.succeed('update', 'dry', '--set', 'RECEIVER=Universe');
    await expectWritten(planned, 1);
    // The UUID of an installed container is not drawn again.
    expect(config?.content).not.toContain('undefined');
    const info = planned.files.find(({ path }) => path.endsWith('/info'));
    expect(JSON.parse(info?.content ?? '')).toMatchObject({
      values: { UUID: (await readInfo(stage, 'dry')).values['UUID'] },
    });
  });

  it('of an uninstallation lists its steps, with --display as well', async () => {
    const running = await takeSnapshot(stage);
    for (const option of ['--dry-run', '--display']) {
      const lines = (await stage.succeed('uninstall', 'dry', option)).split('\n').slice(0, -1);
      expect(lines.at(-1)).toBe('Nothing was changed.');
      expect(lines).toEqual(
        expect.arrayContaining([
          'systemctl disable --now dry',
          `remove ${UNITS}/dry.service`,
          'systemctl daemon-reload',
          'systemd-tmpfiles --remove /etc/tmpfiles.d/dry.conf',
          'remove /etc/tmpfiles.d/dry.conf',
          `remove ${CHECKOUTS}/dry`,
          `remove ${CHECKOUTS}/dry.0`,
          `remove ${CHECKOUTS}/dry.1`,
        ]),
      );
      expect(await takeSnapshot(stage)).toBe(running);
    }
    await stage.succeed('uninstall', 'dry');
    await stage.run('rmdir', '/run/dry');
    expect(await takeSnapshot(stage)).toBe(before);
  });

  it('reads well: the steps, then each file with its content', async () => {
    const text = await stage.succeed('install', image, '--name', 'dry', '--display');
    expect(text.split('\n').slice(0, 4)).toEqual([
      `Extracting to ${CHECKOUTS}/dry.0`,
      `dry: ${image} (${v1.digest})`,
      '',
      'Steps:',
    ]);
    expect(text).toMatch(/^ {2}systemctl start dry$/m);
    expect(text).toContain(
      `\n${UNITS}/dry.service (0644):\n  [Unit]\n  Description=Says hi over HTTP (dry)\n`,
    );
    expect(text).toMatch(/\n\nNothing was changed\.\n$/);
    expect(await takeSnapshot(stage)).toBe(before);
  });

  it('fails where the real thing would', async () => {
    const broken = helloImage({ exports: { 'config.json.template': '{"$NOBODY": 1}' } });
    const layout = stage.addLayout('broken', { image: broken });
    const { code, stderr } = await stage.atomic(['install', layout, '--name', 'dry', '--dry-run']);
    expect(code).toBe(1);
    expect(stderr).toContain("''NOBODY''");
    expect(await takeSnapshot(stage)).toBe(before);
  });
});
