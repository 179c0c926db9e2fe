import { PassThrough } from 'node:stream';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { confirm, requireConfirmed } from '../../../src/cli/output/confirm.ts';
import { AtomicError } from '../../../src/errors.ts';

let input: PassThrough;
let asked: string;
const calm = new AbortController().signal;

beforeEach(() => {
  input = new PassThrough();
  asked = '';
  vi.spyOn(process, 'stdin', 'get').mockReturnValue(input as unknown as typeof process.stdin);
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    asked += text.toString();
    return true;
  });
});
afterEach(() => {
  vi.restoreAllMocks();
});

test.each([
  ['y\n', true],
  [' Yes \n', true],
  ['yess\n', false],
  ['\n', false],
  ['n\ny\n', false],
])('takes %j for an answer', async (answer, expected) => {
  input.end(answer);
  expect(await confirm('Really? ', calm)).toBe(expected);
  expect(asked).toBe('Really? ');
});

test('takes the end of standard input for none', async () => {
  input.end();
  await expect(confirm('Really? ', calm)).rejects.toMatchObject({ code: 'value-invalid' });
});

test('stops waiting at a signal', async () => {
  const controller = new AbortController();
  const answer = confirm('Really? ', controller.signal);
  const reason = new AtomicError('interrupted', 'Interrupted by SIGINT');
  controller.abort(reason);
  await expect(answer).rejects.toBe(reason);
});

test('asks nothing with --json', () => {
  expect(() => requireConfirmed('atomic-ts containers delete', false, true)).toThrow(
    'atomic-ts containers delete asks no question with --json',
  );
  for (const [yes, json] of [
    [true, true],
    [false, false],
  ] as const)
    expect(() => requireConfirmed('atomic-ts containers delete', yes, json)).not.toThrow();
});
