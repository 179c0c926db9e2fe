/** What the host's registries.conf says of an image: where it may be had, and how those places are spoken to. */
import {
  endpointsFor,
  pushEndpointFor,
  type Endpoint,
  type Endpoints,
  type RegistriesConf,
} from '../../config/registries-conf/index.ts';
import { AtomicError } from '../../errors.ts';
import type { RegistryImage } from '../../image/reference.ts';
import type { RegistryOptions } from './options.ts';

/** A repository of a registry, and which of its images. */
export type NamedImage = Pick<RegistryImage, 'domain' | 'repository'> &
  Partial<Pick<RegistryImage, 'tag' | 'digest'>>;

export interface Place {
  readonly image: NamedImage;
  readonly mirror: boolean;
  /** Those of the caller as far as they are meant for it. */
  readonly options: RegistryOptions;
}

/**
 * Where an image is read from: its mirrors, then its location, which may be another one than its name says.
 * @throws AtomicError `denied` when it is blocked; `config-invalid`
 */
export async function readingPlaces(image: NamedImage, options: RegistryOptions): Promise<readonly Place[]> {
  return choose(image, options, endpointsFor);
}

/**
 * What a name itself stands for: what is written there, listed and deleted.
 * @throws AtomicError `denied` when it is blocked; `config-invalid`
 */
export async function ownPlace(image: NamedImage, options: RegistryOptions): Promise<Place> {
  const [place] = await choose(image, options, pushEndpointFor);
  return place ?? { image, mirror: false, options };
}

async function choose(
  image: NamedImage,
  options: RegistryOptions,
  find: (
    image: Pick<RegistryImage, 'domain' | 'repository' | 'tag' | 'digest'>,
    conf: RegistriesConf,
  ) => Endpoints,
): Promise<readonly Place[]> {
  const { registries, ...rest } = options;
  if (registries === undefined) return [{ image, mirror: false, options }];
  const { domain, repository, tag, digest } = image;
  const { blocked, candidates } = find({ domain, repository, tag, digest }, await registries());
  if (blocked !== undefined) {
    throw new AtomicError('denied', `${blocked.file} blocks the registry ${blocked.prefix}`, {
      hint: 'Whoever administers this host forbids its images.',
    });
  }
  return candidates.map((endpoint) => ({
    image: endpoint,
    mirror: endpoint.mirror,
    options: optionsAt(endpoint, domain, rest),
  }));
}

/** Credentials, certificates and plain HTTP were given for the registry that the user named, and for no other. */
function optionsAt(
  { domain, insecure }: Endpoint,
  named: string,
  { credentials, certDir, plainHttp, tlsVerify = !insecure, ...shared }: RegistryOptions,
): RegistryOptions {
  if (domain !== named) return { ...shared, plainHttp: false, tlsVerify };
  return {
    ...shared,
    plainHttp,
    tlsVerify,
    ...(credentials && { credentials }),
    ...(certDir !== undefined && { certDir }),
  };
}
