import type { RuntimeSources } from '../service/oci-runtime.ts';
import type { App } from './context.ts';

/**
 * Where the OCI runtime is named.
 * @param option of the command line, or what a container was installed with
 */
export function runtimeSources(
  { environment, conf }: Pick<App, 'environment' | 'conf'>,
  option: string | undefined,
): RuntimeSources {
  return { option, environment: environment['RUNC_PATH'], conf: conf.runtime };
}
