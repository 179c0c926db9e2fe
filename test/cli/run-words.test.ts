import { describe, expect, it } from 'vitest';
import { buildProgram } from '../../src/cli/program.ts';
import { splitRunWords } from '../../src/cli/tree/run-words.ts';

const program = buildProgram('0', () => undefined);
const split = (line: string): string => {
  const { own, words } = splitRunWords(program, line.split(' '));
  return `${own.join(' ')} | ${words.join(' ')}`;
};

describe('the command line of run', () => {
  it.each([
    ['run web', 'run web | '],
    ['run web ls -l --json -v', 'run web | ls -l --json -v'],
    ['run web -- ls --', 'run web | ls --'],
    [
      'run --set A=b -n x --tls-verify=false -d web ls -d',
      'run --set A=b -n x --tls-verify=false -d web | ls -d',
    ],
    [
      '--wait 3 --json run --storage ostree web sh -c x',
      '--wait 3 --json run --storage ostree web | sh -c x',
    ],
    ['run -- web ls', 'run -- web | ls'],
  ])('is parted behind the name: %s', (line, parted) => {
    expect(split(line)).toBe(parted);
  });

  it('is no other command’s', () => {
    expect(split('install run --json x')).toBe('install run --json x | ');
    expect(split('run --help')).toBe('run --help | ');
    expect(split('--wait run')).toBe('--wait run | ');
  });
});
