import { expect, test } from 'vitest';
import { parseReference } from '../../src/image/reference.ts';

test.each([
  'docker://user:secret@registry.example/app:1',
  'https://user:secret@registry.example:5000/app',
  'user:sec/ret@registry.example',
  'user:secret@localhost/app',
  'user:s@cret@registry.example/app@sha256:1',
])('a user and a password in a name are refused, and not repeated: %s', (text) => {
  expect(() => parseReference(text, () => false)).toThrow(/^"…@[^"@]*" is no image name: user and password/);
});
