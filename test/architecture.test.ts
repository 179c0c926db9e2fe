/** The direction of imports, as docs/architecture.md draws it: a folder may import from those below it that it names. */
import { readdirSync, readFileSync } from 'node:fs';
import { join, normalize } from 'node:path';
import { describe, expect, it } from 'vitest';

const ROOT = join(import.meta.dirname, '..');

/** What every folder may import. `host/ports` is the types of the ports; the implementations are another room. */
const EVERYWHERE = new Set(['errors', 'limits', 'events', 'escape', 'make-folder', 'host/ports']);

/** For each room the rooms that it may import from. */
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  errors: [],
  limits: [],
  escape: [],
  'make-folder': [],
  events: ['image'],
  'host/ports': [],
  image: [],
  tree: [],
  stream: ['image'],
  config: ['image', 'stream'],
  transport: ['config', 'stream', 'image'],
  copy: ['transport', 'stream', 'image'],
  store: ['transport', 'stream', 'tree', 'image'],
  container: ['tree', 'image'],
  render: ['container', 'image'],
  rpm: ['container', 'image'],
  service: ['image'],
  transaction: ['image'],
  app: [
    'copy',
    'store',
    'render',
    'rpm',
    'transaction',
    'service',
    'container',
    'transport',
    'config',
    'image',
  ],
  host: ['config', 'image'],
  cli: ['cli/wiring', 'app', 'container', 'image'],
  'cli/wiring': ['app', 'host', 'config', 'render', 'service', 'store'],
};

/** Packages, and the one room each belongs to. */
const OWNERS: Readonly<Record<string, string>> = {
  commander: 'cli',
  ejs: 'render',
  execa: 'host',
  systeminformation: 'host',
  tar: 'transport',
  'smol-toml': 'config',
  undici: 'transport',
  socks: 'transport',
  yaml: 'config',
};

interface Import {
  readonly from: string;
  readonly to: string;
  readonly file: string;
}

function roomOf(path: string): string {
  const inside = path.slice('src/'.length).replace(/\.ts$/, '');
  if (inside in ALLOWED) return inside;
  return inside.split('/')[0] ?? inside;
}

function readImports(): Import[] {
  const files = readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' }).filter((file) =>
    file.endsWith('.ts'),
  );
  return files.flatMap((name) => {
    const file = `src/${name}`;
    const text = readFileSync(join(ROOT, file), 'utf8');
    const specifiers = [...text.matchAll(/(?:from|import\()\s*'([\w./:@-]+)'/g)].map(
      (match) => match[1] ?? '',
    );
    return specifiers.map((specifier) => ({
      file,
      from: roomOf(file),
      to: specifier.startsWith('.') ? roomOf(normalize(join(file, '..', specifier))) : specifier,
    }));
  });
}

const imports = readImports();

describe('imports', () => {
  it('are found at all', () => {
    expect(imports.length).toBeGreaterThan(300);
    expect(imports.some(({ from, to }) => from === 'store' && to === 'stream')).toBe(true);
  });

  it('point downward only', () => {
    const wrong = imports.filter(({ from, to }) => {
      if (!(to in ALLOWED) || from === to || EVERYWHERE.has(to)) return false;
      return ALLOWED[from]?.includes(to) !== true;
    });
    expect(wrong.map(({ file, to }) => `${file} imports from ${to}`)).toEqual([]);
  });

  it('keep each package in its own room', () => {
    const packages = imports.filter(({ to }) => !(to in ALLOWED) && !to.startsWith('node:'));
    const wrong = packages.filter(({ from, to }) => OWNERS[to] !== from);
    expect(wrong.map(({ file, to }) => `${file} imports ${to}`)).toEqual([]);
    expect([...new Set(packages.map(({ to }) => to))].sort()).toEqual(Object.keys(OWNERS).sort());
  });

  it('have no circles between rooms', () => {
    const reaches = (from: string, to: string, seen = new Set<string>()): boolean => {
      if (seen.has(from)) return false;
      seen.add(from);
      return (ALLOWED[from] ?? []).some((next) => next === to || reaches(next, to, seen));
    };
    expect(Object.keys(ALLOWED).filter((room) => reaches(room, room))).toEqual([]);
  });

  it('start other programs and read the process in host/ and cli/ only', () => {
    const files = imports.filter(({ to, from }) => to === 'node:child_process' && from !== 'host');
    expect(files.map(({ file }) => file)).toEqual([]);
  });
});
