import { describe, expect, it } from 'vitest';
import { parseContainerName } from '../../src/container/name.ts';
import type { StoredValues } from '../../src/container/stored-values.ts';
import {
  computeValues,
  parseSetOption,
  unitSupportsPidfile,
  type ValuesInput,
} from '../../src/container/values.ts';

const CAPABILITIES = ['CAP_CHOWN', 'CAP_DAC_OVERRIDE', 'CAP_FOWNER'];
const CAPABILITIES_TEXT = '"CAP_CHOWN",\n"CAP_DAC_OVERRIDE",\n"CAP_FOWNER"\n';

function inputOf(changes: Partial<ValuesInput> = {}): ValuesInput {
  return {
    name: parseContainerName('hello'),
    deploymentDirectory: '/var/lib/containers/atomic/hello.0',
    runtime: '/usr/bin/runc',
    runtimeFeatures: { systemdCgroup: true, pidFile: true },
    unitUsesPidfile: true,
    imageName: 'docker.io/hello',
    imageId: 'a3430',
    set: {},
    manifestDefaults: { PORT: '8081', RECEIVER: 'World' },
    identity: { uid: 0, gid: 0 },
    directories: { run: '/run', conf: '/etc', state: '/var/lib' },
    allCapabilities: CAPABILITIES,
    program: '/usr/bin/atomic',
    uuid: () => 'drawn',
    ...changes,
  };
}

const update = (stored: StoredValues, changes: Partial<ValuesInput> = {}): ReturnType<typeof computeValues> =>
  computeValues(inputOf({ stored, ...changes }));

