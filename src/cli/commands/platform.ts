import type { Platform } from '../../image/platform.ts';

export interface PlatformFlags {
  readonly overrideOs?: string;
  readonly overrideArch?: string;
  readonly overrideVariant?: string;
}

/** The parts of a platform that were given in place of this machine's. */
export function readPlatform({
  overrideOs: os,
  overrideArch: architecture,
  overrideVariant: variant,
}: PlatformFlags): Partial<Platform> {
  return {
    ...(os === undefined ? {} : { os }),
    ...(architecture === undefined ? {} : { architecture }),
    ...(variant === undefined ? {} : { variant }),
  };
}
