import { readFileSync, writeFileSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { formatManPage } from '../../packaging/man-page.ts';
import { buildProgram } from '../../src/cli/program.ts';

const PAGE = join(import.meta.dirname, '../../docs/man/atomic-ts.1');

describe('the manual page', () => {
  const page = formatManPage(buildProgram('0.0.0', () => undefined));

  it('says what the commands say: write it with UPDATE_MAN=1 after a change of an option', () => {
    if (process.env['UPDATE_MAN'] === '1') writeFileSync(PAGE, page);
    expect(readFileSync(PAGE, 'utf8')).toBe(page);
  });

  it('has a section for every command', () => {
    for (const command of [
      'install',
      'uninstall',
      'update',
      'containers rollback',
      'containers list',
      'pull',
      'copy',
    ]) {
      expect(page).toContain(`.SS ${command}`);
    }
  });

  it('is roff that man can format without a warning', () => {
    const { stdout, stderr, status } = spawnSync('man', ['--warnings', '-l', PAGE], { encoding: 'utf8' });
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).toContain('--no-start');
  });
});
