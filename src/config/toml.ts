/** The TOML parser, loaded only when there is a file for it: see transport/registry/undici.ts for why it stands alone. */
export { parse, TomlError } from 'smol-toml';
