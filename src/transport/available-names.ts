const SHOWN = 20;
const SHOWN_CHARACTERS = 200;

/** What there is to choose from, as the end of a sentence: "it has a, b and 3 more". Foreign lists and names may be long. */
export function formatAvailable(names: readonly string[]): string {
  if (names.length === 0) return 'it has none with a name';
  const cut = (name: string): string =>
    name.length > SHOWN_CHARACTERS ? `${name.slice(0, SHOWN_CHARACTERS)}…` : name;
  const shown = names.slice(0, SHOWN).map(cut).join(', ');
  return names.length > SHOWN ? `it has ${shown} and ${names.length - SHOWN} more` : `it has ${shown}`;
}
