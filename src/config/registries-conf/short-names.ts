import { parseRegistryImage, type RegistryImage } from '../../image/reference.ts';
import type { Alias, RegistriesConf } from './conf.ts';

/** What a name without a registry stands for. */
export interface ShortName {
  /** In the order in which they are tried; the name itself, which is Docker Hub's, when nothing is configured. */
  readonly images: readonly RegistryImage[];
  /** What decided it, if that was an alias. */
  readonly alias: Alias | undefined;
  /** Whether a person has to say which of them is meant. */
  readonly isAmbiguous: boolean;
}

/**
 * Looks a short name up: an alias stands for it alone, else it may be in any of the search registries. Tag and digest
 * are kept. Pure.
 * @throws AtomicError `reference-invalid` when there can be no such image in one of the registries
 * @see containers-registries.conf(5), "Short-Name Aliasing"
 */
export function readShortName(image: RegistryImage, conf: RegistriesConf): ShortName {
  const [short = '', suffix = ''] = splitSuffix(image.given);
  const alias = conf.aliases.get(short);
  if (alias?.name !== undefined) {
    return { images: [parseRegistryImage(`${alias.name}${suffix}`)], alias, isAmbiguous: false };
  }
  const { searchRegistries, shortNameMode } = conf;
  if (searchRegistries.length === 0) return { images: [image], alias: undefined, isAmbiguous: false };
  return {
    images: searchRegistries.map((registry) => parseRegistryImage(`${registry}/${image.given}`)),
    alias: undefined,
    isAmbiguous: shortNameMode === 'enforcing' && searchRegistries.length > 1,
  };
}

/** A name, and its `[:tag][@digest]`. */
function splitSuffix(given: string): string[] {
  return /^([^:@]*)(.*)$/s.exec(given)?.slice(1) ?? [];
}
