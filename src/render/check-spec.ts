import { AtomicError } from '../errors.ts';
import { isRecord, type JsonRecord } from '../image/json.ts';

/**
 * Refuses a runtime configuration that cannot be run as a system container; each refusal names the field.
 * @param path the file, for the error's sentence.
 * @param remote whether the root file system lies outside the deployment.
 * @throws AtomicError `spec-invalid`
 * @see runtime-spec config.md
 */
export function checkSpec(spec: unknown, path: string, remote: boolean): asserts spec is JsonRecord {
  if (!isRecord(spec)) throw refusal(path, 'is not a JSON object');
  checkRoot(spec['root'], remote);
  checkProcess(spec['process'], path);
  checkMounts(spec['mounts'], path);
  checkNamespaces(spec['linux'], path);
}

/** Without a mount namespace of its own the runtime would mount over the host's file systems. */
function checkNamespaces(linux: unknown, path: string): void {
  if (!isRecord(linux)) throw refusal(path, 'has a linux that is not an object');
  const { namespaces } = linux;
  const hasMount =
    Array.isArray(namespaces) && namespaces.some((entry) => isRecord(entry) && entry['type'] === 'mount');
  if (!hasMount) throw refusal(path, 'has linux.namespaces without a mount namespace');
}

/** In atomic's own words. */
function checkRoot(root: unknown, remote: boolean): void {
  if (!isRecord(root) || root['readonly'] !== true) {
    throw new AtomicError('spec-invalid', 'Invalid configuration file.  Only readonly images are supported', {
      hint: 'Its root.readonly must be true; what is written goes to bind mounts and tmpfs.',
    });
  }
  if (!remote && root['path'] !== 'rootfs')
    throw new AtomicError('spec-invalid', "Invalid configuration file.  Path must be 'rootfs'");
}

function checkProcess(process: unknown, path: string): void {
  if (!isRecord(process)) throw refusal(path, 'has no process');
  const { args, env, cwd } = process;
  if (!isStringList(args) || args.length === 0)
    throw refusal(path, 'has a process.args that is not a list of strings with a program in it');
  if (env !== undefined && env !== null && !isStringList(env))
    throw refusal(path, 'has a process.env that is not a list of strings');
  if (typeof cwd !== 'string' || !cwd.startsWith('/'))
    throw refusal(path, 'has a process.cwd that is not an absolute path');
}

function checkMounts(mounts: unknown, path: string): void {
  if (mounts === undefined || mounts === null) return;
  if (!Array.isArray(mounts)) throw refusal(path, 'has mounts that are not a list');
  mounts.forEach((mount: unknown, i) => {
    if (!isRecord(mount)) throw refusal(path, `has a mounts[${i}] that is not an object`);
    const { destination, options } = mount;
    if (typeof destination !== 'string' || !destination.startsWith('/'))
      throw refusal(path, `has a mounts[${i}].destination that is not an absolute path`);
    for (const key of ['type', 'source']) {
      if (mount[key] !== undefined && typeof mount[key] !== 'string')
        throw refusal(path, `has a mounts[${i}].${key} that is not a string`);
    }
    if (options !== undefined && options !== null && !isStringList(options))
      throw refusal(path, `has a mounts[${i}].options that is not a list of strings`);
  });
}

function isStringList(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string');
}

function refusal(path: string, found: string): AtomicError {
  return new AtomicError('spec-invalid', `The runtime configuration made from ${path} ${found}`);
}
