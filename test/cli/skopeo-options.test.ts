import { describe, expect, it } from 'vitest';
import { buildProgram } from '../../src/cli/program.ts';
import { readSkopeoOptions } from '../../src/cli/tree/skopeo-options.ts';

const read = (line: string): ReturnType<typeof readSkopeoOptions> => readSkopeoOptions(line.split(' '));

describe('a command line as skopeo has it', () => {
  it.each([
    ['--override-arch arm64 copy a b', 'copy --override-arch=arm64 a b'],
    ['--override-os=linux --debug inspect a', '--debug inspect --override-os=linux a'],
    ['--insecure-policy copy -q a b', 'copy --quiet a b'],
    ['--override-arch arm64 list-tags a', 'list-tags a'],
    ['--wait 3 --insecure-policy delete a', '--wait 3 delete a'],
    ['copy --insecure-policy a b', 'copy a b'],
    ['--json run copy --override-arch x -q', '--json run copy --override-arch x -q'],
    ['--insecure-policy install a', '--insecure-policy install a'],
  ])('%s', (line, expected) => {
    expect(read(line)).toEqual({ args: expected.split(' '), environment: {} });
  });

  it('may name the folder for temp files, and the registries.conf', () => {
    expect(read('--tmpdir /x --registries-conf=/y copy a b')).toEqual({
      args: ['copy', 'a', 'b'],
      environment: { TMPDIR: '/x', CONTAINERS_REGISTRIES_CONF: '/y' },
    });
  });

  it.each(['--policy p', '--policy=p', '--registries.d d', '--command-timeout 5m'])(
    'is told why not: %s',
    (option) => {
      expect(() => read(`${option} copy a b`)).toThrow(
        expect.objectContaining({ code: 'usage', hint: expect.stringMatching(/\w/) }),
      );
    },
  );

  it('ends like any other', () => {
    expect(read('--help')).toEqual({ args: ['--help'], environment: {} });
    expect(read('--tmpdir')).toEqual({ args: ['--tmpdir'], environment: {} });
  });
});

describe('the help', () => {
  it('shows no empty list as a default', () => {
    const program = buildProgram('0.0.0', () => undefined);
    const copy = program.commands.find((command) => command.name() === 'copy');
    expect(copy?.helpInformation()).toMatch(/--limit .*\n.*--/);
    expect(copy?.helpInformation()).not.toContain('[]');
    expect(program.helpInformation()).toContain('(default: 30)');
  });
});
