import { describe, expect, it } from 'vitest';
import { uniqueMetadata } from '../../../src/app/diff/metadata.ts';

const one = {
  digest: 'sha256:1',
  os: 'linux',
  config: { Env: ['A=1', 'B=2'], Cmd: ['sh'], Labels: { a: '1', b: '2' }, Volumes: null, User: '' },
  history: [{ created: 'x', by: 'y' }],
};
const other = {
  digest: 'sha256:2',
  os: 'linux',
  config: { Env: ['B=2', 'A=1'], Cmd: ['sh', '-c'], Labels: { a: '1', b: '3', c: '4' }, User: '' },
  history: [{ by: 'y', created: 'x' }],
  variant: 'v8',
};

describe('metadata that only one has', () => {
  it('is what differs, level by level', () => {
    expect(uniqueMetadata(one, other)).toEqual({
      digest: 'sha256:1',
      config: { Cmd: ['sh'], Labels: { b: '2' } },
    });
    expect(uniqueMetadata(other, one)).toEqual({
      digest: 'sha256:2',
      config: { Cmd: ['sh', '-c'], Labels: { b: '3', c: '4' } },
      variant: 'v8',
    });
  });

  it('is nothing where both are the same', () => {
    expect(uniqueMetadata(one, structuredClone(one))).toEqual({});
  });

  it('is not taken from the prototype of an object', () => {
    const hostile = JSON.parse('{"toString":1,"__proto__":{"x":1}}') as Record<string, unknown>;
    expect(JSON.stringify(uniqueMetadata(hostile, {}))).toBe('{"toString":1,"__proto__":{"x":1}}');
  });
});
