import { expect, test } from 'vitest';
import { announceStep, describeStep, type Step } from '../../src/transaction/plan.ts';

const file = { path: '/p', kind: 'file', mode: 0o644, uid: 0, gid: 0, link: false } as const;

test.each<[Step, string, string | undefined]>([
  [{ kind: 'place-deployment', from: '/s', to: '/c/x.0' }, 'place the deployment /c/x.0', undefined],
  [{ kind: 'set-aside', path: '/p', to: '/t' }, 'remove /p', undefined],
  [{ kind: 'create-file', path: '/p', mode: 0, content: '' }, 'write /p', undefined],
  [{ kind: 'replace-file', path: '/p', mode: 0, content: '' }, 'write /p', undefined],
  [{ kind: 'remove-file', path: '/p' }, 'remove /p', undefined],
  [{ kind: 'create-host-file', file }, 'create /p', 'Created file /p'],
  [{ kind: 'switch-link', path: '/p', target: '/q' }, 'point /p at /q', undefined],
  [{ kind: 'daemon-reload' }, 'systemctl daemon-reload', 'systemctl daemon-reload'],
  [
    { kind: 'reload-when-undone' },
    'systemctl daemon-reload (only if the change has to be undone)',
    undefined,
  ],
  [{ kind: 'create-tmpfiles', path: '/p' }, 'systemd-tmpfiles --create /p', 'systemd-tmpfiles --create /p'],
  [{ kind: 'remove-tmpfiles', path: '/p' }, 'systemd-tmpfiles --remove /p', 'systemd-tmpfiles --remove /p'],
  [{ kind: 'enable', unit: 'x' }, 'systemctl enable x', 'systemctl enable x'],
  [{ kind: 'disable-now', unit: 'x' }, 'systemctl disable --now x', 'systemctl disable --now x'],
  [{ kind: 'start', unit: 'x', settleMs: 1 }, 'systemctl start x', 'systemctl start x'],
  [{ kind: 'stop', unit: 'x' }, 'systemctl stop x', 'systemctl stop x'],
])('$kind is described as “%s”', (step, described, announced) => {
  expect(describeStep(step)).toBe(described);
  expect(announceStep(step)).toBe(announced);
});
