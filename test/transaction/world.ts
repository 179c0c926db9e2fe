/** A host in a temp folder with a fake systemd, whose every call can be counted, made to fail, or be the last one. */
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { appendFile, link, mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { ProgressEvent } from '../../src/events.ts';
import { createExec } from '../../src/host/exec.ts';
import { createFiles } from '../../src/host/files.ts';
import type { HostFiles } from '../../src/host/ports.ts';
import type {
  PackageManager,
  RuntimeContainers,
  ServiceManager,
  StartVerdict,
  StepContext,
} from '../../src/transaction/context.ts';

const realFiles = createFiles(createExec());

/** A package file of such a host, as JSON. */
export interface PackageFixture {
  readonly name: string;
  readonly version: string;
  readonly files: Readonly<Record<string, string>>;
}

/** What only looks, and so is no place to die at. */
const LOOKS = new Set([
  'exists',
  'isDirectory',
  'isSame',
  'list',
  'readLink',
  'readIfExists',
  'missingParents',
  'state',
  'standsNow',
  'installed',
  'database',
  'listAltered',
]);
/** Where enabled units are linked to. */
const WANTS = 'units/multi-user.target.wants';

export class World {
  readonly root: string;
  readonly active = new Set<string>();
  /** Of the runtime. */
  readonly containers = new Set<string>();
  /** Files of packages by the names of those that are installed: what rpm's database has. */
  readonly packages = new Map<string, PackageFixture>();
  /** Every call that changes something, and every line of a journal. */
  readonly log: string[] = [];
  /** The same of those that found something to do. */
  readonly effects: string[] = [];
  readonly events: ProgressEvent[] = [];
  /** How the start of a unit goes that did not run before, and of one that did. */
  verdict: StartVerdict = { ok: true };
  again: StartVerdict = { ok: true };
  /** Whether what makes things durable is a call like any other. */
  watchSyncs = false;
  /** Called before a change; may throw. */
  before: (call: string, number: number) => void = () => undefined;
  /** Called after it. */
  after: (call: string, number: number) => void = () => undefined;
  #calls = 0;

  constructor(root: string) {
    this.root = root;
    mkdirSync(root, { recursive: true });
  }

  at(path: string): string {
    return join(this.root, path);
  }

  get enabled(): ReadonlySet<string> {
    const names = existsSync(this.at(WANTS)) ? readdirSync(this.at(WANTS)) : [];
    const links = names.filter((name) => !name.startsWith('.'));
    return new Set(links.map((name) => name.replace(/\.service$/, '')));
  }

  /** As systemctl does it: with the folder, and without. */
  enable(unit: string): void {
    mkdirSync(this.at(WANTS), { recursive: true });
    const link = this.at(`${WANTS}/${unit}.service`);
    if (!existsSync(link)) symlinkSync(this.at(`units/${unit}.service`), link);
  }

  disable(unit: string): void {
    rmSync(this.at(`${WANTS}/${unit}.service`), { force: true });
    if (existsSync(this.at(WANTS)) && readdirSync(this.at(WANTS)).length === 0) rmdirSync(this.at(WANTS));
  }

  get calls(): number {
    return this.#calls;
  }

  context(signal: AbortSignal = new AbortController().signal): StepContext {
    return {
      files: this.#watch(this.#files()),
      services: this.#watch(this.#services()),
      containers: this.#watch(this.#runtime()),
      store: this.#watch({ collectGarbage: () => Promise.resolve() }),
      packages: this.#watch(this.#rpm()),
      report: (event) => void this.events.push(event),
      signal,
    };
  }

  /** Everything but journals, staging and trash; units in /run are forgotten by nobody. */
  snapshot(): Record<string, string> {
    const lines: Record<string, string> = {
      enabled: [...this.enabled].sort().join(' '),
      active: [...this.active].sort().join(' '),
      containers: [...this.containers].sort().join(' '),
      rpm: [...this.packages]
        .map(([name, { version }]) => `${name}-${version}`)
        .sort()
        .join(' '),
    };
    const visit = (path: string): void => {
      const absolute = this.at(path);
      const stats = lstatSync(absolute);
      const mode = (stats.mode & 0o7777).toString(8);
      const owner = stats.uid === 0 ? '' : ` of ${stats.uid}:${stats.gid}`;
      if (stats.isSymbolicLink()) lines[path] = `-> ${readlinkSync(absolute)}${owner}`;
      else if (stats.isFile()) lines[path] = `${mode}${owner} ${readFileSync(absolute, 'latin1')}`;
      else {
        lines[path] = `dir ${mode}${owner}`;
        for (const name of readdirSync(absolute))
          if (!['journal', 'staging', 'trash'].includes(name)) visit(join(path, name));
      }
    };
    visit('.');
    return lines;
  }

  /** Without waiting for a disk, and without programs. */
  #files(): HostFiles {
    return {
      ...realFiles,
      createFile: (path, content, mode) => writeFile(path, content, { mode, flag: 'wx' }),
      install: async ({ path, kind, mode, content, target }, temporary) => {
        await mkdir(dirname(path), { recursive: true });
        if (kind === 'directory') return mkdir(path, { mode });
        if (kind === 'symlink') await symlink(target ?? '', temporary);
        else await writeFile(temporary, content ?? '', { mode, flag: 'wx' });
        await link(temporary, path);
      },
      removeTree: (path) => rm(path, { recursive: true, force: true }),
      syncDirectory: () => Promise.resolve(),
      syncFilesystem: () => Promise.resolve(),
      createJournal: async (path) => {
        await (await realFiles.createJournal(path)).close();
        return this.#watch({
          append: (line: string) => appendFile(path, line),
          close: () => Promise.resolve(),
        });
      },
    };
  }

  #services(): ServiceManager {
    const done = Promise.resolve();
    const change = (act: () => void): Promise<void> => {
      act();
      return done;
    };
    return {
      daemonReload: () => done,
      enable: (unit) => change(() => this.enable(unit)),
      disable: (unit) => change(() => this.disable(unit)),
      disableNow: (unit) =>
        change(() => {
          this.disable(unit);
          this.active.delete(unit);
        }),
      start: (unit) =>
        change(() => {
          this.active.add(unit);
          this.containers.add(unit);
        }),
      stop: (unit) => change(() => this.active.delete(unit)),
      resetFailed: () => done,
      state: (unit) => Promise.resolve({ active: this.active.has(unit), enabled: this.enabled.has(unit) }),
      waitSettled: (unit) => Promise.resolve(unit === 'more' ? this.verdict : this.again),
      tmpfilesCreate: (path) =>
        change(() => {
          for (const [kind, target] of linesOf(path)) {
            if (existsSync(target)) continue;
            if (kind === 'd') mkdirSync(target, { recursive: true });
            else {
              mkdirSync(dirname(target), { recursive: true });
              writeFileSync(target, 'made');
            }
          }
        }),
      tmpfilesRemove: (path) =>
        change(() => {
          for (const [, target] of linesOf(path)) rmSync(target, { recursive: true, force: true });
        }),
    };
  }

  #runtime(): RuntimeContainers {
    return {
      exists: (_runtime, container) => Promise.resolve(this.containers.has(container)),
      remove: (_runtime, container) => Promise.resolve(void this.containers.delete(container)),
      run: (_runtime, container) => Promise.resolve(void this.containers.add(container)),
    };
  }

  /** As rpm does it: it writes over what is there, and makes folders that stay. */
  #rpm(): PackageManager {
    const remove = (files: readonly string[]): void => {
      for (const path of files) rmSync(this.at(path), { force: true });
    };
    return {
      installed: (name) => Promise.resolve(this.packages.get(name)?.version),
      database: () => Promise.resolve(this.at('rpmdb')),
      listAltered: (name) => {
        const files = Object.entries(this.packages.get(name)?.files ?? {});
        const read = (path: string): string | undefined =>
          existsSync(this.at(path)) ? readFileSync(this.at(path), 'utf8') : undefined;
        return Promise.resolve(
          files.flatMap(([path, content]) => (read(path) === content ? [] : [this.at(path)])),
        );
      },
      upgrade: (file) => {
        const next = JSON.parse(readFileSync(file, 'utf8')) as PackageFixture;
        const old = Object.keys(this.packages.get(next.name)?.files ?? {});
        remove(old.filter((path) => !(path in next.files)));
        for (const [path, content] of Object.entries(next.files)) {
          mkdirSync(dirname(this.at(path)), { recursive: true });
          remove([path]);
          writeFileSync(this.at(path), content);
        }
        this.packages.set(next.name, next);
        return Promise.resolve();
      },
      erase: (name) => {
        remove(Object.keys(this.packages.get(name)?.files ?? {}));
        this.packages.delete(name);
        return Promise.resolve();
      },
    };
  }

  /** Each changing method logs itself and asks the hooks. */
  #watch<T extends object>(target: T): T {
    return new Proxy(target, {
      get: (object, name: string) => {
        const value: unknown = Reflect.get(object, name);
        if (typeof value !== 'function' || LOOKS.has(name) || name === 'close') return value;
        if (name.startsWith('sync') && !this.watchSyncs) return value;
        return async (...args: unknown[]): Promise<unknown> => {
          const number = ++this.#calls;
          const call = this.#name(name, args);
          this.before(call, number);
          this.log.push(call);
          const result: unknown = await Reflect.apply(value, object, args);
          if (result !== false) this.effects.push(call);
          this.after(call, number);
          return result;
        };
      },
    });
  }

  #name(name: string, args: readonly unknown[]): string {
    const [first, second] = args.map((arg) =>
      // A random part of a name says nothing.
      typeof arg === 'string'
        ? (arg === this.root ? '.' : arg)
            .replaceAll(`${this.root}/`, '')
            .replaceAll(/\.[0-9a-f]{8}\.atomic-new/g, '.atomic-new')
            .trimEnd()
        : name === 'install'
          ? (arg as { path: string }).path.replaceAll(`${this.root}/`, '')
          : '',
    );
    if (name === 'append') return `journal ${String(first).slice(0, 60)}`;
    return [name, first, name === 'rename' || name === 'link' || name === 'createSymlink' ? second : '']
      .filter(Boolean)
      .join(' ');
  }
}

function linesOf(path: string): [string, string][] {
  return readFileSync(path, 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((line): [string, string] => [line.slice(0, 1), line.split(/\s+/)[1] ?? '']);
}
