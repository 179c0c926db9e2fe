import { copyBetween } from '../../app/copy-image.ts';
import { openTransfer, readAccess, type CommandContext, type RegistryFlags } from './context.ts';

interface CopyFlags extends RegistryFlags {
  readonly destCreds?: string;
  readonly destTlsVerify?: boolean;
}

export async function runCopy(
  context: CommandContext,
  source: string,
  destination: string,
  flags: CopyFlags,
): Promise<void> {
  const { destCreds, destTlsVerify, creds: _creds, tlsVerify: _tlsVerify, ...shared } = flags;
  const toDestination = {
    ...shared,
    ...(destCreds === undefined ? {} : { creds: destCreds }),
    ...(destTlsVerify === undefined ? {} : { tlsVerify: destTlsVerify }),
  };
  const app = await openTransfer(context);
  const outcome = await copyBetween(app, {
    source,
    destination,
    from: readAccess(flags),
    to: readAccess(toDestination),
  });
  const { digest, copied, present } = outcome;
  context.output.result({ source, destination, digest, copied, present }, [
    `Copied ${source} to ${destination} (${digest}): ${copied} blobs, ${present} were there`,
  ]);
}
