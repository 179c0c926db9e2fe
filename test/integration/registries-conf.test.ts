/** registries.conf between real registries: skopeo, given the same file, is the judge of where an image comes from. */
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { buildImage, writeOciLayout } from '../fixtures/image-builder.ts';
import { startRealRegistry, type RealRegistry } from '../registry/real-registry.ts';
import { useTempFolder } from '../fixtures/temp-folder.ts';

const PROGRAM = join(import.meta.dirname, '../../dist/atomic-ts.js');
const run = promisify(execFile);
const folder = useTempFolder();

let near: RealRegistry;
let far: RealRegistry;
let images: string;
/** Of the images that each registry has as `mirror/app:1` and `app:1`. */
let digests: { near: string; far: string };

beforeAll(async () => {
  images = mkdtempSync(join(tmpdir(), 'atomic-ts-registries.'));
  [near, far] = await Promise.all([startRealRegistry(), startRealRegistry()]);
  digests = {
    near: await push('near', `${near.host}/mirror/app:1`),
    far: await push('far', `${far.host}/app:1`),
  };
});
afterAll(async () => {
  await Promise.all([near.close(), far.close()]);
  rmSync(images, { recursive: true });
});

/** Pushes an image that has nothing but a file of its name, and tells its digest. */
async function push(name: string, target: string): Promise<string> {
  const layout = join(images, name);
  writeOciLayout(layout, [{ image: buildImage({ layers: [{ entries: [{ path: name }] }] }), tag: '1' }]);
  const digestFile = join(images, `${name}.digest`);
  const options = ['--insecure-policy', 'copy', '--dest-tls-verify=false', '--digestfile', digestFile];
  await run('skopeo', [...options, `oci:${layout}:1`, `docker://${target}`]);
  return readFileSync(digestFile, 'utf8').trim();
}

let conf: string;
beforeEach(() => {
  conf = join(folder(), 'registries.conf');
});

/** Us, by the configuration of the test. */
async function atomic(...args: string[]): Promise<{ stdout: string; stderr: string }> {
  const env = {
    PATH: process.env['PATH'],
    HOME: folder(),
    XDG_RUNTIME_DIR: folder(),
    CONTAINERS_REGISTRIES_CONF: conf,
    ATOMIC_OSTREE_CHECKOUT_PATH: join(folder(), 'atomic'),
    ATOMIC_CONF: join(folder(), 'atomic.conf'),
  };
  writeFileSync(join(folder(), 'atomic.conf'), '');
  return run(process.execPath, [PROGRAM, ...args], { env, timeout: 60_000 });
}

/** Which image is behind a name: for us, and for skopeo. */
async function find(name: string): Promise<{ ours: string; skopeos: string }> {
  const { stdout } = await atomic('--json', 'copy', `docker://${name}`, `dir:${join(folder(), 'copy')}`);
  const options = ['--registries-conf', conf, 'inspect', '--no-tags', '--format', '{{.Digest}}'];
  const judged = await run('skopeo', [...options, `docker://${name}`]);
  return {
    ours: (JSON.parse(stdout) as { digest: string }).digest,
    skopeos: judged.stdout.trim(),
  };
}

/** What both say to a name that neither may have. */
async function refusals(name: string): Promise<string[]> {
  const failures = [
    atomic('copy', `docker://${name}`, `dir:${join(folder(), 'copy')}`),
    run('skopeo', ['--registries-conf', conf, 'inspect', '--no-tags', `docker://${name}`]),
  ];
  return Promise.all(
    failures.map((failure) =>
      failure.then(
        () => 'it was found',
        (error: { readonly stderr: string }) => error.stderr,
      ),
    ),
  );
}

const both = (digest: string): { ours: string; skopeos: string } => ({ ours: digest, skopeos: digest });
const mirror = (more = ''): string =>
  `[[registry.mirror]]\nlocation = "${near.host}/mirror"\ninsecure = true\n${more}\n`;
const registry = (more = ''): string =>
  `[[registry]]\nprefix = "registry.test/team"\nlocation = "${far.host}"\ninsecure = true\n${more}\n`;

