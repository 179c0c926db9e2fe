import { FUNCTIONS } from './functions.ts';
import { templateError } from './lex.ts';
import { parseTemplate, type Block, type Node, type Operand, type Pipeline } from './parse.ts';
import { printValue } from './print.ts';
import { entriesOf, isList, isTrue, Struct, type Value } from './values.ts';

/**
 * Fills a template of Go's text/template with data. Nothing is run but what stands in `functions.ts`.
 * @throws AtomicError `usage` for what is not understood, and for fields that the data does not have
 */
export function renderTemplate(template: string, data: Value): string {
  return new Evaluation().run(parseTemplate(template), data, new Scope(undefined, data));
}

/** The variables of a block, and those around it; `$` is the data. */
class Scope {
  readonly #outer: Scope | undefined;
  readonly #values: Map<string, Value>;

  constructor(outer: Scope | undefined, data?: Value) {
    this.#outer = outer;
    this.#values = new Map(outer === undefined ? [['', data]] : []);
  }

  get(name: string): Value {
    const scope = this.#find(name);
    if (scope === undefined) throw templateError(`uses $${name}, which is not set`);
    return scope.#values.get(name);
  }

  set(name: string, value: Value, declares: boolean): void {
    const scope = declares ? this : this.#find(name);
    if (scope === undefined) throw templateError(`gives $${name} a value, and there is no such variable`);
    scope.#values.set(name, value);
  }

  #find(name: string): Scope | undefined {
    if (this.#values.has(name)) return this;
    return this.#outer === undefined ? undefined : this.#outer.#find(name);
  }
}

class Evaluation {
  run(block: Block, dot: Value, scope: Scope): string {
    return block.map((node) => this.#runNode(node, dot, scope)).join('');
  }

  #runNode(node: Node, dot: Value, scope: Scope): string {
    switch (node.kind) {
      case 'text':
        return node.text;
      case 'print': {
        const value = this.#evaluate(node.pipeline, dot, scope);
        return node.pipeline.names.length > 0 ? '' : printValue(value);
      }
      case 'range':
        return this.#runRange(node, dot, scope);
      case 'if':
      case 'with': {
        const inner = new Scope(scope);
        const value = this.#evaluate(node.pipeline, dot, inner);
        if (!isTrue(value)) return this.run(node.otherwise, dot, inner);
        return this.run(node.body, node.kind === 'with' ? value : dot, new Scope(inner));
      }
    }
  }

  #runRange(node: Exclude<Node, { kind: 'text' | 'print' }>, dot: Value, scope: Scope): string {
    const { pipeline, body, otherwise } = node;
    const outer = new Scope(scope);
    const entries = listEntries(this.#evaluate({ ...pipeline, names: [] }, dot, outer), pipeline.source);
    if (entries.length === 0) return this.run(otherwise, dot, outer);
    return entries
      .map(([key, value]) => {
        const inner = new Scope(outer);
        const given = pipeline.names.length > 1 ? [key, value] : [value];
        pipeline.names.forEach((name, i) => inner.set(name, given[i], pipeline.declares));
        return this.run(body, value, inner);
      })
      .join('');
  }

  /** A pipeline's value, which its variable is given. */
  #evaluate({ names, declares, commands, source }: Pipeline, dot: Value, scope: Scope): Value {
    let piped: Value[] = [];
    for (const [first, ...rest] of commands) {
      if (first === undefined) continue;
      const given = [...rest.map((operand) => this.#evaluateOperand(operand, dot, scope)), ...piped];
      if (first.base.kind === 'function') {
        piped = [takeFields(callFunction(first.base.name, given), first.fields)];
      } else if (given.length > 0) {
        throw templateError(`gives arguments to what is no function in {{${source}}}`);
      } else {
        piped = [this.#evaluateOperand(first, dot, scope)];
      }
    }
    for (const name of names) scope.set(name, piped[0], declares);
    return piped[0];
  }

  #evaluateOperand({ base, fields }: Operand, dot: Value, scope: Scope): Value {
    switch (base.kind) {
      case 'dot':
        return takeFields(dot, fields);
      case 'variable':
        return takeFields(scope.get(base.name), fields);
      case 'literal':
        return takeFields(base.value, fields);
      case 'function':
        return takeFields(callFunction(base.name, []), fields);
      case 'pipeline':
        return takeFields(this.#evaluate(base.pipeline, dot, new Scope(scope)), fields);
    }
  }
}

function callFunction(name: string, given: readonly Value[]): Value {
  const call = FUNCTIONS.get(name);
  if (call !== undefined) return call(given);
  throw templateError(`uses "${name}", which is no function; there are ${[...FUNCTIONS.keys()].join(', ')}`);
}

function takeFields(value: Value, names: readonly string[]): Value {
  return names.reduce(takeField, value);
}

function takeField(value: Value, name: string): Value {
  if (value instanceof Struct) {
    const field = value.find(name);
    if (field !== undefined) return field.value;
    const there = value.fields.map((other) => `.${other.name}`).join(', ');
    throw templateError(`names .${name}, and there is no such field; there are ${there}`);
  }
  if (value instanceof Map) return (value as ReadonlyMap<string, Value>).get(name);
  throw templateError(`takes the field .${name} of ${describe(value)}, which has none`);
}

/** What `range` goes through: keys and values. */
function listEntries(value: Value, source: string): [Value, Value][] {
  if (value === null || value === undefined) return [];
  if (isList(value)) return value.map((item, i) => [i, item]);
  if (value instanceof Map) return entriesOf(value as ReadonlyMap<string, Value>);
  throw templateError(`goes through ${describe(value)} in {{${source}}}, which is no list`);
}

function describe(value: Value): string {
  if (value === null || value === undefined) return 'nothing';
  if (isList(value)) return 'a list';
  if (typeof value === 'object') return value instanceof Struct ? 'a record' : 'a time';
  return JSON.stringify(value);
}
