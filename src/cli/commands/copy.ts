import { copyBetween, type CopyRequest } from '../../app/copy-image.ts';
import type { RegistryAccess } from '../../app/pull-image.ts';
import { AtomicError } from '../../errors.ts';
import { openTransfer, readAccess, type CommandContext, type RegistryFlags } from './context.ts';

type Wishes = NonNullable<CopyRequest['wishes']>;

interface CopyFlags extends RegistryFlags {
  readonly all?: boolean;
  readonly multiArch?: string;
  readonly overrideOs?: string;
  readonly overrideArch?: string;
  readonly overrideVariant?: string;
  readonly removeSignatures?: boolean;
  readonly format?: string;
  readonly preserveDigests?: boolean;
  readonly destCompress?: boolean;
  readonly destCompressFormat?: string;
  readonly destCompressLevel?: number;
  readonly destDecompress?: boolean;
  readonly digestfile?: string;
  readonly destCreds?: string;
  readonly srcAuthfile?: string;
  readonly destAuthfile?: string;
  readonly srcCertDir?: string;
  readonly destCertDir?: string;
  readonly srcTlsVerify?: boolean;
  readonly destTlsVerify?: boolean;
}

export async function runCopy(
  context: CommandContext,
  source: string,
  destination: string,
  flags: CopyFlags,
): Promise<void> {
  if (flags.destCompressFormat === 'zstd:chunked') {
    const text = 'zstd:chunked is written as plain zstd, which everything reads that reads zstd:chunked';
    context.output.report({ event: 'notice', text });
  }
  const request: CopyRequest = {
    source,
    destination,
    from: readSourceAccess(flags),
    to: readDestinationAccess(flags),
    which: readWhich(flags),
    wishes: readWishes(flags),
    platform: readPlatform(flags),
    removeSignatures: flags.removeSignatures === true,
    ...(flags.digestfile === undefined ? {} : { digestFile: flags.digestfile }),
  };
  const app = await openTransfer(context);
  const outcome = await copyBetween(app, request);
  const { digest, copied, present, converted, manifests } = outcome;
  const several = manifests > 1 ? `, ${manifests} manifests` : '';
  const changed = converted > 0 ? `, ${converted} recompressed` : '';
  context.output.result({ source, destination, ...outcome }, [
    `Copied ${source} to ${destination} (${digest}): ${copied} blobs, ${present} were there${changed}${several}`,
  ]);
}

/** What is given for one side outranks what is given for both. */
function readSourceAccess(flags: CopyFlags): RegistryAccess {
  const { creds, authfile, certDir, tlsVerify, srcAuthfile, srcCertDir, srcTlsVerify } = flags;
  return accessOf(creds, srcAuthfile ?? authfile, srcCertDir ?? certDir, srcTlsVerify ?? tlsVerify);
}

/** --creds are the source's: no registry is told another one's. */
function readDestinationAccess(flags: CopyFlags): RegistryAccess {
  const { destCreds, authfile, certDir, tlsVerify, destAuthfile, destCertDir, destTlsVerify } = flags;
  return accessOf(destCreds, destAuthfile ?? authfile, destCertDir ?? certDir, destTlsVerify ?? tlsVerify);
}

function accessOf(
  creds: string | undefined,
  authfile: string | undefined,
  certDir: string | undefined,
  tlsVerify: boolean | undefined,
): RegistryAccess {
  return readAccess({
    ...(creds === undefined ? {} : { creds }),
    ...(authfile === undefined ? {} : { authfile }),
    ...(certDir === undefined ? {} : { certDir }),
    ...(tlsVerify === undefined ? {} : { tlsVerify }),
  });
}

/** @throws AtomicError `usage` */
export function readWhich({ all, multiArch }: CopyFlags): NonNullable<CopyRequest['which']> {
  if (all === true && multiArch !== undefined) {
    throw new AtomicError('usage', '--all and --multi-arch cannot be given together');
  }
  if (all === true) return 'all';
  return multiArch === undefined
    ? 'system'
    : choice('--multi-arch', multiArch, ['system', 'all', 'index-only']);
}

/** @throws AtomicError `usage` */
export function readWishes(flags: CopyFlags): Wishes {
  const { format, preserveDigests, destCompressLevel: level } = flags;
  const layers = readLayers(flags);
  return {
    ...(format === undefined ? {} : { format: choice('--format', format, ['oci', 'v2s2']) }),
    ...(layers === undefined ? {} : { layers }),
    ...(level === undefined ? {} : { level }),
    preserveDigests: preserveDigests === true,
  };
}

function readLayers({ destCompress, destCompressFormat, destDecompress }: CopyFlags): Wishes['layers'] {
  const compresses = destCompress === true || destCompressFormat !== undefined;
  if (destDecompress === true) {
    if (!compresses) return 'none';
    throw new AtomicError('usage', '--dest-decompress and --dest-compress cannot be given together');
  }
  if (destCompressFormat === undefined) return compresses ? 'compressed' : undefined;
  const format = choice('--dest-compress-format', destCompressFormat, ['gzip', 'zstd', 'zstd:chunked']);
  return format === 'zstd:chunked' ? 'zstd' : format;
}

function readPlatform({
  overrideOs,
  overrideArch,
  overrideVariant,
}: CopyFlags): NonNullable<CopyRequest['platform']> {
  return {
    ...(overrideOs === undefined ? {} : { os: overrideOs }),
    ...(overrideArch === undefined ? {} : { architecture: overrideArch }),
    ...(overrideVariant === undefined ? {} : { variant: overrideVariant }),
  };
}

function choice<Word extends string>(option: string, given: string, words: readonly Word[]): Word {
  const word = words.find((each) => each === given);
  if (word !== undefined) return word;
  throw new AtomicError(
    'usage',
    `${option} takes ${words.slice(0, -1).join(', ')} or ${words.at(-1)}, not ${JSON.stringify(given)}`,
  );
}
