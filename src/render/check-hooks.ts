import { AtomicError } from '../errors.ts';
import { isRecord, type JsonRecord } from '../image/json.ts';

/** Hooks that the runtime starts as programs of the host; those of `startContainer` are the container's. */
const HOST_HOOKS = ['prestart', 'createRuntime', 'createContainer', 'poststart', 'poststop'];

/**
 * Refuses a runtime configuration with a hook that the host does not have: no start would get past it.
 * @param isThere whether a path stands on the host, or will when the container is installed
 * @throws AtomicError `spec-invalid` naming the field
 * @see runtime-spec config.md, "POSIX-platform Hooks"
 */
export async function checkHooks(
  spec: JsonRecord,
  isThere: (path: string) => boolean | Promise<boolean>,
): Promise<void> {
  const hooks = isRecord(spec['hooks']) ? spec['hooks'] : {};
  for (const kind of HOST_HOOKS) {
    const list: unknown[] = Array.isArray(hooks[kind]) ? hooks[kind] : [];
    for (const [i, hook] of list.entries()) {
      const path = isRecord(hook) ? hook['path'] : undefined;
      if (typeof path === 'string' && (await isThere(path))) continue;
      throw new AtomicError(
        'spec-invalid',
        `The runtime configuration has a hooks.${kind}[${i}].path ${JSON.stringify(path) ?? 'that is missing'}, and this host has no such program`,
        { hint: 'Install what brings it, or take it out of the image.' },
      );
    }
  }
}
