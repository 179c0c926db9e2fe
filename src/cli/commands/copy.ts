import { copyBetween, type CopyRequest } from '../../app/copy-image.ts';
import type { RegistryAccess } from '../../app/pull-image.ts';
import { AtomicError } from '../../errors.ts';
import { openTransfer, readAccess, type CommandContext, type RegistryFlags } from './context.ts';
import { readPlatform, type PlatformFlags } from './platform.ts';

type Wishes = NonNullable<CopyRequest['wishes']>;

export interface CopyFlags extends RegistryFlags, PlatformFlags {
  readonly all?: boolean;
  readonly multiArch?: string;
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
  readonly srcNoCreds?: boolean;
  readonly destNoCreds?: boolean;
  readonly srcDaemonHost?: string;
  readonly destDaemonHost?: string;
  readonly retryTimes?: number;
  readonly additionalTag?: readonly string[];
}

export async function runCopy(
  context: CommandContext,
  source: string,
  destination: string,
  flags: CopyFlags,
): Promise<void> {
  const request = readRequest(source, destination, flags);
  if (flags.destCompressFormat === 'zstd:chunked') {
    const text = 'zstd:chunked is written as plain zstd, which everything reads that reads zstd:chunked';
    context.output.report({ event: 'notice', text });
  }
  const app = await openTransfer(context);
  const outcome = await copyBetween(app, request);
  const { digest, copied, present, converted, manifests } = outcome;
  const several = manifests > 1 ? `, ${manifests} manifests` : '';
  const changed = converted > 0 ? `, ${converted} recompressed` : '';
  context.output.result({ source, destination, ...outcome }, [
    `Copied ${source} to ${destination} (${digest}): ${copied} blobs, ${present} were there${changed}${several}`,
  ]);
}

/** @throws AtomicError `usage` */
export function readRequest(source: string, destination: string, flags: CopyFlags): CopyRequest {
  return {
    source,
    destination,
    from: readSourceAccess(flags),
    to: readDestinationAccess(flags),
    which: readWhich(flags),
    wishes: readWishes(flags),
    platform: readPlatform(flags),
    removeSignatures: flags.removeSignatures === true,
    additionalTags: flags.additionalTag ?? [],
    ...(flags.digestfile === undefined ? {} : { digestFile: flags.digestfile }),
  };
}

/** What is given for one side outranks what is given for both. */
function readSourceAccess(flags: CopyFlags): RegistryAccess {
  return accessOf('src', flags, {
    creds: flags.creds,
    anonymous: flags.srcNoCreds,
    authfile: flags.srcAuthfile,
    certDir: flags.srcCertDir,
    tlsVerify: flags.srcTlsVerify,
    daemonHost: flags.srcDaemonHost,
  });
}

/** --creds are the source's: no registry is told another one's. */
function readDestinationAccess(flags: CopyFlags): RegistryAccess {
  return accessOf('dest', flags, {
    creds: flags.destCreds,
    anonymous: flags.destNoCreds,
    authfile: flags.destAuthfile,
    certDir: flags.destCertDir,
    tlsVerify: flags.destTlsVerify,
    daemonHost: flags.destDaemonHost,
  });
}

interface SideFlags {
  readonly creds: string | undefined;
  readonly anonymous: boolean | undefined;
  readonly authfile: string | undefined;
  readonly certDir: string | undefined;
  readonly tlsVerify: boolean | undefined;
  readonly daemonHost: string | undefined;
}

function accessOf(side: 'src' | 'dest', both: CopyFlags, own: SideFlags): RegistryAccess {
  const { creds, anonymous, daemonHost } = own;
  if (creds !== undefined && anonymous === true) {
    throw new AtomicError('usage', `--${side}-creds and --${side}-no-creds cannot be given together`);
  }
  const authfile = own.authfile ?? both.authfile;
  const certDir = own.certDir ?? both.certDir;
  const tlsVerify = own.tlsVerify ?? both.tlsVerify;
  return {
    ...readAccess({
      ...(creds === undefined ? {} : { creds }),
      ...(authfile === undefined ? {} : { authfile }),
      ...(certDir === undefined ? {} : { certDir }),
      ...(tlsVerify === undefined ? {} : { tlsVerify }),
    }),
    ...(anonymous === true ? { anonymous } : {}),
    ...(daemonHost === undefined ? {} : { daemonHost }),
    ...(both.retryTimes === undefined ? {} : { tries: both.retryTimes + 1 }),
  };
}

/** @throws AtomicError `usage` */
function readWhich({ all, multiArch }: CopyFlags): NonNullable<CopyRequest['which']> {
  if (all === true && multiArch !== undefined) {
    throw new AtomicError('usage', '--all and --multi-arch cannot be given together');
  }
  if (all === true) return 'all';
  return multiArch === undefined
    ? 'system'
    : choice('--multi-arch', multiArch, ['system', 'all', 'index-only']);
}

/** @throws AtomicError `usage` */
function readWishes(flags: CopyFlags): Wishes {
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

function choice<Word extends string>(option: string, given: string, words: readonly Word[]): Word {
  const word = words.find((each) => each === given);
  if (word !== undefined) return word;
  throw new AtomicError(
    'usage',
    `${option} takes ${words.slice(0, -1).join(', ')} or ${words.at(-1)}, not ${JSON.stringify(given)}`,
  );
}
