import { readStatus, type ContainerStatus } from '../../app/drift/status.ts';
import type { Part } from '../../app/drift/parts.ts';
import { formatLocalTime } from '../../app/local-time.ts';
import { parseContainerName } from '../../container/name.ts';
import { escapeLine } from '../../escape.ts';
import { EXIT } from '../exit-codes.ts';
import { openApp, type CommandContext } from './context.ts';

/** Lines of one part that a person is shown. */
const SHOWN = 10;

interface StatusFlags {
  readonly rootfs: boolean;
}

/** Ends with EXIT.drift when the container is not what was recorded. */
export async function runStatus(context: CommandContext, name: string, flags: StatusFlags): Promise<number> {
  const status = await readStatus(await openApp(context), parseContainerName(name), flags);
  context.output.result(toDocument(status), formatStatus(status));
  return status.drift ? EXIT.drift : EXIT.ok;
}

function toDocument({
  name,
  current,
  preinstalled,
  other,
  failed,
  service,
  change,
  parts,
  drift,
}: ContainerStatus) {
  const { info, path } = current;
  return {
    name,
    image: info.image,
    digest: info.manifestDigest ?? info.revision,
    deployment: path,
    remote: info.remote ?? null,
    preinstalled,
    created: info.created,
    other:
      other === undefined
        ? null
        : { image: other.info.image, digest: other.info.revision, deployment: other.path },
    failed_update: failed ?? null,
    service: service ?? null,
    health_check: info.healthCheck?.command ?? null,
    change: change ?? null,
    drift,
    parts,
  };
}

/** What it is, then a line for each part with what differs below it, and a verdict at the end. */
export function formatStatus(status: ContainerStatus): string[] {
  const { name, current, other, failed, service, change, parts } = status;
  const { info } = current;
  const facts: [string, string][] = [
    ['image', `${escapeLine(info.image)} ${info.manifestDigest ?? info.revision ?? ''}`.trimEnd()],
    ['deployment', `${current.path}, made ${formatLocalTime(new Date(info.created * 1000))}`],
    ...(info.remote === undefined ? [] : [['rootfs', escapeLine(info.remote)] as [string, string]]),
    ...(other === undefined
      ? []
      : [['rollback to', `${other.path}, ${escapeLine(other.info.image)}`] as [string, string]]),
    ...(service === undefined
      ? []
      : [['service', `${service.state}, ${service.enabled || 'no unit'}`] as [string, string]]),
    ...(failed === undefined
      ? []
      : [
          ['failed', `${escapeLine(failed.image)}, ${escapeLine(failed.reason)}: ${failed.path}`] as [
            string,
            string,
          ],
        ]),
    ...(info.healthCheck === undefined || info.healthCheck.command.length === 0
      ? []
      : [['health', escapeLine(info.healthCheck.command.join(' '))] as [string, string]]),
    ...(service?.dropIns ?? []).map((path): [string, string] => ['drop-in', path]),
    ...(change === undefined
      ? []
      : [['change', `process ${change.pid} is at its ${change.action} now`] as [string, string]]),
  ];
  const width = Math.max(...facts.map(([key]) => key.length));
  return [
    name,
    ...facts.map(([key, value]) => `  ${key.padEnd(width)}  ${value}`),
    '',
    ...parts.flatMap(formatPart),
    '',
    verdictOf(status),
  ];
}

function formatPart({ name, status, found, details }: Part): string[] {
  const head = `${status.padEnd('not recorded'.length)}  ${name.padEnd('host-files'.length)}  `;
  const indent = ' '.repeat(head.length);
  const more = details.length - SHOWN;
  return [
    `${head}${found}`,
    ...details.slice(0, SHOWN).map((line) => `${indent}${line}`),
    ...(more > 0 ? [`${indent}and ${more} more`] : []),
  ];
}

function verdictOf({ name, change, drift, preinstalled }: ContainerStatus): string {
  if (change !== undefined) return 'It is being changed: ask again when that has ended.';
  if (preinstalled)
    return drift
      ? 'It is not what was recorded, and part of the operating system: its package manager can put it right.'
      : 'It is what was recorded; it is part of the operating system.';
  return drift
    ? `It is not what was recorded; put it right with: atomic-ts repair ${name}`
    : 'It is what was recorded.';
}
