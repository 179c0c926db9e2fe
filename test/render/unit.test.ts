import { describe, expect, it } from 'vitest';
import { checkUnit, readStopSignal, renderDefaultUnit, renderUnit } from '../../src/render/unit.ts';
import { templates } from './deployment-input.ts';

const detachedValues = {
  NAME: 'bb',
  EXEC_STARTPRE: '',
  EXEC_START: "/usr/bin/runc  --systemd-cgroup run -d --pid-file /run/container-bb.pid 'bb'",
  EXEC_STOP: '',
  EXEC_STOPPOST: "/usr/bin/runc delete 'bb'",
  DESTDIR: '/c/bb.0',
  PIDFILE: '/run/container-bb.pid',
};
const attachedValues = {
  ...detachedValues,
  EXEC_START: "/usr/bin/runc --systemd-cgroup run 'bb'",
  EXEC_STOP: "/usr/bin/runc --systemd-cgroup kill 'bb'",
  EXEC_STOPPOST: '',
};
const runtime = '/usr/bin/runc';

describe('renderDefaultUnit', () => {
  it('forks where the runtime detaches, and is atomic’s unit else', () => {
    const unit = renderDefaultUnit(
      detachedValues,
      { detached: true, stopSignal: undefined, runtime },
      templates,
    );
    expect(unit).toBe(`[Unit]
Description=bb

[Service]
Type=forking
ExecStartPre=
ExecStart=/usr/bin/runc  --systemd-cgroup run -d --pid-file /run/container-bb.pid 'bb'
ExecStop=
ExecStopPost=/usr/bin/runc delete 'bb'
Restart=on-failure
WorkingDirectory=/c/bb.0
PIDFile=/run/container-bb.pid

[Install]
WantedBy=multi-user.target
`);
  });

  it('stays with an attached runtime, passes one signal on and clears up behind it', () => {
    const unit = renderDefaultUnit(
      attachedValues,
      { detached: false, stopSignal: 'SIGQUIT', runtime },
      templates,
    );
    expect(unit).toBe(`[Unit]
Description=bb

[Service]
ExecStartPre=
ExecStart=/usr/bin/runc --systemd-cgroup run 'bb'
ExecStop=
ExecStopPost=-/usr/bin/runc delete --force 'bb'
KillSignal=SIGQUIT
SuccessExitStatus=143
Restart=on-failure
WorkingDirectory=/c/bb.0

[Install]
WantedBy=multi-user.target
`);
  });

  it('doubles the percent signs that systemd would take for specifiers', () => {
    const values = { ...detachedValues, DESTDIR: '/c/100%/bb.0' };
    const unit = renderDefaultUnit(values, { detached: true, stopSignal: undefined, runtime }, templates);
    expect(unit).toContain('WorkingDirectory=/c/100%%/bb.0\n');
  });

  it('refuses a value that would begin a line of its own', () => {
    const values = { ...detachedValues, PIDFILE: '/run/x\nExecStartPre=/bin/evil' };
    expect(() =>
      renderDefaultUnit(values, { detached: true, stopSignal: undefined, runtime }, templates),
    ).toThrow(expect.objectContaining({ code: 'value-invalid' }));
  });

  it('does not run templates that stand in values', () => {
    const values = { ...detachedValues, DESTDIR: '<%= process.exit(1) %>' };
    const unit = renderDefaultUnit(values, { detached: true, stopSignal: undefined, runtime }, templates);
    expect(unit).toContain('WorkingDirectory=<%%= process.exit(1) %%>\n');
  });
});

describe('renderUnit', () => {
  it('fills an image’s template in without quoting', () => {
    const unit = renderUnit('[Service]\nExecStart=$EXEC_START # 100% $$', 'P', { EXEC_START: '/x "y"' });
    expect(unit).toBe('[Service]\nExecStart=/x "y" # 100% $');
  });

  it('refuses what comes out without a command', () => {
    expect(() => renderUnit('[Service]\nExecStart=$NOTHING', 'P', { NOTHING: '' })).toThrow(
      expect.objectContaining({
        code: 'unit-invalid',
        message: 'The unit made from P has no ExecStart= in its [Service] section',
      }),
    );
  });
});

describe('checkUnit', () => {
  it.each([
    ['[Service]\nExecStart=/a', 'plain'],
    ['[Service]\n  ExecStart = /a\n', 'with blanks'],
    ['[Service]\nType=oneshot\nExecStart=/a\nExecStart=/b', 'oneshot with two commands'],
    ['[Service]\nType=oneshot\nExecStop=/a', 'oneshot without a start'],
    ['[Service]\nExecStart=/a\nExecStart=\nExecStart=/b', 'a start that is undone'],
    ['[Service]\nExecStart=/a \\\n# said aside\n  --more \\\nExecStart=/no', 'a joined line'],
    ['[Service]\n# ExecStart=/commented \\\nExecStart=/a', 'a comment that ends in a backslash'],
    ['[Unit]\nA=b\n[Service]\n[Service]\nExecStart=[x]\n[Install]\nExecStart=/b', 'sections twice'],
  ])('accepts %j (%s)', (text) => {
    expect(() => checkUnit(text, 'P')).not.toThrow();
  });

  it.each([
    ['', 'has no [Service] section'],
    ['[Unit]\nExecStart=/a', 'has no [Service] section'],
    ['[Service]', 'has no ExecStart='],
    ['[Service]\n#ExecStart=/a', 'has no ExecStart='],
    ['[Service]\nExecStart=/a\nExecStart=', 'has no ExecStart='],
    ['[Service]\n[Unit]\nExecStart=/a', 'has no ExecStart='],
    ['[Service]\nExecStart=/a\nExecStart=/b', 'has 2 ExecStart= lines'],
  ])('refuses %j', (text, found) => {
    expect(() => checkUnit(text, 'P')).toThrow(
      expect.objectContaining({ code: 'unit-invalid', message: expect.stringContaining(found) }),
    );
  });

  it('takes a long hostile text in its stride', () => {
    const text = `[Service]\n${'ExecStart=/a\n'.repeat(40_000)}a${' '.repeat(400_000)}b`;
    expect(() => checkUnit(text, 'P')).toThrow('has 40000 ExecStart= lines');
  });
});

describe('readStopSignal', () => {
  it.each([
    ['SIGQUIT', 'SIGQUIT'],
    ['QUIT', 'SIGQUIT'],
    ['3', '3'],
    ['SIGRTMIN+3', '37'],
    ['RTMAX-1', '63'],
    ['SIGTERM', undefined],
    ['15', undefined],
    [undefined, undefined],
    ['SIGQUIT\nExecStop=/evil', undefined],
    ['quit', undefined],
  ])('reads %j as %j', (text, signal) => {
    expect(readStopSignal(text)).toBe(signal);
  });
});
