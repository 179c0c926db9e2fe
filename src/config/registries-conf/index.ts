/**
 * registries.conf: which registries of this host's configuration stand behind an image's name.
 *
 * read (which files) > parse (one file) > merge (one configuration) > endpoints (of an image), short-names.
 * @see containers-registries.conf(5), containers-registries.conf.d(5)
 */
export { endpointsFor, pushEndpointFor, type Block, type Endpoint, type Endpoints } from './endpoints.ts';
export {
  AUTH_FILE_HELPER,
  type Alias,
  type Mirror,
  type RegistriesConf,
  type RegistryTable,
  type ShortNameMode,
} from './conf.ts';
export { readRegistriesConf } from './read.ts';
export { readShortName, type ShortName } from './short-names.ts';
