import { expect, test } from 'vitest';
import { announceStep, describeStep, describeSteps, type Step } from '../../src/transaction/plan.ts';

const file = { path: '/p', kind: 'file', mode: 0o644, uid: 0, gid: 0, link: false } as const;

test.each<[Step, string, string | undefined]>([
  [{ kind: 'place-deployment', from: '/s', to: '/c/x.0' }, 'place the deployment /c/x.0', undefined],
  [{ kind: 'set-aside', path: '/p', to: '/t' }, 'remove /p', undefined],
  [{ kind: 'create-file', path: '/p', mode: 0, content: '' }, 'write /p', undefined],
  [{ kind: 'replace-file', path: '/p', mode: 0, content: '', aside: '/a' }, 'write /p', undefined],
  [{ kind: 'create-host-file', file }, 'create /p', 'Created file /p'],
  [{ kind: 'switch-link', path: '/p', target: '/q', aside: '/a' }, 'point /p at /q', undefined],
  [{ kind: 'daemon-reload' }, 'systemctl daemon-reload', 'systemctl daemon-reload'],
  [
    { kind: 'reload-when-undone' },
    'systemctl daemon-reload (only if the change has to be undone)',
    undefined,
  ],
  [{ kind: 'create-tmpfiles', path: '/p' }, 'systemd-tmpfiles --create /p', 'systemd-tmpfiles --create /p'],
  [{ kind: 'remove-tmpfiles', path: '/p' }, 'systemd-tmpfiles --remove /p', 'systemd-tmpfiles --remove /p'],
  [{ kind: 'enable', unit: 'x', folder: '/u' }, 'systemctl enable x', 'systemctl enable x'],
  [
    { kind: 'disable-now', unit: 'x', folder: '/u' },
    'systemctl disable --now x',
    'systemctl disable --now x',
  ],
  [{ kind: 'start', unit: 'x', settleMs: 1 }, 'systemctl start x', 'systemctl start x'],
  [
    { kind: 'run-attached', runtime: '/usr/bin/runc', container: 'x', folder: '/b' },
    '/usr/bin/runc run x',
    undefined,
  ],
  [
    {
      kind: 'keep-failed',
      staged: '/s',
      to: '/failed/x',
      action: 'update',
      deployment: '/c/x.1',
      image: 'i',
      digest: undefined,
    },
    'keep what did not start in /failed/x (only if the change has to be undone)',
    undefined,
  ],
  [{ kind: 'stop', unit: 'x' }, 'systemctl stop x', 'systemctl stop x'],
])('$kind is described as “%s”', (step, described, announced) => {
  expect(describeStep(step)).toBe(described);
  expect(announceStep(step)).toBe(announced);
});

test('a preview tells only of what is done on the way forward', () => {
  expect(describeSteps([{ kind: 'reload-when-undone' }, { kind: 'stop', unit: 'x' }])).toEqual([
    'systemctl stop x',
  ]);
});
