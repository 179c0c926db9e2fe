import { expect, it } from 'vitest';
import { versionOf } from '../../src/image/labels.ts';

it.each([
  [{ version: '2.0', release: '1' }, '2.0-1'],
  [{ Version: '2.0', RELEASE: '1' }, '2.0-1'],
  [{ Version: 'capital', version: 'small' }, 'capital'],
  [{ version: '2.0' }, '2.0'],
  [{ release: '1' }, '1'],
  [{ name: 'x' }, ''],
  [{}, ''],
])('the version of %j is %j', (labels, version) => {
  expect(versionOf(labels as Record<string, string>)).toBe(version);
});
