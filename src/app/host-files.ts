import type { Exports } from '../container/exports.ts';
import type { ContainerInfo } from '../container/info.ts';
import type { HostFile } from '../host/ports.ts';
import type { RenderedDeployment } from '../render/bundle.ts';
import type { App } from './context.ts';
import type { Deployment } from './containers.ts';

export interface PlannedHostFiles {
  readonly create: readonly HostFile[];
  readonly owned: readonly { readonly path: string; readonly checksum: string }[];
  readonly remove: readonly string[];
  readonly messages: readonly string[];
  readonly preview: readonly { readonly path: string; readonly mode: string; readonly content: string }[];
}
export interface HostFileRemoval {
  readonly paths: readonly string[];
  readonly messages: readonly string[];
}
const NONE: PlannedHostFiles = { create: [], owned: [], remove: [], messages: [], preview: [] };
export async function planHostFilesOf(_app: App, _request: { rootfs: string; place: string; exports: Exports; rendered: RenderedDeployment; previous: Deployment | undefined }): Promise<PlannedHostFiles> {
  return Promise.resolve(NONE);
}
export async function hostFilesToRemove(_app: App, _info: ContainerInfo): Promise<HostFileRemoval> {
  return Promise.resolve({ paths: [], messages: [] });
}
export async function hostFilesOfDeployment(_app: App, _deployment: Deployment, _removal: HostFileRemoval): Promise<HostFile[]> {
  return Promise.resolve([]);
}
