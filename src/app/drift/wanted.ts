import type { App } from '../context.ts';
import type { Container } from '../containers.ts';
import type { WantedState } from '../stage-deployment.ts';

/**
 * What the service of a container that is updated was to be, and so of its next deployment: what was recorded, not
 * what somebody has made of it since. For a container that nobody recorded it for, what it is now.
 */
export async function readWanted(app: App, { name, current }: Container): Promise<WantedState> {
  const { enabled, started, hasContainerService } = current.info;
  // A service that comes with an update is enabled by it, and started by whoever wants it to run.
  if (!hasContainerService) return { enabled: true, started: false };
  if (enabled !== undefined && started !== undefined) return { enabled, started };
  const now = await app.services.state(name);
  return { enabled: enabled ?? now.enabled, started: started ?? now.active };
}
