import type { ProgressEvent } from '../../events.ts';
import { formatSize } from '../../app/format-size.ts';

type LayerEvent = Extract<ProgressEvent, { event: 'layer' }>;

interface Row {
  readonly event: LayerEvent;
  readonly startedAt: number;
}

const REDRAW_MS = 100;
const BAR_CELLS = 24;
/** Of a terminal that does not say. */
const COLUMNS = 80;

/** One line a layer on a terminal, drawn over again as bytes come in: bar, bytes, total and rate. */
export class LayerBoard {
  readonly #write: (text: string) => void;
  readonly #columns: () => number;
  readonly #rows = new Map<string, Row>();
  #drawnLines = 0;
  #drawnAt = 0;

  constructor(write: (text: string) => void, columns: () => number) {
    this.#write = write;
    this.#columns = columns;
  }

  update(event: LayerEvent): void {
    const startedAt = this.#rows.get(event.digest)?.startedAt ?? Date.now();
    this.#rows.set(event.digest, { event, startedAt });
    if (event.state === 'progress' && Date.now() - this.#drawnAt < REDRAW_MS) return;
    this.#draw();
  }

  /** Leaves the lines as they are and begins below them; another text may follow. */
  finish(): void {
    if (this.#rows.size === 0) return;
    this.#draw();
    this.#rows.clear();
    this.#drawnLines = 0;
  }

  #draw(): void {
    this.#drawnAt = Date.now();
    const up = this.#drawnLines > 0 ? `\u001b[${this.#drawnLines}A` : '';
    const rows = [...this.#rows.values()];
    // Those that are through are left behind above the others: what is drawn over again must not outgrow the screen.
    const over = rows.filter(({ event }) => isOver(event));
    const lines = [...over, ...rows.filter(({ event }) => !isOver(event))].map(
      (row) => `\r\u001b[2K${formatRow(row).slice(0, (this.#columns() || COLUMNS) - 1)}\n`,
    );
    for (const { event } of over) this.#rows.delete(event.digest);
    this.#drawnLines = this.#rows.size;
    this.#write(up + lines.join(''));
  }
}

function isOver({ state }: LayerEvent): boolean {
  return state === 'done' || state === 'present';
}

function formatRow({ event, startedAt }: Row): string {
  const { digest, state, bytes, total } = event;
  const name = digest.slice(digest.indexOf(':') + 1, digest.indexOf(':') + 13);
  if (state === 'present') return `${name}  already there (${formatSize(total)})`;
  if (state === 'done') return `${name}  done (${formatSize(total)})`;
  const filled = total === 0 ? BAR_CELLS : Math.min(BAR_CELLS, Math.floor((bytes / total) * BAR_CELLS));
  const seconds = Math.max(0.001, (Date.now() - startedAt) / 1000);
  const bar = '#'.repeat(filled).padEnd(BAR_CELLS, '.');
  return `${name}  [${bar}] ${formatSize(bytes)} of ${formatSize(total)}, ${formatSize(Math.round(bytes / seconds))}/s`;
}
