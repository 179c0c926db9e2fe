import { lexTemplate, templateError, type Token, type Word } from './lex.ts';

export type Node =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'print'; readonly pipeline: Pipeline }
  | {
      readonly kind: 'if' | 'with' | 'range';
      readonly pipeline: Pipeline;
      readonly body: Block;
      readonly otherwise: Block;
    };

export type Block = readonly Node[];

/** `$name, $other := command | command` */
export interface Pipeline {
  readonly names: readonly string[];
  /** Whether `:=` makes the names; `=` gives those there are another value. */
  readonly declares: boolean;
  readonly commands: readonly Command[];
  /** The words it was written in. */
  readonly source: string;
}

/** A function, or one value; then what the function is given. */
export type Command = readonly Operand[];

export interface Operand {
  readonly base:
    | { readonly kind: 'dot' }
    | { readonly kind: 'variable' | 'function'; readonly name: string }
    | { readonly kind: 'literal'; readonly value: string | number | boolean | null }
    | { readonly kind: 'pipeline'; readonly pipeline: Pipeline };
  /** Taken of it one after the other. */
  readonly fields: readonly string[];
}

const LITERALS: ReadonlyMap<string, boolean | null> = new Map([
  ['true', true],
  ['false', false],
  ['nil', null],
]);

/**
 * Reads a template of Go's text/template: values, variables, pipelines, functions, `if`, `with`, `range`. No templates in
 * templates, no `break` and `continue`.
 * @throws AtomicError `usage`, naming what was not understood
 * @see https://pkg.go.dev/text/template
 */
export function parseTemplate(template: string): Block {
  const parser = new BlockParser(lexTemplate(template));
  const { block, end } = parser.parseBlock();
  if (end !== undefined)
    throw templateError(`has {{${end.source}}} without an "if", "with" or "range" before it`);
  return block;
}

type Action = Extract<Token, { kind: 'action' }>;

class BlockParser {
  readonly #tokens: readonly Token[];
  #at = 0;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  /** Up to its `end` or `else`, or to the end of everything. */
  parseBlock(): { block: Block; end: Action | undefined } {
    const block: Node[] = [];
    for (;;) {
      const token = this.#tokens[this.#at++];
      if (token === undefined) return { block, end: undefined };
      if (token.kind === 'text') {
        block.push(token);
        continue;
      }
      const word = keywordOf(token);
      if (word === 'end' || word === 'else') return { block, end: token };
      block.push(this.#parseAction(token, word));
    }
  }

  #parseAction(action: Action, word: string): Node {
    switch (word) {
      case 'if':
      case 'with':
      case 'range':
        return this.#parseBranches(action, word, 1);
      case 'define':
      case 'template':
      case 'block':
      case 'break':
      case 'continue':
        throw templateError(`has {{${action.source}}}, and "${word}" is not supported`);
      default:
        return { kind: 'print', pipeline: parsePipeline(action, 0) };
    }
  }

  /** @param skipped words before the condition: `if`, or `else if` */
  #parseBranches(action: Action, kind: 'if' | 'with' | 'range', skipped: number): Node {
    const pipeline = parsePipeline(action, skipped);
    if (pipeline.names.length > 1 && kind !== 'range') {
      throw templateError(`has {{${action.source}}}, and only "range" gives two variables`);
    }
    const { block, end } = this.parseBlock();
    if (end === undefined) throw templateError(`has {{${action.source}}} without its {{end}}`);
    if (keywordOf(end) === 'end') return { kind, pipeline, body: block, otherwise: [] };
    const next = end.words[1];
    if (next?.kind === 'name' && (next.text === 'if' || next.text === 'with')) {
      return { kind, pipeline, body: block, otherwise: [this.#parseBranches(end, next.text, 2)] };
    }
    const otherwise = this.parseBlock();
    if (otherwise.end === undefined || keywordOf(otherwise.end) !== 'end') {
      throw templateError(`has {{${action.source}}} without its {{end}}`);
    }
    return { kind, pipeline, body: block, otherwise: otherwise.block };
  }
}

function keywordOf({ words: [first] }: Action): string {
  return first?.kind === 'name' ? first.text : '';
}

function parsePipeline({ words, source }: Action, skipped: number): Pipeline {
  const parser = new PipelineParser(words.slice(skipped), source);
  const pipeline = parser.parse();
  if (!parser.isAtEnd) throw templateError(`has a ")" too many in {{${source}}}`);
  return pipeline;
}

class PipelineParser {
  readonly #words: readonly Word[];
  readonly #source: string;
  #at = 0;

  constructor(words: readonly Word[], source: string) {
    this.#words = words;
    this.#source = source;
  }

  get isAtEnd(): boolean {
    return this.#at === this.#words.length;
  }

  /** Up to a closing parenthesis or the end. */
  parse(): Pipeline {
    const { names, declares } = this.#parseNames();
    const commands: Command[] = [this.#parseCommand()];
    while (this.#takeSign('|')) commands.push(this.#parseCommand());
    return { names, declares, commands, source: this.#source };
  }

  #parseNames(): { names: string[]; declares: boolean } {
    const start = this.#at;
    const names: string[] = [];
    do {
      const word = this.#words[this.#at];
      if (word?.kind !== 'variable') break;
      names.push(word.text);
      this.#at++;
    } while (this.#takeSign(','));
    if (names.length > 0 && this.#takeSign(':=')) return { names, declares: true };
    if (names.length > 0 && this.#takeSign('=')) return { names, declares: false };
    this.#at = start;
    return { names: [], declares: false };
  }

  #parseCommand(): Command {
    const operands: Operand[] = [];
    for (let word = this.#words[this.#at]; word !== undefined; word = this.#words[this.#at]) {
      if (word.kind === 'sign' && word.text !== '(') break;
      this.#at++;
      operands.push({ base: this.#parseBase(word), fields: this.#parseFields(word) });
    }
    if (operands.length > 0) return operands;
    throw templateError(`has a value missing in {{${this.#source}}}`);
  }

  #parseBase(word: Word): Operand['base'] {
    switch (word.kind) {
      case 'string':
        return { kind: 'literal', value: word.text };
      case 'number':
        return { kind: 'literal', value: word.value };
      case 'variable':
        return { kind: 'variable', name: word.text };
      case 'name': {
        const value = LITERALS.get(word.text);
        return value === undefined ? { kind: 'function', name: word.text } : { kind: 'literal', value };
      }
      case 'field':
        return { kind: 'dot' };
      case 'sign': {
        const pipeline = this.parse();
        if (!this.#takeSign(')')) throw templateError(`has a "(" without ")" in {{${this.#source}}}`);
        return { kind: 'pipeline', pipeline };
      }
    }
  }

  #parseFields(first: Word): string[] {
    const fields = first.kind === 'field' && first.text !== '' ? [first.text] : [];
    for (
      let word = this.#words[this.#at];
      word?.kind === 'field' && word.joined;
      word = this.#words[this.#at]
    ) {
      fields.push(word.text);
      this.#at++;
    }
    return fields;
  }

  #takeSign(text: string): boolean {
    const word = this.#words[this.#at];
    const found = word?.kind === 'sign' && word.text === text;
    if (found) this.#at++;
    return found;
  }
}