describe('an image of a registry that registries.conf knows', () => {
  it('comes from a mirror that has it, and else from the registry', async () => {
    writeFileSync(conf, registry() + mirror());
    expect(await find('registry.test/team/app:1')).toEqual(both(digests.near));
    expect(await find(`registry.test/team/app@${digests.far}`)).toEqual(both(digests.far));
  });

  it('comes from a mirror by tag or by digest, as that is for', async () => {
    writeFileSync(conf, registry() + mirror('pull-from-mirror = "digest-only"'));
    expect(await find('registry.test/team/app:1')).toEqual(both(digests.far));
    expect(await find(`registry.test/team/app@${digests.near}`)).toEqual(both(digests.near));
    writeFileSync(conf, registry() + mirror('pull-from-mirror = "tag-only"'));
    expect(await find('registry.test/team/app:1')).toEqual(both(digests.near));
    for (const refusal of await refusals(`registry.test/team/app@${digests.near}`))
      expect(refusal).toMatch(/manifest.unknown|no such image/i);
  });

  it('is refused where it is blocked', async () => {
    writeFileSync(conf, `[[registry]]\nlocation = "${far.host}"\ninsecure = true\nblocked = true\n`);
    const [ours, skopeos] = await refusals(`${far.host}/app:1`);
    expect(ours).toContain(`${conf} blocks the registry ${far.host}\n`);
    expect(skopeos).toContain(`registry ${far.host} is blocked in`);
    // skopeo asks again by the location alone; for us the name decides.
    writeFileSync(conf, registry('blocked = true'));
    const [rewritten] = await refusals('registry.test/team/app:1');
    expect(rewritten).toContain(`${conf} blocks the registry registry.test/team\n`);
  });

  it('is refused where the configuration is broken, by its line', async () => {
    writeFileSync(conf, '# nothing\n[[registry]\n');
    const [ours, skopeos] = await refusals('registry.test/team/app:1');
    expect(ours).toContain(`${conf}, line 2 is not valid TOML`);
    expect(skopeos).toContain('toml: line');
  });
});

describe('a short name', () => {
  const insecure = (): string =>
    `[[registry]]\nlocation = "${near.host}"\ninsecure = true\n[[registry]]\nlocation = "${far.host}"\ninsecure = true\n`;

  /** What is in the store: the names, and their digests. */
  async function stored(): Promise<string[]> {
    const { stdout } = await atomic('--json', 'images', 'list');
    return (JSON.parse(stdout) as { repo: string; tag: string }[]).map(({ repo, tag }) => `${repo}:${tag}`);
  }

  it('is pulled from the first search registry that has it, and stays its name', async () => {
    writeFileSync(conf, `unqualified-search-registries = ["${near.host}", "${far.host}"]\n${insecure()}`);
    const { stdout, stderr } = await atomic('pull', 'app:1');
    expect(stdout).toBe(`Pulled app:1 (${digests.far})\n`);
    expect(stderr).toContain(
      `The image \`app:1\` is not fully qualified: it is pulled from ${near.host}, else from ${far.host}\n`,
    );
    expect(await stored()).toEqual(['app:1']);
    expect((await atomic('pull', 'app:1')).stdout).toBe(`app:1 is up to date (${digests.far})\n`);
  });

  it('is pulled by its alias', async () => {
    writeFileSync(conf, `${insecure()}[aliases]\n"mine" = "${near.host}/mirror/app"\n`);
    expect((await atomic('pull', 'mine:1')).stdout).toBe(`Pulled mine:1 (${digests.near})\n`);
    // The registry that it came from is asked, not whatever the name means by now.
    writeFileSync(conf, insecure());
    expect((await atomic('images', 'update', 'mine:1')).stdout).toContain(digests.near);
  });

  it('is asked back where it may mean several, and nobody is there to choose', async () => {
    const enforcing = 'short-name-mode = "enforcing"\n';
    writeFileSync(conf, `unqualified-search-registries = ["a.test", "b.test"]\n${enforcing}`);
    await expect(atomic('pull', 'app:1')).rejects.toMatchObject({
      stderr: expect.stringContaining('The image `app:1` may be any of a.test/app:1, b.test/app:1\n'),
    });
  });
});