describe('computeValues', () => {
  it('writes what atomic wrote to info, in its order', () => {
    expect(Object.entries(computeValues(inputOf()).values)).toEqual([
      ['RUN_DIRECTORY', '/run'],
      ['PIDFILE', '/run/container-hello.pid'],
      ['CONF_DIRECTORY', '/etc'],
      ['STATE_DIRECTORY', '/var/lib'],
      ['ALL_PROCESS_CAPABILITIES', CAPABILITIES_TEXT],
      ['RUNTIME', '/usr/bin/runc'],
      ['ATOMIC', '/usr/bin/atomic'],
      ['PORT', '8081'],
      ['RECEIVER', 'World'],
      ['UUID', 'drawn'],
      ['DESTDIR', '/var/lib/containers/atomic/hello.0'],
      ['NAME', 'hello'],
      ['EXEC_START', "/usr/bin/runc  --systemd-cgroup run -d --pid-file /run/container-hello.pid 'hello'"],
      ['EXEC_STOP', ''],
      ['EXEC_STARTPRE', ''],
      ['EXEC_STOPPOST', "/usr/bin/runc delete 'hello'"],
      ['HOST_UID', 0],
      ['HOST_GID', 0],
      ['IMAGE_NAME', 'docker.io/hello'],
      ['IMAGE_ID', 'a3430'],
    ]);
  });

  it('stays attached where the unit or the runtime does not know pid files', () => {
    const attached = computeValues(inputOf({ unitUsesPidfile: false })).values;
    expect(attached).toMatchObject({
      EXEC_START: "/usr/bin/runc --systemd-cgroup run 'hello'",
      EXEC_STOP: "/usr/bin/runc --systemd-cgroup kill 'hello'",
      EXEC_STOPPOST: '',
    });
    const runtimeFeatures = { systemdCgroup: false, pidFile: false };
    expect(computeValues(inputOf({ runtime: '/bin/ls', runtimeFeatures })).values).toMatchObject({
      EXEC_START: "/bin/ls run 'hello'",
      EXEC_STOP: "/bin/ls kill 'hello'",
      EXEC_STOPPOST: '',
    });
  });

  it('keeps both blanks for a runtime that detaches without --systemd-cgroup', () => {
    const { values } = computeValues(inputOf({ runtimeFeatures: { systemdCgroup: false, pidFile: true } }));
    expect(values['EXEC_START']).toBe("/usr/bin/runc  run -d --pid-file /run/container-hello.pid 'hello'");
  });

  it('lets --set win over host and image, and the host over the image', () => {
    const { values, sources } = computeValues(
      inputOf({
        set: { PORT: '1', CONF_DIRECTORY: '/opt/etc', EXTRA: '' },
        manifestDefaults: { PORT: '8081', CONF_DIRECTORY: '/image', STATE_DIRECTORY: '/image', OTHER: 'o' },
      }),
    );
    expect(values).toMatchObject({
      PORT: '1',
      CONF_DIRECTORY: '/opt/etc',
      STATE_DIRECTORY: '/var/lib',
      EXTRA: '',
    });
    expect(sources).toMatchObject({
      PORT: 'set',
      CONF_DIRECTORY: 'set',
      STATE_DIRECTORY: 'host',
      OTHER: 'manifest',
      UUID: 'generated',
      NAME: 'forced',
    });
  });

  it('takes the UUID of the image before a drawn one', () => {
    const { values, sources } = computeValues(inputOf({ manifestDefaults: { UUID: 'of-the-image' } }));
    expect([values['UUID'], sources['UUID']]).toEqual(['of-the-image', 'manifest']);
  });

  it('puts the pid file into a RUN_DIRECTORY that is set, and starts with a PIDFILE that is set', () => {
    const { values } = computeValues(inputOf({ set: { RUN_DIRECTORY: '/r' } }));
    expect(values['PIDFILE']).toBe('/r/container-hello.pid');
    const set = computeValues(inputOf({ set: { PIDFILE: '/x.pid' } })).values;
    expect(set['EXEC_START']).toContain(' --pid-file /x.pid ');
  });

  it.each(['DESTDIR', 'NAME', 'EXEC_START', 'IMAGE_ID', 'HOST_UID'])('refuses --set %s', (name) => {
    expect(() => computeValues(inputOf({ set: { [name]: 'x' } }))).toThrow(
      expect.objectContaining({ code: 'value-invalid', hint: expect.any(String) }),
    );
  });

  it('keeps an image’s forced names and odd names from doing harm', () => {
    const manifestDefaults = Object.fromEntries([
      ['NAME', 'evil'],
      ['__proto__', 'p'],
      ['constructor', 'c'],
    ]);
    const { values } = computeValues(inputOf({ manifestDefaults }));
    expect(values['NAME']).toBe('hello');
    expect(Object.entries(values).filter(([name]) => name === '__proto__')).toEqual([['__proto__', 'p']]);
  });
});

describe('computeValues on an update with recorded sources', () => {
  const before = computeValues(inputOf({ set: { PORT: '9090', RUN_DIRECTORY: '/r' } }));

  it('takes new defaults of the image and keeps what was set and drawn', () => {
    const { values, sources } = update(before, {
      manifestDefaults: { PORT: '1', RECEIVER: 'Mars', NEW: 'n' },
      uuid: () => 'another',
      deploymentDirectory: '/d/hello.1',
    });
    expect(values).toMatchObject({
      PORT: '9090',
      RECEIVER: 'Mars',
      NEW: 'n',
      UUID: 'drawn',
      RUN_DIRECTORY: '/r',
      PIDFILE: '/r/container-hello.pid',
      DESTDIR: '/d/hello.1',
    });
    expect(sources).toMatchObject({ PORT: 'set', RECEIVER: 'manifest', UUID: 'generated', PIDFILE: 'host' });
  });

  it('keeps an old default that the new image says nothing of', () => {
    const { values, sources } = update(before, { manifestDefaults: {} });
    expect([values['RECEIVER'], sources['RECEIVER']]).toEqual(['World', 'manifest']);
  });

  it('lets a new --set win over what was set before', () => {
    expect(update(before, { set: { PORT: '2' } }).values['PORT']).toBe('2');
  });

  it('follows the host where nobody set anything', () => {
    const { values } = update(before, { program: '/opt/atomic', allCapabilities: ['CAP_CHOWN'] });
    expect(values).toMatchObject({ ATOMIC: '/opt/atomic', ALL_PROCESS_CAPABILITIES: '"CAP_CHOWN"\n' });
  });
});

