import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { planRepair, type Repair } from '../../../src/app/drift/plan-repair.ts';
import type { Places } from '../../../src/app/plan-change.ts';
import { parseContainerName } from '../../../src/container/name.ts';
import { applyPlan } from '../../../src/transaction/apply.ts';
import { describeStep } from '../../../src/transaction/plan.ts';
import { useTempFolder } from '../../fixtures/temp-folder.ts';
import { installedWorld, NAME } from '../../transaction/change.ts';
import type { World } from '../../transaction/world.ts';

const folder = useTempFolder();

const NOTHING: Repair = {
  deployment: undefined,
  unit: undefined,
  tmpfiles: undefined,
  hostFiles: [],
  package: undefined,
  enable: false,
  start: false,
  active: true,
  settling: { settleMs: 1000, runtime: '/usr/bin/runc', check: undefined },
};
const file = (path: string) =>
  ({ path, kind: 'file', mode: 0o644, uid: 0, gid: 0, link: false, content: 'as shipped' }) as const;

function placesIn(root: string): Places {
  const name = parseContainerName(NAME);
  const at = (path: string): string => join(root, path);
  return {
    name,
    link: at('containers/web'),
    unit: at('units/web.service'),
    tmpfiles: at('tmpfiles/web.conf'),
    failed: at('containers/failed/web'),
    trash: (what) => at(`containers/trash/web.${what}`),
  };
}

const plan = (repair: Partial<Repair>): string[] =>
  planRepair(placesIn('/h'), { ...NOTHING, ...repair })
    .filter(({ kind }) => kind !== 'reload-when-undone')
    .map(describeStep);

describe('the repair of a container', () => {
  it('touches only what is not as it should be', () => {
    expect(plan({})).toEqual([]);
    expect(plan({ enable: true })).toEqual(['systemctl enable web']);
    expect(plan({ tmpfiles: 'x' })).toEqual([
      'write /h/tmpfiles/web.conf',
      'systemd-tmpfiles --create /h/tmpfiles/web.conf',
    ]);
    expect(plan({ hostFiles: [{ file: file('/etc/a'), keep: undefined }] })).toEqual(['create /etc/a']);
    const onDisk = { name: 'pack', file: '/h/web.0/pack.rpm', paths: ['/etc/b'] };
    const changed = [{ path: '/etc/b', keep: '/etc/b.atomic-save' }];
    expect(plan({ package: { side: { onDisk, keep: [] }, changed } })).toEqual([
      'keep /etc/b as /etc/b.atomic-save',
      'rpm --upgrade /h/web.0/pack.rpm',
    ]);
    expect(plan({ hostFiles: [{ file: file('/etc/a'), keep: '/etc/a.atomic-save' }] })).toEqual([
      'keep /etc/a as /etc/a.atomic-save',
      'create /etc/a',
    ]);
    expect(plan({ start: true, active: false })).toEqual([
      '/usr/bin/runc delete --force web',
      'systemctl start web',
    ]);
  });

  it('starts a service anew for another unit or deployment, if it ran', () => {
    expect(plan({ unit: 'x' })).toEqual([
      'systemctl stop web',
      'write /h/units/web.service',
      'systemctl daemon-reload',
      '/usr/bin/runc delete --force web',
      'systemctl start web',
    ]);
    expect(plan({ unit: 'x', active: false })).toEqual([
      'write /h/units/web.service',
      'systemctl daemon-reload',
    ]);
    const deployment = { staged: '/h/new', path: '/h/containers/web.0' };
    expect(plan({ deployment, settling: { ...NOTHING.settling, runtime: undefined } })).toEqual([
      'systemctl stop web',
      'remove /h/containers/web.0',
      'place the deployment /h/containers/web.0',
      'systemctl start web',
    ]);
  });

  describe('as a transaction', () => {
    function prepare(name: string): { world: World; repair: Repair } {
      const world = installedWorld(join(folder(), name));
      writeFileSync(world.at('etc/web/config'), 'mine');
      world.disable(NAME);
      const repair = {
        ...NOTHING,
        deployment: {
          staged: world.at('containers/staging/new'),
          path: world.at('containers/web.0'),
        },
        unit: 'new unit',
        tmpfiles: `d ${world.at('run/new')} 0755\n`,
        hostFiles: [
          { file: file(world.at('etc/web/config')), keep: world.at('etc/web/config.atomic-save') },
          { file: file(world.at('etc/new/config')), keep: undefined },
        ],
        enable: true,
      };
      return { world, repair };
    }
    const run = (world: World, repair: Repair): Promise<void> =>
      applyPlan(
        { action: 'repair', container: NAME, steps: planRepair(placesIn(world.root), repair) },
        world.at('journal'),
        world.context(),
      );

    it('leaves what was recorded, and what somebody made beside it', async () => {
      const { world, repair } = prepare('host');
      await run(world, repair);
      const read = (path: string): string => readFileSync(world.at(path), 'utf8');
      expect(read('containers/web.0/rootfs/bin')).toBe('new');
      expect([read('etc/web/config'), read('etc/web/config.atomic-save')]).toEqual(['as shipped', 'mine']);
      expect([read('etc/new/config'), read('units/web.service')]).toEqual(['as shipped', 'new unit']);
      expect([world.enabled.has(NAME), world.active.has(NAME)]).toEqual([true, true]);
    });

    it('leaves all as it was, wherever it fails', async () => {
      const { world, repair } = prepare('host');
      await run(world, repair);
      // The end of the journal and what follows it belong to a change that is done.
      const last = world.log.findIndex((call) => call.startsWith('journal {"committed"'));
      expect(last).toBeGreaterThan(20);
      for (let failing = 1; failing <= last; failing++) {
        const { world, repair } = prepare(`host-${failing}`);
        const before = world.snapshot();
        world.before = (_call, number) => {
          if (number === failing) throw new Error('struck');
        };
        await expect(run(world, repair)).rejects.toThrow('struck');
        expect(world.snapshot()).toEqual(before);
      }
    });
  });
});
