import { AtomicError } from '../../errors.ts';
import { installContainer, type InstallOutcome } from '../../app/install.ts';
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
  checkSystemPackage(flags.systemPackage);
  const set = readSet(flags.set);
  const outcome = await installContainer(await openApp(context), {
    image,
    name: flags.name,
    set,
    runtime: flags.runtime,
    rootfs: flags.rootfs,
    start: flags.start,
    settleMs: settleMs(flags.settle),
    health: readHealth(flags),
    pull: flags.pull === true,
    dryRun: flags.dryRun === true || flags.display === true,
    access: readAccess(flags),
  });
  return show(context, outcome);
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

function checkSystemPackage(mode: string): void {
  if (!['auto', 'build', 'no', 'yes'].includes(mode)) {
    throw new AtomicError(
      'value-invalid',
      "Invalid --system-package mode.  Accepted values: 'auto', 'build', 'no', 'yes'",
    );
  }
  if (mode === 'auto' || mode === 'no') return;
  throw new AtomicError('unsupported', `--system-package=${mode}: packages are not built yet`, {
    hint: 'Install without a package: --system-package=no.',
  });
}
