import { escapeControls } from '../../escape.ts';

export interface Column {
  readonly heading: string;
  /** The width of a column whose cells are shorter. */
  readonly width: number;
  /** Cells that are longer are cut off; else the column grows. */
  readonly cut?: boolean;
  /** Blanks that a column which grows keeps behind its longest cell. */
  readonly margin?: number;
}

/**
 * A table in atomic's form: cells padded with blanks, the last one too, and one blank between two.
 * A cell is one line of visible characters, whatever an image put there.
 */
export function formatTable(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  { heading }: { readonly heading: boolean },
): string[] {
  const cells = rows.map((row) => columns.map((_column, i) => toCell(row[i] ?? '')));
  const widths = columns.map(({ width, cut, margin = 0 }, i) =>
    cut === true ? width : Math.max(width, ...cells.map((row) => (row[i]?.length ?? 0) + margin)),
  );
  const format = (row: readonly (readonly string[])[]): string =>
    row
      .map((cell, i) => {
        const shown = columns[i]?.cut === true ? cell.slice(0, widths[i]) : cell;
        return shown.join('') + ' '.repeat(Math.max(0, (widths[i] ?? 0) - shown.length));
      })
      .join(' ');
  const headings = columns.map((column) => Array.from(column.heading));
  return (heading ? [headings, ...cells] : cells).map(format);
}

/** Its characters: one that JavaScript keeps in two units is cut as a whole or not at all. */
function toCell(text: string): string[] {
  return Array.from(escapeControls(text.replace(/[\t\n]/g, ' ')));
}
