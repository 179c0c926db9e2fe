import { join } from 'node:path';
import { AtomicError } from '../errors.ts';
import type { ContainerName } from '../container/name.ts';
import { OWN_JSON_BYTES } from '../limits.ts';
import { specApart } from '../render/apart-spec.ts';
import type { Step } from '../transaction/plan.ts';
import type { App } from './context.ts';
import { carryOut } from './change.ts';
import { stagingFolder, tmpfilesPath } from './layout.ts';
import type { InstalledContainer } from './preinstalled.ts';
import { planRun } from './plan-change.ts';
import type { StagedDeployment } from './stage-deployment.ts';

/** A command for one run, and whether it is typed at a terminal. */
export interface OnceCommand {
  /** Empty: the image's own. */
  readonly command: readonly string[];
  readonly terminal: boolean;
}

/**
 * Runs an image once: in its staged bundle, on our terminal, with its tmpfiles made for that time. A transaction like any
 * other: what a run leaves that was killed with us, the next command takes away.
 * @param once what it was asked to run; undefined for an image that says so itself (label `atomic.run=once`)
 * @returns the container's exit status
 */
export async function runOnce(
  app: App,
  { name, stagedAt, tmpfiles }: StagedDeployment,
  runtime: string,
  once?: OnceCommand,
): Promise<number> {
  app.signal.throwIfAborted();
  if (once !== undefined) await writeApart(app, stagedAt, stagedAt, once);
  const file = tmpfiles === undefined ? undefined : join(stagedAt, tmpfiles.path);
  const bundle = { path: stagedAt, id: name, tmpfiles: file, keepTmpfiles: false };
  return runBundle(app, name, planRun(bundle, runtime));
}

/**
 * Runs a command in a container whose service is down: a bundle of its own, which shares the deployment's tree, under an id
 * of its own. The caller holds the container's lock, so that no update takes the tree away.
 * @returns the command's exit status
 */
export async function runApart(
  app: App,
  { name, path }: InstalledContainer,
  runtime: string,
  once: OnceCommand,
): Promise<number> {
  app.signal.throwIfAborted();
  const id = `${name}-run-${process.pid}`;
  const bundle = join(stagingFolder(app), `${name}.${process.pid}`);
  try {
    await app.files.makeDirectory(stagingFolder(app), 0o700);
    await app.files.makeDirectory(bundle, 0o700);
    await writeApart(app, path, bundle, once);
    // Made when it was installed and at each boot; whatever of it has gone since is made once more, and stays.
    const conf = tmpfilesPath(app, name);
    const tmpfiles = (await app.files.exists(conf)) ? conf : undefined;
    return await runBundle(app, name, planRun({ path: bundle, id, tmpfiles, keepTmpfiles: true }, runtime));
  } finally {
    await app.files.removeTree(bundle);
  }
}

/** The bundle's config.json for this run. */
async function writeApart(app: App, from: string, to: string, once: OnceCommand): Promise<void> {
  const { text, file } = await readSpec(app, from);
  const content = specApart(text, file, from === to ? once : { ...once, bundle: from });
  await app.files.writeFileAtomic(join(to, 'config.json'), content, 0o600, { fsync: false });
}

/** @throws AtomicError `spec-invalid` */
export async function readSpec(app: App, bundle: string): Promise<{ text: string; file: string }> {
  const file = join(bundle, 'config.json');
  const bytes = await app.files.readIfExists(file, OWN_JSON_BYTES);
  if (bytes !== undefined) return { text: bytes.toString('utf8'), file };
  throw new AtomicError('spec-invalid', `There is nothing to run: ${file} does not exist`, {
    hint: 'It only brings files to the host.',
  });
}

async function runBundle(app: App, name: ContainerName, steps: readonly Step[]): Promise<number> {
  let exitCode = 0;
  await carryOut(
    app,
    { action: 'run', container: name, steps },
    {
      // The terminal's signals are the container's: how it ends is its own affair.
      signal: new AbortController().signal,
      run: async (program, container, folder) => {
        exitCode = await app.exec.attach(program, ['run', container], { cwd: folder });
      },
    },
  );
  return exitCode;
}
