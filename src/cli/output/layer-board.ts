import type { ProgressEvent } from '../../events.ts';
import { formatSize } from '../../app/format-size.ts';

type LayerEvent = Extract<ProgressEvent, { event: 'layer' }>;

interface Row {
  readonly event: LayerEvent;
  readonly startedAt: number;
}

const REDRAW_MS = 100;
const BAR_CELLS = 24;
/** Of fewer cells a bar says nothing. */
const LEAST_BAR_CELLS = 4;
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
    const room = (this.#columns() || COLUMNS) - 1;
    const lines = [...over, ...rows.filter(({ event }) => !isOver(event))].map(
      (row) => `\r\u001b[2K${formatRow(row, room).slice(0, room)}\n`,
    );
    for (const { event } of over) this.#rows.delete(event.digest);
    this.#drawnLines = this.#rows.size;
    this.#write(up + lines.join(''));
  }
}

function isOver({ state }: LayerEvent): boolean {
  return state === 'done' || state === 'present';
}

/** On a narrow terminal the bar gets shorter, and goes before the figures do. */
function formatRow({ event, startedAt }: Row, room: number): string {
  const { digest, state, bytes, total } = event;
  const name = digest.slice(digest.indexOf(':') + 1, digest.indexOf(':') + 13);
  if (state === 'present') return `${name}  already there (${formatSize(total)})`;
  if (state === 'done') return `${name}  done (${formatSize(total)})`;
  const seconds = Math.max(0.001, (Date.now() - startedAt) / 1000);
  const figures = `${formatSize(bytes)} of ${formatSize(total)}, ${formatSize(Math.round(bytes / seconds))}/s`;
  const cells = Math.min(BAR_CELLS, room - `${name}  [] ${figures}`.length);
  if (cells < LEAST_BAR_CELLS) return `${name}  ${figures}`;
  const filled = total === 0 ? cells : Math.min(cells, Math.floor((bytes / total) * cells));
  return `${name}  [${'#'.repeat(filled).padEnd(cells, '.')}] ${figures}`;
}
