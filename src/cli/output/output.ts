/**
 * Everything that people and scripts read. Results and atomic's own lines go to stdout; progress, notices, warnings and
 * errors to stderr. With --json stdout holds one JSON document and stderr one JSON object a line.
 */
import { AtomicError, messageOf } from '../../errors.ts';
import type { ProgressEvent } from '../../events.ts';
import { escapeControls } from '../../escape.ts';
import { HINTS } from './hints.ts';
import { LayerBoard } from './layer-board.ts';
import { formatSize } from '../../app/format-size.ts';

export interface OutputOptions {
  readonly json: boolean;
  readonly quiet: boolean;
  readonly debug: boolean;
}

export class Output {
  readonly options: OutputOptions;
  readonly #board: LayerBoard | undefined;

  constructor(options: OutputOptions) {
    this.options = options;
    const onTerminal = process.stderr.isTTY && process.env['TERM'] !== 'dumb';
    this.#board =
      onTerminal && !options.json && !options.quiet
        ? new LayerBoard(
            (text) => void process.stderr.write(text),
            () => process.stderr.columns,
          )
        : undefined;
  }

  /** A line of the command's own result. */
  line(text: string): void {
    this.#board?.finish();
    process.stdout.write(`${escapeControls(text)}\n`);
  }

  /** The result of a command: the JSON document, or the lines that a person reads. */
  result(document: unknown, lines: readonly string[]): void {
    if (this.options.json) this.#json(process.stdout, JSON.stringify(document, undefined, 4));
    else for (const line of lines) this.line(line);
  }

  /** Bytes for a file or another program; a terminal is given nothing that would act there. */
  bytes(bytes: Uint8Array): void {
    this.#board?.finish();
    process.stdout.write(process.stdout.isTTY ? escapeControls(Buffer.from(bytes).toString()) : bytes);
  }

  readonly report = (event: ProgressEvent): void => {
    if (this.options.json) {
      this.#json(process.stderr, JSON.stringify(event));
      return;
    }
    switch (event.event) {
      case 'step':
        if (!this.options.quiet) this.line(event.text);
        return;
      case 'warning':
        this.#told(`Warning: ${event.text}`);
        return;
      case 'notice':
        if (!this.options.quiet) this.#told(event.text);
        return;
      case 'retry':
        if (!this.options.quiet) this.#told(`${event.text} in ${(event.waitMs / 1000).toFixed(1)} s`);
        return;
      case 'resolved':
        if (!this.options.quiet)
          this.#told(
            `Image ${event.image} is ${event.digest}, ${event.layers} ${event.layers === 1 ? 'layer' : 'layers'}`,
          );
        return;
      case 'layer':
        this.#layer(event);
    }
  };

  error(error: unknown): void {
    this.#board?.finish();
    const ours = error instanceof AtomicError ? error : undefined;
    const advice = ours?.hint ?? (ours === undefined ? undefined : HINTS[ours.code]);
    if (this.options.json) {
      const { code = 'internal', details, trouble } = ours ?? {};
      const told = { event: 'error', code, message: sentenceOf(error), hint: advice, details, trouble };
      this.#json(process.stderr, JSON.stringify(told));
    } else {
      const shown = [ours?.details, sentenceOf(error), advice, ...(ours?.trouble ?? [])];
      for (const text of shown) if (text !== undefined && text !== '') this.#told(text);
    }
    if (this.options.debug || ours === undefined) this.#trace(error);
  }

  #layer(event: Extract<ProgressEvent, { event: 'layer' }>): void {
    if (this.options.quiet) return;
    if (this.#board !== undefined) this.#board.update(event);
    else if (event.state === 'started')
      this.#told(`Copying blob ${event.digest} (${formatSize(event.total)})`);
    else if (event.state === 'present') this.#told(`Blob ${event.digest} is already there`);
  }

  /** What JSON leaves as it is, and a terminal would act on, is the same to a parser as `\uXXXX`. */
  #json(stream: NodeJS.WriteStream, text: string): void {
    stream.write(`${escapeControls(text)}\n`);
  }

  #told(text: string): void {
    this.#board?.finish();
    process.stderr.write(`${escapeControls(text)}\n`);
  }

  /** A defect of ours, or a person who asked: where it came from, causes included. */
  #trace(error: unknown): void {
    for (let at = error; at instanceof Error; at = at.cause)
      process.stderr.write(`${escapeControls(at.stack ?? at.message)}\n`);
  }
}

/** What is wrong is named so that it can stand in the middle of a sentence too: "the config of x". */
function sentenceOf(error: unknown): string {
  return messageOf(error).replace(
    /^(?:the|an?)(?= )/,
    (article) => `${article[0]?.toUpperCase()}${article.slice(1)}`,
  );
}
