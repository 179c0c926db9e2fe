import type { RegistryAccess } from '../../app/pull-image.ts';
import { readAccess, type RegistryFlags } from './context.ts';

export interface RemoteFlags extends Omit<RegistryFlags, 'creds'> {
  /** False for --no-creds. */
  readonly creds?: string | false;
  readonly retryTimes?: number;
  readonly daemonHost?: string;
}

/** How the one place of a command is spoken to. */
export function readRemoteAccess({ creds, retryTimes, daemonHost, ...flags }: RemoteFlags): RegistryAccess {
  return {
    ...readAccess(typeof creds === 'string' ? { ...flags, creds } : flags),
    ...(creds === false ? { anonymous: true } : {}),
    ...(retryTimes === undefined ? {} : { tries: retryTimes + 1 }),
    ...(daemonHost === undefined ? {} : { daemonHost }),
  };
}