describe('computeValues on the update of a container made by atomic', () => {
  const { values: made } = computeValues(inputOf());
  const atomics = { ...made, ATOMIC: '/usr/bin/atomic-of-old' };

  it('takes a value that equals the old image’s default for a default', () => {
    const stored = { values: atomics, manifestDefaults: { PORT: '8081', RECEIVER: 'World' } };
    const { values } = update(stored, { manifestDefaults: { PORT: '1', RECEIVER: 'Mars' } });
    expect(values).toMatchObject({ PORT: '1', RECEIVER: 'Mars' });
  });

  it('keeps a value it cannot tell from one that was set', () => {
    const { values, sources } = update(
      { values: atomics },
      { manifestDefaults: { PORT: '1', RECEIVER: 'World' } },
    );
    expect(values).toMatchObject({ PORT: '8081', RECEIVER: 'World' });
    expect(sources).toMatchObject({ PORT: 'set', RECEIVER: 'manifest' });
  });

  it('keeps the UUID, and follows the host with program, runtime and unchanged folders', () => {
    const { values, sources } = update(
      { values: atomics },
      { uuid: () => 'another', runtime: '/usr/bin/crun' },
    );
    expect(values).toMatchObject({ UUID: 'drawn', ATOMIC: '/usr/bin/atomic', RUNTIME: '/usr/bin/crun' });
    expect(sources).toMatchObject({ RUN_DIRECTORY: 'host', PIDFILE: 'host', UUID: 'generated' });
  });

  it('sees that a folder, a pid file or the capabilities were set', () => {
    const values = {
      ...atomics,
      CONF_DIRECTORY: '/opt/etc',
      PIDFILE: '/run/x.pid',
      ALL_PROCESS_CAPABILITIES: '"CAP_KILL"\n',
    };
    expect(update({ values }).values).toMatchObject({
      CONF_DIRECTORY: '/opt/etc',
      PIDFILE: '/run/x.pid',
      ALL_PROCESS_CAPABILITIES: '"CAP_KILL"\n',
    });
  });

  it('takes the capabilities of an older or newer kernel for the host’s', () => {
    for (const allCapabilities of [CAPABILITIES.slice(0, 2), [...CAPABILITIES, 'CAP_NEW']]) {
      expect(update({ values: atomics }, { allCapabilities }).sources['ALL_PROCESS_CAPABILITIES']).toBe(
        'host',
      );
    }
  });

  it('never keeps a forced value', () => {
    const { values } = update({ values: { ...atomics, NAME: 'other', HOST_UID: 7 } });
    expect(values).toMatchObject({ NAME: 'hello', HOST_UID: 0 });
  });
});

describe('parseSetOption', () => {
  it('splits at the first =', () => {
    expect(parseSetOption('A=b=c')).toEqual(['A', 'b=c']);
    expect(parseSetOption('E=')).toEqual(['E', '']);
  });

  it.each(['NOEQ', '', '=x'])('refuses %j in atomic’s words', (text) => {
    expect(() => parseSetOption(text)).toThrow(
      expect.objectContaining({
        code: 'value-invalid',
        message: `Invalid value '${text}'.  Expected form NAME=VALUE`,
      }),
    );
  });
});

describe('unitSupportsPidfile', () => {
  it('looks for the two spellings without braces, as atomic did', () => {
    expect(unitSupportsPidfile('ExecStopPost=$EXEC_STOPPOST\nPIDFile=$PIDFILE')).toBe(true);
    expect(unitSupportsPidfile('ExecStopPost=$EXEC_STOPPOST\nPIDFile=${PIDFILE}')).toBe(false);
    expect(unitSupportsPidfile('PIDFile=$PIDFILE')).toBe(false);
  });
});
