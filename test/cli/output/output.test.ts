import { afterEach, describe, expect, it, vi } from 'vitest';
import { Output } from '../../../src/cli/output/output.ts';
import { AtomicError } from '../../../src/errors.ts';

afterEach(() => void vi.restoreAllMocks());

describe('with --json, a terminal is given nothing that would act there, and a parser what there is', () => {
  // CSI in one character, and one that turns the direction of writing around.
  const text = 'a\u009b2J\u202eb\u001b[2J';

  it.each<[string, 'stdout' | 'stderr', (output: Output) => void]>([
    ['a result', 'stdout', (output) => output.result({ text }, [])],
    ['an event', 'stderr', (output) => output.report({ event: 'notice', text })],
    ['an error', 'stderr', (output) => output.error(new AtomicError('usage', text))],
  ])('%s', (_what, stream, show) => {
    const written: string[] = [];
    vi.spyOn(process[stream], 'write').mockImplementation((chunk) => written.push(String(chunk)) > 0);
    show(new Output({ json: true, quiet: false, debug: false }));
    const whole = written.join('');
    expect(whole).not.toMatch(/[\u001b\u009b\u202e]/);
    expect(Object.values(JSON.parse(whole) as Record<string, unknown>)).toContain(text);
  });
});

it.each([
  ['the config of x is not valid', 'The config of x is not valid'],
  ['an index is missing', 'An index is missing'],
  ['theory/app:1 is not there', 'theory/app:1 is not there'],
])('an error begins as sentences do, unless that is a name: %s', (message, told) => {
  const written: string[] = [];
  vi.spyOn(process.stderr, 'write').mockImplementation((chunk) => written.push(String(chunk)) > 0);
  new Output({ json: false, quiet: false, debug: false }).error(new AtomicError('value-invalid', message));
  expect(written[0]).toBe(`${told}\n`);
});
