import { describe, expect, it } from 'vitest';
import { planSwitch, type HostSide, type Places, type Present } from '../../src/app/plan-change.ts';
import { parseContainerName } from '../../src/container/name.ts';
import { describeSteps } from '../../src/transaction/plan.ts';

const places: Places = {
  name: parseContainerName('web'),
  link: '/c/web',
  unit: '/u/web.service',
  tmpfiles: '/t/web.conf',
  trash: (what) => `/c/trash/web.${what}`,
  failed: '/c/failed/web',
};
const running: Present = {
  active: true,
  hasUnit: true,
  hasTmpfiles: false,
  hostFilesToRemove: [],
  package: undefined,
  hasFailed: false,
};
const withService: HostSide = {
  path: '/c/web.1',
  unit: 'unit',
  tmpfiles: undefined,
  hostFiles: [],
  package: undefined,
};
const withoutService: HostSide = { ...withService, unit: undefined };
const settling = { settleMs: 1, runtime: '/usr/bin/runc', check: undefined };
const goal = { action: 'update', image: 'i', digest: undefined };

function plan(present: Present, next: HostSide, starts?: boolean): string[] {
  const options = { staged: undefined, settling, goal, ...(starts === undefined ? {} : { starts }) };
  return describeSteps(planSwitch(places, present, next, options)).filter(
    (step) => !step.includes('only if the change has to be undone'),
  );
}

describe('a switch between a service and host files alone', () => {
  it('disables a service that the next deployment has no more, before its unit goes', () => {
    expect(plan(running, withoutService)).toEqual([
      'systemctl disable --now web',
      '/usr/bin/runc delete --force web',
      'remove /u/web.service',
      'point /c/web at /c/web.1',
      'systemctl daemon-reload',
    ]);
    expect(plan({ ...running, active: false }, withoutService)[0]).toBe('systemctl disable --now web');
  });

  it('enables one that comes, and starts it only where it is to be', () => {
    const none = { ...running, active: false, hasUnit: false };
    const enabled = [
      'write /u/web.service',
      'point /c/web at /c/web.1',
      'systemctl daemon-reload',
      'systemctl enable web',
    ];
    expect(plan(none, withService)).toEqual(enabled);
    expect(plan(none, withService, true)).toEqual([
      ...enabled,
      '/usr/bin/runc delete --force web',
      'systemctl start web',
    ]);
  });

  it('has nothing of a service to do where there is none before and after', () => {
    expect(plan({ ...running, active: false, hasUnit: false }, withoutService, true)).toEqual([
      'point /c/web at /c/web.1',
      'systemctl daemon-reload',
    ]);
  });
});
