/** `run`: a service, a command in a container, or an image once; which of them, the name and the command tell. */
import { AtomicError } from '../errors.ts';
import { defaultContainerName, isContainerName, type ContainerName } from '../container/name.ts';
import { processApart } from '../render/apart-spec.ts';
import { execProcess, locateRuntime } from '../service/oci-runtime.ts';
import type { App } from './context.ts';
import { requireRoot, withContainerLock } from './change.ts';
import { unableToFind } from './containers.ts';
import { findInstalled } from './find-installed.ts';
import { installContainer } from './install.ts';
import type { InstalledContainer } from './preinstalled.ts';
import { readReference, type RegistryAccess } from './pull-image.ts';
import { withTreeHeld } from './remote-rootfs.ts';
import { readSpec, runApart } from './run-once.ts';
import { startContainer } from './service-control.ts';
import { runtimeSources } from './runtime-sources.ts';

export interface RunRequest {
  /** A container's name, or an image. */
  readonly target: string;
  /** What a container that is made of an image is to be called. */
  readonly name: string | undefined;
  readonly command: readonly string[];
  readonly set: Readonly<Record<string, string>>;
  readonly runtime: string | undefined;
  /** Do not wait for the command. */
  readonly detach: boolean;
  /** Whether standard input and output are a terminal. */
  readonly terminal: boolean;
  readonly settleMs: number;
  readonly access: RegistryAccess;
}

export type RunOutcome =
  | { readonly kind: 'service'; readonly name: ContainerName; readonly wasRunning: boolean }
  | { readonly kind: 'ran'; readonly exitCode: number };

/**
 * Runs. A container without a command: its service is started. With one: in the container where it runs, else in one of
 * its own beside the service that is down. An image: once, fetched when the local storage has none of its name.
 * @throws AtomicError; how a command ends is no error but its exit status
 */
export async function run(app: App, request: RunRequest): Promise<RunOutcome> {
  requireRoot(app, 'run a system container');
  const container = await findTarget(app, request);
  if (container === undefined) return { kind: 'ran', exitCode: await runImage(app, request) };
  if (Object.keys(request.set).length > 0) {
    throw new AtomicError('usage', `--set is for a run of an image, and ${container.name} is installed`, {
      hint: `atomic-ts containers update --set … ${container.name} gives it other values.`,
    });
  }
  if (request.command.length > 0) {
    return { kind: 'ran', exitCode: await runCommand(app, container, request) };
  }
  const { unchanged } = await startContainer(app, container.name, request.settleMs);
  return { kind: 'service', name: container.name, wasRunning: unchanged };
}

/**
 * The container that is meant: by its name, or, as with atomic, by the image that it was made from and named after.
 * @throws AtomicError `file-exists` when another image's container has the name that a run would need
 */
async function findTarget(app: App, { target, name }: RunRequest): Promise<InstalledContainer | undefined> {
  const given = name ?? target;
  if (isContainerName(given)) {
    const container = await findInstalled(app, given);
    if (container !== undefined) return container;
  }
  const reference = readReference(target);
  if (name !== undefined || reference.transport !== 'docker') return undefined;
  const namesake = await findInstalled(app, defaultContainerName(reference.image.given));
  if (namesake === undefined || namesake.info.image === withoutLatest(reference.image.given)) return namesake;
  throw new AtomicError(
    'file-exists',
    `Cannot run ${target} as ${namesake.name}: that container is made of ${namesake.info.image}`,
    { hint: 'Choose another --name.' },
  );
}

function withoutLatest(image: string): string {
  return image.replace(/:latest$/, '');
}

async function runCommand(
  app: App,
  container: InstalledContainer,
  { command, detach, terminal, runtime }: RunRequest,
): Promise<number> {
  const { name, info } = container;
  const sources = runtimeSources(app, runtime ?? info.runtime);
  const program = await locateRuntime(app.exec, sources, `run a command in ${name}`);
  const isUp = async (): Promise<boolean> =>
    info.hasContainerService && (await app.services.state(name)).active;
  if (!(await isUp())) {
    if (detach) throw notDetached(`the service ${name} is down`);
    // Others may have started it while its lock was waited for.
    const exitCode = await withContainerLock(app, name, async () => {
      if (await isUp()) return undefined;
      const found = await findAgain(app, name);
      return withTreeHeld(app, found.info.remote, () =>
        runApart(quietly(app), found, program, { command, terminal }),
      );
    });
    if (exitCode !== undefined) return exitCode;
  }
  const { text, file } = await readSpec(app, container.path);
  const process = processApart(text, file, { command, terminal: terminal && !detach });
  const exitCode = await execProcess(app.exec, program, name, { process, detach });
  if (exitCode === 0 || !detach) return exitCode;
  throw new AtomicError('command-failed', `${program} could not start the command in ${name}`, {
    hint: 'Run it without --detach to see why.',
  });
}

/** Under its lock: an update may have moved it meanwhile. */
async function findAgain(app: App, name: ContainerName): Promise<InstalledContainer> {
  const container = await findInstalled(app, name);
  if (container === undefined) throw unableToFind(name);
  return container;
}

async function runImage(app: App, request: RunRequest): Promise<number> {
  const { target, name, command, set, runtime, detach, terminal, settleMs, access } = request;
  if (detach) throw notDetached(`${target} is not installed`);
  const outcome = await installContainer(quietly(app), {
    image: target,
    name,
    set,
    runtime,
    rootfs: undefined,
    systemPackage: 'no',
    start: false,
    settleMs,
    health: undefined,
    pull: false,
    dryRun: false,
    access,
    once: { command, terminal },
  });
  if (outcome.kind === 'ran-once') return outcome.exitCode;
  // Installed by somebody else, while we were at it.
  throw new AtomicError('busy', `Cannot run ${target}: its name was taken meanwhile`, {
    hint: 'Run it again.',
  });
}

/** What is printed is the command's own: steps are not told of. */
function quietly(app: App): App {
  return { ...app, report: (event) => (event.event === 'step' ? undefined : app.report(event)) };
}

function notDetached(why: string): AtomicError {
  return new AtomicError('usage', `A command that is to be detached needs a service that runs: ${why}`, {
    hint: 'Install the image and start it, or leave --detach out.',
  });
}
