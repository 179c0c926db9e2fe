import process from 'node:process';
import { AtomicError } from '../../errors.ts';
import { buildContainerPackage } from '../../app/build-package.ts';
import { installContainer, type InstallOutcome } from '../../app/install.ts';
import { PACKAGE_MODES, type PackageMode } from '../../app/package.ts';
import {
  openApp,
  readAccess,
  readHealth,
  readSet,
  requireOstree,
  settleMs,
  type CommandContext,
  type HealthFlags,
  type RegistryFlags,
} from './context.ts';
import { previewLines } from './preview.ts';

interface InstallFlags extends RegistryFlags, HealthFlags {
  readonly name?: string;
  readonly set: readonly string[];
  readonly runtime?: string;
  readonly rootfs?: string;
  readonly systemPackage: string;
  readonly storage?: string;
  readonly start: boolean;
  readonly settle?: number;
  readonly pull?: boolean;
  readonly dryRun?: boolean;
  readonly display?: boolean;
}

export async function runInstall(
  context: CommandContext,
  image: string,
  flags: InstallFlags,
): Promise<number> {
  requireOstree(flags.storage);
  const systemPackage = readPackageMode(flags.systemPackage);
  const dryRun = flags.dryRun === true || flags.display === true;
  const common = {
    image,
    name: flags.name,
    set: readSet(flags.set),
    runtime: flags.runtime,
    pull: flags.pull === true,
    access: readAccess(flags),
  };
  if (systemPackage === 'build') {
    if (dryRun)
      throw new AtomicError('usage', 'A package that is built is not installed: there is nothing to preview');
    if (flags.rootfs !== undefined)
      throw new AtomicError(
        'usage',
        'A package holds the tree of its image: it cannot be built with --rootfs',
      );
    const built = await buildContainerPackage(await openApp(context), { ...common, folder: process.cwd() });
    context.output.result(built, [`Generated rpm ${built.path}`]);
    return 0;
  }
  const outcome = await installContainer(await openApp(context), {
    ...common,
    rootfs: flags.rootfs,
    start: flags.start,
    settleMs: settleMs(flags.settle),
    health: readHealth(flags),
    systemPackage,
    dryRun,
  });
  return show(context, outcome);
}

/** @throws AtomicError `value-invalid`, in atomic's words */
function readPackageMode(text: string): PackageMode {
  const mode = PACKAGE_MODES.find((each) => each === text);
  if (mode !== undefined) return mode;
  throw new AtomicError(
    'value-invalid',
    "Invalid --system-package mode.  Accepted values: 'auto', 'build', 'no', 'yes'",
  );
}

function show({ output }: CommandContext, outcome: InstallOutcome): number {
  switch (outcome.kind) {
    case 'present':
      output.result({ name: outcome.name, installed: false, present: true }, [
        `${outcome.name} already present`,
      ]);
      return 0;
    case 'preview':
      output.result(outcome.preview, previewLines(outcome.preview));
      return 0;
    case 'ran-once':
      return outcome.exitCode;
    case 'installed': {
      const { name, image, digest, deployment, started, devicesLeftOut } = outcome;
      output.result(
        { name, installed: true, present: false, image, digest, deployment, started, devicesLeftOut },
        [],
      );
      return 0;
    }
  }
}
