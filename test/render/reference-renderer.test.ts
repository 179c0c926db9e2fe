/** Whatever an image has in /exports, we make of it what atomic made of it: Python's string.Template, byte for byte. */
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readExports, type Exports } from '../../src/container/exports.ts';
import { parseContainerName } from '../../src/container/name.ts';
import { computeValues } from '../../src/container/values.ts';
import { AtomicError } from '../../src/errors.ts';
import { listVariables, substitute } from '../../src/render/substitute.ts';
import { valuesContext } from './deployment-input.ts';
import { exportsFolders } from './exports-folders.ts';
import { askPython, type Case } from './python.ts';

const FILES = {
  'config.json.template': 'configTemplate',
  'service.template': 'serviceTemplate',
  'tmpfiles.template': 'tmpfilesTemplate',
} as const;

interface Template {
  /** As our own reader gives it. */
  readonly text: string;
  /** For Python. */
  readonly source: Case['text'];
  readonly values: Case['values'];
}

let root: string;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'templates-'));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

function ours({ text, values }: Template): string {
  try {
    return substitute(text, 'P', values);
  } catch (error) {
    if (error instanceof AtomicError) return error.message;
    throw error;
  }
}

function python(templates: readonly Template[]): string[] {
  return askPython(templates.map(({ source, values }) => ({ text: source, values })));
}

/** Every text of an image that is a template, with the values of an installation. */
function templatesOf(exports: Exports, folder: string): Template[] {
  const { values } = computeValues({
    ...valuesContext(),
    name: parseContainerName('x'),
    deploymentDirectory: '/c/x.0',
    unitUsesPidfile: false,
    manifestDefaults: exports.manifest.defaultValues,
  });
  const files = Object.entries(FILES).flatMap(([name, key]): Template[] => {
    const text = exports[key];
    return text === undefined ? [] : [{ text, source: { file: join(folder, name) }, values }];
  });
  const renames = Object.values(exports.manifest.renameFiles).map((text) => ({ text, source: text, values }));
  return [...files, ...renames];
}

/** A template with a value for all that it names; without each in turn; and cut off behind each of its dollars. */
function variations(template: Template): Template[] {
  const { text } = template;
  const names = listVariables(text);
  const complete = Object.fromEntries(names.map((name) => [name, `<${name}>`]));
  const cuts = [...text.matchAll(/\$/g)].flatMap(({ index }) => [
    text.slice(0, index + 1),
    `${text.slice(0, index + 1)}1${text.slice(index + 1)}`,
    `${text.slice(0, index + 1)}{${text.slice(index + 1)}`,
  ]);
  return [
    template,
    { ...template, values: complete },
    ...names.map((name) => ({
      ...template,
      values: Object.fromEntries(Object.entries(complete).filter(([other]) => other !== name)),
    })),
    ...cuts.map((cut) => ({ text: cut, source: cut, values: complete })),
  ];
}

describe('the reference renderer agrees with us', () => {
  it('on the templates of images, whole and broken', async () => {
    const all: { name: string; templates: Template[] }[] = [];
    for (const { name, path } of exportsFolders()) {
      const rootfs = join(root, name.replace('/', '-'));
      mkdirSync(rootfs);
      cpSync(path, join(rootfs, 'exports'), { recursive: true });
      all.push({ name, templates: templatesOf(await readExports(rootfs), join(rootfs, 'exports')) });
    }
    const cases = all.flatMap(({ name, templates }) =>
      templates.flatMap(variations).map((template) => ({ name, template })),
    );
    const answers = python(cases.map(({ template }) => template));
    const differing = cases.filter(({ template }, i) => ours(template) !== answers[i]);
    expect(differing.map(({ name, template }) => [name, template.source, ours(template)])).toEqual([]);
    const count = all.reduce((sum, { templates }) => sum + templates.length, 0);
    expect(count).toBeGreaterThan(20);
    expect(cases.length).toBeGreaterThan(10 * count);
  });

  it('on generated files: other line ends, letters of all kinds, dollars at any place', async () => {
    const piece = fc.oneof(
      fc.constantFrom(...'$ $$ $a ${b} ${ { } $UNSET $_9 a ſ K ı é 😀 _ 9 \uFEFF'.split(' ')),
      fc.constantFrom(...'\n \r \r\n \v \f \x1C \x1D \x1E \x1F \x85 \u2028 \u2029'.split(' ')),
      fc.string({ unit: 'binary', maxLength: 3 }),
    );
    const texts = fc.sample(fc.array(piece, { maxLength: 10 }), { numRuns: 400, seed: 20_26 });
    const values = { a: 'A', b: '$x é', _9: 9 };
    const cases: Template[] = [];
    for (const [i, pieces] of texts.entries()) {
      const rootfs = join(root, `generated-${i}`);
      const file = join(rootfs, 'exports/service.template');
      mkdirSync(join(rootfs, 'exports'), { recursive: true });
      writeFileSync(file, pieces.join(''));
      const { serviceTemplate = '' } = await readExports(rootfs);
      cases.push({ text: serviceTemplate, source: { file }, values });
    }
    const answers = python(cases);
    expect(cases.map(ours)).toEqual(answers);
    // Of each kind there are some.
    expect(answers.filter((answer) => answer.startsWith('Invalid placeholder')).length).toBeGreaterThan(50);
    expect(answers.filter((answer) => answer.includes('still contains')).length).toBeGreaterThan(10);
  });
});
