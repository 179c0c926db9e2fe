/** What a container's package says of itself: from the image's labels, which are foreign text. Pure. */
import type { ContainerName } from '../container/name.ts';
import { AtomicError } from '../errors.ts';

/** All of it can be written into a spec as it stands, but for `%` and `\`: see spec.ts. */
export interface PackageFacts {
  readonly name: string;
  readonly version: string;
  readonly release: string;
  /** One line each. */
  readonly summary: string;
  readonly license: string;
  readonly url: string | undefined;
  /** Lines. */
  readonly description: string;
  /** `name`, or `name >= 1.0`. */
  readonly requires: readonly string[];
  readonly provides: readonly string[];
  readonly conflicts: readonly string[];
}

/** Bytes of a label that get into a package; an author's text is far shorter. */
const LABEL_CHARACTERS = 4096;

/** A package's or file's name, and a version with its comparison: what rpm's own parser takes, and no macro. */
const DEPENDENCY =
  /^([A-Za-z0-9_/][A-Za-z0-9_.+:/~()-]*)\s*(?:(<=|>=|<|>|=)\s*([A-Za-z0-9][A-Za-z0-9_.+:~^-]*))?$/;

/** What rpm, from 4.19 on, makes an account of when the package is installed. */
export const ACCOUNT = /^(?:user|group|groupmember)\(/;

/** The package of a container. atomic removes it by that name, so no other will do. */
export function packageName(name: ContainerName): string {
  return `atomic-container-${name}`;
}

/**
 * @param revision the manifest digest's hex, which atomic takes for the release
 * @param defaultVersion atomic's: 0 for a package that is installed, 1 for one that is built
 * @throws AtomicError `value-invalid` for a dependency that is none
 */
export function readPackageFacts(
  name: ContainerName,
  labels: Readonly<Record<string, string>>,
  { revision, defaultVersion }: { readonly revision: string; readonly defaultVersion: '0' | '1' },
): PackageFacts {
  const label = (key: string): string | undefined => {
    const text = Object.hasOwn(labels, `atomic.${key}`) ? labels[`atomic.${key}`] : undefined;
    return text === undefined || text.trim() === '' ? undefined : text.slice(0, LABEL_CHARACTERS);
  };
  const line = (key: string): string | undefined => oneLine(label(key) ?? '') || undefined;
  const dependencies = (key: string): string[] => readDependencies(label(key) ?? '', `atomic.${key}`);
  return {
    name: packageName(name),
    version: versionText(label('version')) ?? defaultVersion,
    release: versionText(label('release')) ?? revision,
    summary: line('summary') ?? name,
    license: line('license') ?? 'GPLv2',
    url: oneWord(line('url')),
    description: manyLines(label('description') ?? ''),
    requires: dependencies('requires'),
    provides: dependencies('provides'),
    conflicts: dependencies('conflicts'),
  };
}

/** Versions and releases have no `-` (it stands between the two) and no spaces: what rpm refuses becomes `_`. */
function versionText(text: string | undefined): string | undefined {
  const plain = text?.trim().replaceAll(/[^A-Za-z0-9._+~^]/g, '_');
  return plain === undefined || plain === '' ? undefined : plain;
}

/** An address with spaces is none, and rpm takes no more than a word. */
function oneWord(text: string | undefined): string | undefined {
  return text?.includes(' ') === true ? undefined : text;
}

function readDependencies(text: string, label: string): string[] {
  const items = text.split(',').map((item) => item.trim());
  return items.filter((item) => item !== '').map((item) => readDependency(item, label));
}

function readDependency(item: string, label: string): string {
  const [, name, comparison, version] = DEPENDENCY.exec(item) ?? [];
  if (name !== undefined && !ACCOUNT.test(name))
    return comparison === undefined ? name : `${name} ${comparison} ${version ?? ''}`;
  throw new AtomicError(
    'value-invalid',
    `The image's label ${label} has ${JSON.stringify(item.slice(0, 200))}, which is not the name of a package with or without a version`,
    { hint: 'The label is mended in the image. Without a package it does not matter: --system-package=no.' },
  );
}

/** Control characters, also those that only text in a terminal is turned by, are no part of a package's texts. */
function oneLine(text: string): string {
  return text
    .replaceAll(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]+/gu, ' ')
    .replaceAll(/\s+/g, ' ')
    .trim();
}

function manyLines(text: string): string {
  return text
    .split(/\r\n?|\n/)
    .map(oneLine)
    .join('\n')
    .trim();
}
