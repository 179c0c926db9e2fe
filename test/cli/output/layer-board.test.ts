import { describe, expect, it } from 'vitest';
import { digestFromHex } from '../../../src/image/digest.ts';
import { LayerBoard } from '../../../src/cli/output/layer-board.ts';

type Event = Parameters<LayerBoard['update']>[0];

const layer = (letter: string, state: Event['state']): Event => ({
  event: 'layer',
  digest: digestFromHex('sha256', letter.repeat(64)),
  state,
  bytes: 1,
  total: 2,
});

describe('the board of layers', () => {
  it('draws only those over again that are under way', () => {
    let text = '';
    const board = new LayerBoard(
      (more) => (text += more),
      () => 80,
    );
    for (const letter of 'abc') board.update(layer(letter, 'started'));
    board.update(layer('b', 'done'));
    text = '';
    board.update(layer('a', 'done'));
    expect(text.startsWith('\u001b[2A')).toBe(true);
    expect(text).toMatch(/aaaaaaaaaaaa {2}done.*\n.*cccccccccccc/s);
    expect(text).not.toContain('bbb');
    board.update(layer('c', 'present'));
    text = '';
    board.finish();
    expect(text).toBe('');
  });

  it('cuts nothing where the terminal has no width', () => {
    let text = '';
    new LayerBoard(
      (more) => (text += more),
      () => 0,
    ).update(layer('a', 'done'));
    expect(text).toBe('\r\u001b[2Kaaaaaaaaaaaa  done (2.0 B)\n');
  });

  it.each([
    [100, /^a{12} {2}\[#{12}\.{12}\] 1\.0 B of 2\.0 B, \S+ \S+\/s$/],
    [50, /^a{12} {2}\[#+\.+\] 1\.0 B of 2\.0 B, \S+ \S+\/s$/],
    [40, /^a{12} {2}1\.0 B of 2\.0 B, \S+ \S+\/s$/],
  ])('shows the figures before the bar, in %d columns', (columns, row) => {
    let text = '';
    new LayerBoard(
      (more) => (text += more),
      () => columns,
    ).update(layer('a', 'started'));
    const shown = text.replace('\r\u001b[2K', '').trimEnd();
    expect(shown).toMatch(row);
    expect(shown.length).toBeLessThan(columns);
  });
});
