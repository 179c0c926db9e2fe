/** The templates of an image that is in the store: what an installation would fill in. */
import { join } from 'node:path';
import { readExports, type Exports } from '../container/exports.ts';
import { planHostFiles } from '../container/host-files.ts';
import { defaultContainerName } from '../container/name.ts';
import { hostDefaults } from '../container/values.ts';
import { AtomicError } from '../errors.ts';
import { substitute } from '../render/substitute.ts';
import {
  describeVariables,
  sampleValues,
  type TemplateText,
  type TemplateVariable,
} from '../render/template-variables.ts';
import { checkoutLayers } from '../store/checkout.ts';
import type { StoredImage } from '../store/image-store.ts';
import type { App } from './context.ts';
import { withScratch } from './drift/scratch.ts';
import { shareStore } from './store-lock.ts';

/**
 * The variables of all templates that an installation of the image would use: those of /exports and of its host files,
 * and the names of these. Checks the image out for that, so that whiteouts and links count as they will.
 * @throws AtomicError of the checkout, of reading /exports; `busy`
 */
export async function readImageVariables(app: App, image: StoredImage): Promise<TemplateVariable[]> {
  const lock = await shareStore(app, 'read the templates of an image');
  try {
    return await withScratch(app, async (scratch) => {
      const rootfs = join(scratch, 'rootfs');
      const layers = image.manifest.layers.map(({ digest }) => digest);
      await checkoutLayers(app.exec, app.store.repository, layers, rootfs, { scratch });
      const exports = await readExports(rootfs);
      const host = await hostValues(app, image);
      const { defaultValues: defaults } = exports.manifest;
      // The one that is always filled in and that names of files have in them.
      const known = { ...defaults, ...host, NAME: defaultContainerName(image.name) };
      const templates = [...templatesOf(exports), ...(await hostTemplates(app, rootfs, exports, known))];
      return describeVariables({ templates, defaults, host });
    });
  } finally {
    await lock.release();
  }
}

/** Those that are rendered: a config.json goes before its template, and host files alone have no unit. */
function templatesOf(exports: Exports): TemplateText[] {
  const { manifest } = exports;
  const text = (file: string, content: string | undefined): TemplateText[] =>
    content === undefined ? [] : [{ file, text: content }];
  return [
    ...text('config.json.template', exports.configJson === undefined ? exports.configTemplate : undefined),
    ...text('service.template', manifest.noContainerService ? undefined : exports.serviceTemplate),
    ...text('tmpfiles.template', exports.tmpfilesTemplate),
  ];
}

/** What planning the host files fills in; an image whose host files cannot be planned is told of. */
async function hostTemplates(
  app: App,
  rootfs: string,
  { manifest }: Exports,
  known: Readonly<Record<string, string | undefined>>,
): Promise<TemplateText[]> {
  const templates: TemplateText[] = [];
  try {
    await planHostFiles({
      rootfs,
      place: rootfs,
      manifest,
      render: (text, path) => {
        templates.push({ file: path.slice(join(rootfs, 'exports/').length), text });
        return substitute(text, path, sampleValues(text, known));
      },
      leaving: [],
      hostPathExists: () => Promise.resolve(false),
      hostChecksum: () => Promise.resolve(undefined),
    });
  } catch (error) {
    if (!(error instanceof AtomicError) || error.code === 'interrupted') throw error;
    app.report({ event: 'warning', text: error.message });
  }
  return templates;
}

/** What this host gives without --set. The runtime is only chosen by an installation. */
async function hostValues(app: App, image: StoredImage): Promise<Record<string, string | undefined>> {
  const { runDirectory: run, confDirectory: conf, stateDirectory: state } = app.paths;
  return {
    ...hostDefaults({
      directories: { run, conf, state },
      name: defaultContainerName(image.name),
      allCapabilities: await app.readKernelCapabilities(),
      runtime: '',
      program: app.program,
    }),
    RUNTIME: undefined,
  };
}
