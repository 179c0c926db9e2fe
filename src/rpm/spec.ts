/**
 * The spec of a container's package: pure. A spec is a program: macros run shell commands, in tags as well as in
 * texts, and a line that begins with `%` begins a section whatever it was before it was expanded. So nothing foreign
 * gets into it but what is written by the three functions at the end.
 * @see rpm's manual, spec and macros
 */
import type { PackageFacts } from './facts.ts';

/** A path that the package owns, as it lies in the tree that it is built from. */
export interface SpecFile {
  /** Absolute, without control characters. */
  readonly path: string;
  /** Names of the account that owns it: a package knows no numbers. */
  readonly user: string;
  readonly group: string;
  /** Whether all that is below a folder belongs to the package. */
  readonly isTree?: boolean;
}

/** The tree lies in SOURCES: all that is run is `cp`. */
export const SOURCE_TREE = 'root';

export function renderSpec(facts: PackageFacts, files: readonly SpecFile[]): string {
  const tag = (name: string, values: readonly (string | undefined)[]): string[] =>
    values.flatMap((value) => (value === undefined ? [] : [`${name}: ${escapeText(value)}`]));
  return [
    // What `%` stands for in the lines below.
    '%global percent %%%%',
    ...tag('Name', [facts.name]),
    ...tag('Version', [facts.version]),
    ...tag('Release', [facts.release]),
    ...tag('Summary', [facts.summary]),
    ...tag('License', [facts.license]),
    ...tag('URL', [facts.url]),
    'BuildArch: noarch',
    // No program looks into the image's files for what they might need.
    'AutoReqProv: no',
    ...tag('Requires', facts.requires),
    ...tag('Provides', facts.provides),
    ...tag('Conflicts', facts.conflicts),
    '',
    '%description',
    ...facts.description.split('\n').map(escapeLine),
    '',
    '%install',
    'mkdir -p -- "$RPM_BUILD_ROOT"',
    `cp -al -- "$RPM_SOURCE_DIR/${SOURCE_TREE}/." "$RPM_BUILD_ROOT/"`,
    '',
    '%files',
    '%defattr(-, root, root, -)',
    ...files.map(renderFile),
    '',
  ].join('\n');
}

function renderFile({ path, user, group, isTree }: SpecFile): string {
  const attributes = isTree === true ? '' : `%attr(-, ${user}, ${group}) `;
  return `${attributes}${escapePath(path)}`;
}

/**
 * Foreign text behind a tag. `%%` would do for rpm's macros; the reader of lines takes a `%` behind a backslash for
 * another character and then waits for the end of a brace that was none.
 */
function escapeText(text: string): string {
  return text.replaceAll('%', '%{percent}');
}

/**
 * A line of the description. Once its macros are expanded, one that begins with `%` is a section or a condition, and one
 * that begins with `#` is nothing: these get the wide forms of the two.
 */
function escapeLine(text: string): string {
  return escapeText(
    text.replace(/^(\s*)([%#])/, (_all, space: string, mark) => space + (mark === '%' ? '\uFF05' : '\uFF03')),
  );
}

/**
 * A path in the list of files is expanded twice, split at spaces, freed of quotes and taken for a pattern, by rules
 * that differ from rpm to rpm. So what is not a plain character becomes the pattern of any one character; that it means
 * the files that it should, and no others, is looked at in the package.
 */
function escapePath(path: string): string {
  return path.replaceAll(/[^A-Za-z0-9/._+:@=,\u0080-\u{10ffff}-]/gu, '?');
}
