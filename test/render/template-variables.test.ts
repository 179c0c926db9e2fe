import { describe, expect, it } from 'vitest';
import { describeVariables, sampleValues } from '../../src/render/template-variables.ts';

const HOST = { RUN_DIRECTORY: '/run', PIDFILE: '/run/container-web.pid', RUNTIME: undefined };

describe('the variables of an image', () => {
  it('are those that its templates use, those with a default, and those that every image has', () => {
    const described = describeVariables({
      templates: [
        { file: 'service.template', text: 'ExecStart=$EXEC_START\nPIDFile=$PIDFILE $$ESCAPED' },
        { file: 'config.json.template', text: '"${PORT}" $RUNTIME $MUST $MUST ${RUN_DIRECTORY}' },
        { file: 'tmpfiles.template', text: 'd $RUN_DIRECTORY/$MUST' },
      ],
      defaults: { PORT: '8081', UNUSED: '' },
      host: HOST,
    });
    expect(described.map(({ name, value, source }) => [name, value, source])).toEqual([
      ['ALL_PROCESS_CAPABILITIES', undefined, undefined],
      ['CONF_DIRECTORY', undefined, undefined],
      ['EXEC_START', undefined, 'forced'],
      ['MUST', undefined, undefined],
      ['PIDFILE', '/run/container-web.pid', 'host'],
      ['PORT', '8081', 'manifest'],
      ['RUNTIME', undefined, 'host'],
      ['RUN_DIRECTORY', '/run', 'host'],
      ['STATE_DIRECTORY', undefined, undefined],
      ['UNUSED', '', 'manifest'],
      ['UUID', undefined, 'generated'],
    ]);
    expect(described.find(({ name }) => name === 'MUST')?.usedIn).toEqual([
      'config.json.template',
      'tmpfiles.template',
    ]);
    expect(described.find(({ name }) => name === 'UNUSED')?.usedIn).toEqual([]);
  });

  it('have the values that an installation without --set would give them', () => {
    const of = (name: string, defaults: Record<string, string>): unknown[] => {
      const found = describeVariables({ templates: [], defaults, host: HOST }).find(
        (variable) => variable.name === name,
      );
      return [found?.value, found?.source];
    };
    // The host goes before the image, the image before what is drawn; nobody changes what is always ours.
    expect(of('RUN_DIRECTORY', { RUN_DIRECTORY: '/elsewhere' })).toEqual(['/run', 'host']);
    expect(of('UUID', { UUID: 'fixed' })).toEqual(['fixed', 'manifest']);
    expect(of('NAME', { NAME: 'mine' })).toEqual([undefined, 'forced']);
    expect(of('constructor', {})).toEqual([undefined, undefined]);
  });
});

describe('sample values', () => {
  it('fill in what is known, and let the rest stand for itself', () => {
    expect(sampleValues('/etc/$NAME-${OTHER}-$constructor', { NAME: 'web', OTHER: undefined })).toEqual({
      NAME: 'web',
      OTHER: 'OTHER',
      constructor: 'constructor',
    });
  });
});
