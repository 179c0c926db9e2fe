/** The containers of this host with the state of their services: what `containers list` shows. */
import { join } from 'node:path';
import type { ContainerName } from '../container/name.ts';
import { AtomicError, isAtomicError, messageOf } from '../errors.ts';
import { isRecord, parseJson } from '../image/json.ts';
import { OWN_JSON_BYTES } from '../limits.ts';
import type { UnitState } from '../service/systemd.ts';
import { withTag } from '../store/names.ts';
import { listContainers } from './containers.ts';
import type { App } from './context.ts';
import { listFailed, readFailed, type FailedUpdate } from './failed-update.ts';
import { matchesFilters, parseFilters } from './list-filter.ts';
import { formatLocalTime } from './local-time.ts';
import { listPreinstalled, type InstalledContainer } from './preinstalled.ts';

export type ContainerState = 'running' | 'failed' | 'inactive' | 'no service';

export interface ListedContainer {
  /** A system container's id is its name. */
  readonly id: ContainerName;
  /** Hex of the manifest's digest; empty where none was recorded. */
  readonly imageId: string;
  readonly imageName: string;
  /** process.args of its config.json; empty when that cannot be read. */
  readonly command: string;
  /** Local time with seconds. */
  readonly created: string;
  readonly state: ContainerState;
  readonly runtime: string;
  readonly backend: 'ostree';
  /** What is kept of its last update, when that did not come up. */
  readonly failedUpdate: FailedUpdate | undefined;
}

export interface ContainerListOptions {
  /** Those that do not run as well. */
  readonly all: boolean;
  /** `KEY=VALUE` each. */
  readonly filters: readonly string[];
}

const FILTER_FIELDS = {
  container: 'id',
  image: 'imageName',
  command: 'command',
  created: 'created',
  state: 'state',
  runtime: 'runtime',
  backend: 'backend',
} as const satisfies Record<string, keyof ListedContainer>;

const FILTER_KEYS = Object.keys(FILTER_FIELDS) as (keyof typeof FILTER_FIELDS)[];

/** systemd's words for a service that is there, or on its way up or round. */
const UP: ReadonlySet<string> = new Set(['active', 'reloading', 'refreshing', 'activating']);
const NO_STATES: ReadonlyMap<string, UnitState> = new Map();
/** Files that are open at one time. */
const READ_AT_ONCE = 64;

/**
 * Lists by name. One systemctl answers for all services; where it cannot, they count as inactive and a warning says so.
 * @throws AtomicError `usage` for a filter that is none, `not-root` where the checkouts cannot be read
 */
export async function describeContainers(
  app: App,
  { all, filters }: ContainerListOptions,
): Promise<ListedContainer[]> {
  const wanted = parseFilters(filters, FILTER_KEYS);
  const installed = await listInstalled(app);
  const states = installed.some(({ info }) => info.hasContainerService) ? await askSystemd(app) : NO_STATES;
  const failed = await listFailed(app);
  const listed: ListedContainer[] = [];
  for (let at = 0; at < installed.length; at += READ_AT_ONCE) {
    const batch = installed.slice(at, at + READ_AT_ONCE);
    listed.push(
      ...(await Promise.all(batch.map((item) => describe(app, item, states.get(item.name), failed)))),
    );
  }
  return (
    listed
      // A service that has failed is news, and atomic told of it too.
      .filter(({ state }) => all || state === 'running' || state === 'failed')
      .filter((container) => matchesFilters(wanted, (key) => container[FILTER_FIELDS[key]]))
  );
}

/** The containers of the checkouts, and those that the operating system brings and no checkout replaces; by name. */
async function listInstalled(app: App): Promise<InstalledContainer[]> {
  const containers = await listContainers(app);
  const taken = new Set(containers.map(({ name }) => name));
  return [
    ...containers.map(({ name, current }) => ({ name, path: current.path, info: current.info })),
    ...(await listPreinstalled(app)).filter(({ name }) => !taken.has(name)),
  ].sort((a, b) => (a.name < b.name ? -1 : 1));
}

async function askSystemd(app: App): Promise<ReadonlyMap<string, UnitState>> {
  try {
    return await app.services.loadedStates();
  } catch (error) {
    if (!isAtomicError(error, 'tool-missing', 'command-failed')) throw error;
    const text = `systemd does not answer, so all services are shown as inactive: ${messageOf(error)}`;
    app.report({ event: 'warning', text });
    return NO_STATES;
  }
}

async function describe(
  app: App,
  { name, path, info }: InstalledContainer,
  state: UnitState | undefined,
  failed: ReadonlySet<string>,
): Promise<ListedContainer> {
  return {
    id: name,
    imageId: info.revision ?? '',
    imageName: info.image === '' ? '' : withTag(info.image),
    command: await readCommand(app, join(path, 'config.json')),
    created: formatLocalTime(new Date(info.created * 1000)),
    state: info.hasContainerService ? stateOf(state) : 'no service',
    runtime: info.runtime ?? '',
    backend: 'ostree',
    failedUpdate: failed.has(name) ? await readFailedUpdate(app, name) : undefined,
  };
}

/** A report that cannot be read is told of; the container is listed all the same. */
export async function readFailedUpdate(app: App, name: ContainerName): Promise<FailedUpdate | undefined> {
  try {
    return await readFailed(app, name);
  } catch (error) {
    if (!(error instanceof AtomicError)) throw error;
    app.report({ event: 'warning', text: error.message });
    return undefined;
  }
}

function stateOf(state: UnitState | undefined): ContainerState {
  if (state === undefined) return 'inactive';
  // Its program has ended, and systemd will try again.
  if (state.sub.startsWith('auto-restart')) return 'failed';
  if (UP.has(state.active)) return 'running';
  return state.active === 'failed' ? 'failed' : 'inactive';
}

/** A config.json that is no JSON is told of; the container is listed all the same. */
async function readCommand(app: App, path: string): Promise<string> {
  try {
    const bytes = await app.files.readIfExists(path, OWN_JSON_BYTES);
    if (bytes === undefined) return '';
    const document = parseJson(bytes, `The file ${path}`, 'spec-invalid');
    const spec = isRecord(document) && isRecord(document['process']) ? document['process'] : {};
    const args: unknown = spec['args'];
    return Array.isArray(args) && args.every((arg) => typeof arg === 'string') ? args.join(' ') : '';
  } catch (error) {
    if (!(error instanceof AtomicError)) throw error;
    app.report({ event: 'warning', text: error.message });
    return '';
  }
}
