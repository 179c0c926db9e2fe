/** What images say of themselves in labels. */

type Labels = Readonly<Record<string, string>>;

/** `VERSION-RELEASE`, or the one of them that there is; empty without either. Docker's tools spell labels in several ways. */
export function versionOf(labels: Labels): string {
  return [labelOf(labels, 'version'), labelOf(labels, 'release')].filter(Boolean).join('-');
}

function labelOf(labels: Labels, name: string): string | undefined {
  const capitalized = name.slice(0, 1).toUpperCase() + name.slice(1);
  const spelling = [capitalized, name, name.toUpperCase()].find((key) => Object.hasOwn(labels, key));
  return spelling === undefined ? undefined : labels[spelling];
}
