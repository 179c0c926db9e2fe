import type { Systemd } from './systemd.ts';

/**
 * Starts and stops for a program that may itself be a part of the boot. There a start waits for the boot, which waits
 * for that program: so it is only asked for. And a stop would take away the start that the boot has in mind, also from
 * the units that need this one: so only what already runs is stopped.
 */
export function withoutWaitingAtBoot(services: Systemd): Systemd {
  let asked: Promise<boolean> | undefined;
  const isBooting = (): Promise<boolean> => (asked ??= services.isBooting());
  const isActive = async (unit: string): Promise<boolean> => (await services.state(unit)).active;
  return {
    ...services,
    start: async (unit, signal) => {
      if (!(await isBooting())) return services.start(unit, signal);
      // One that came up before us did so with files that have changed since.
      await ((await isActive(unit)) ? services.restartLater(unit) : services.startLater(unit));
    },
    // What was only asked for cannot be watched.
    waitSettled: async (unit, options) =>
      (await isBooting()) ? { ok: true } : services.waitSettled(unit, options),
    stop: async (unit) => {
      if (!(await isBooting()) || (await isActive(unit))) await services.stop(unit);
    },
  };
}
