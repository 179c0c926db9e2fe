import type { SourceAnswer } from '../../app/newer-image.ts';
import type { InspectedKind } from '../../app/inspected.ts';
import { verifyStored, type VerifiedImage } from '../../app/verify-image.ts';
import { escapeLine } from '../../escape.ts';
import { hexOf } from '../../image/digest.ts';
import { EXIT } from '../exit-codes.ts';
import { formatTable } from '../output/table.ts';
import { openApp, readAccess, requireOstree, type CommandContext, type RegistryFlags } from './context.ts';

interface VerifyFlags extends RegistryFlags {
  readonly registry: boolean;
  readonly validate: boolean;
  readonly verbose?: boolean;
  readonly container?: boolean;
  readonly storage?: string;
}

/** Faults of one part that a person is shown. */
const SHOWN = 10;

/** `images verify`: an image only. */
export function runImagesVerify(context: CommandContext, text: string, flags: VerifyFlags): Promise<number> {
  return verify(context, text, 'image', flags);
}

/** `verify`: an image, or a container by its name. */
export function runVerify(context: CommandContext, text: string, flags: VerifyFlags): Promise<number> {
  return verify(context, text, flags.container === true ? 'container' : 'any', flags);
}

/** Ends with EXIT.drift when content is not what it was, else with EXIT.failed when the source could not be asked. */
async function verify(
  context: CommandContext,
  text: string,
  kind: InspectedKind,
  flags: VerifyFlags,
): Promise<number> {
  requireOstree(flags.storage);
  const verified = await verifyStored(await openApp(context), {
    text,
    kind,
    registry: flags.registry,
    content: flags.validate,
    access: readAccess(flags),
  });
  context.output.result(toDocument(verified), formatVerified(verified, flags.verbose === true));
  const { answer, damaged } = verified;
  if (answer?.state === 'unknown') context.output.error(answer.error);
  if (damaged) return EXIT.drift;
  return answer?.state === 'unknown' ? EXIT.failed : EXIT.ok;
}

export function toDocument({ image, version, answer, parts, container, damaged }: VerifiedImage) {
  const newer = answer?.state === 'newer' ? answer : undefined;
  return {
    image: image.name,
    digest: image.digest,
    version,
    registry:
      answer === undefined
        ? null
        : {
            state: answer.state,
            source: answer.source ?? null,
            digest: newer?.digest ?? null,
            version: newer?.version ?? null,
            layers: newer?.layers ?? null,
            error: answer.state === 'unknown' ? answer.error.message : null,
          },
    parts: parts ?? null,
    container: container === undefined ? null : { name: container.name, tree: container.tree ?? null },
    damaged,
  };
}

/** What differs first, in atomic's words where it had some; a verdict at the end. */
export function formatVerified(verified: VerifiedImage, verbose: boolean): string[] {
  const { image, answer } = verified;
  const layers = image.manifest.layers.map(({ digest }) => digest);
  const latest = answer?.state === 'newer' ? answer.layers : layers;
  return [
    ...partLines(verified),
    ...treeLines(verified),
    ...(answer?.state === 'newer' ? updateLines(verified, layers, answer) : []),
    ...(verbose && answer !== undefined && answer.state !== 'unknown'
      ? layerTable(image.name, layers, latest)
      : []),
    verdictOf(verified),
  ];
}

function partLines({ parts = [] }: VerifiedImage): string[] {
  return parts.flatMap(({ kind, digest, state, faults }) => {
    if (state === 'intact') return [];
    const heading = `modifications in ${kind} ${hexOf(digest)}:`;
    if (state === 'missing') return [heading, '', '\tit is not in the local storage', ''];
    if (faults.length === 0) return [heading, '', '\tit is not what its digest says', ''];
    const more = faults.length - SHOWN;
    return [
      heading,
      '',
      ...faults
        .slice(0, SHOWN)
        .map(
          ({ path, kind: object, found, checksum }) =>
            `\t${path === '' ? 'its commit' : escapeLine(path)}: the ${object} object ${checksum} is ${found}`,
        ),
      ...(more > 0 ? [`\tand ${more} more`] : []),
      '',
    ];
  });
}

function treeLines({ container }: VerifiedImage): string[] {
  const tree = container?.tree;
  if (container === undefined || tree?.status !== 'drift') return [];
  const more = tree.details.length - SHOWN;
  return [
    `modifications in the tree of the container ${container.name}:`,
    '',
    ...[tree.found, ...tree.details.slice(0, SHOWN)].map((line) => `\t${line}`),
    ...(more > 0 ? [`\tand ${more} more`] : []),
    '',
  ];
}

function updateLines(
  { image, version }: VerifiedImage,
  layers: readonly string[],
  answer: Extract<SourceAnswer, { state: 'newer' }>,
): string[] {
  const line = (local: string, latest: string): string[] => [
    '',
    `      '${escapeLine(local)}' has an update to '${escapeLine(latest)}'`,
  ];
  const same = version === answer.version;
  return [
    '',
    `${image.name} contains images or layers that have updates:`,
    ...(same ? line(image.digest, answer.digest) : line(version || 'None', answer.version || 'None')),
    ...pairs(layers, answer.layers)
      .filter(([local, latest]) => local !== latest)
      .flatMap(([local, latest]) => line(local, latest)),
    '',
  ];
}

function layerTable(name: string, layers: readonly string[], latest: readonly string[]): string[] {
  const columns = ['', 'Local Version', 'Latest Version', ''].map((heading, i) => ({
    heading,
    width: i === 0 ? 4 : heading.length,
  }));
  const rows = [
    ['', '-------------', '--------------', ''],
    ...pairs(layers, latest).map(([local, remote]) => ['', local, remote, local === remote ? '' : '*']),
  ];
  const lines = formatTable(columns, rows, { heading: true }).map((line) => line.trimEnd());
  return ['', `${name} contains the following images:`, '', ...lines, '', '     * = version difference', ''];
}

/** Layers by their place, as atomic compared them. */
function pairs(layers: readonly string[], latest: readonly string[]): [string, string][] {
  const length = Math.max(layers.length, latest.length);
  return Array.from({ length }, (_, i) => [layers[i] ?? 'None', latest[i] ?? 'None']);
}

function verdictOf({ image, answer, parts, container, damaged }: VerifiedImage): string {
  const objects = parts?.reduce((sum, part) => sum + part.objects, 0) ?? 0;
  const content =
    parts === undefined
      ? []
      : damaged
        ? [
            container === undefined
              ? 'its content is damaged: delete it, prune and pull it again'
              : `its content is damaged; put it right with: atomic-ts repair ${container.name}`,
          ]
        : [`its ${objects} objects are as they were stored`];
  const source = answer === undefined ? [] : [describeAnswer(answer)];
  return `${container?.name ?? image.name}: ${[...content, ...source, ...(content.length + source.length === 0 ? ['nothing was verified'] : [])].join('; ')}`;
}

function describeAnswer(answer: SourceAnswer): string {
  switch (answer.state) {
    case 'same':
      return `${escapeLine(answer.source)} has nothing newer`;
    case 'fixed':
      return 'its name holds a digest, so there is nothing newer';
    case 'newer':
      return `${escapeLine(answer.source)} has another image by now`;
    case 'unknown':
      return 'whether there is a newer one could not be asked';
  }
}
