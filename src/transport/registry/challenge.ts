/** One way to authenticate that a server offers in WWW-Authenticate. */
export interface Challenge {
  /** In lower case: `bearer`, `basic`. */
  readonly scheme: string;
  /** Names in lower case. */
  readonly parameters: ReadonlyMap<string, string>;
}

const TOKEN = /[!#$%&'*+.^_`|~0-9A-Za-z-]+/y;
const VALUE = /[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([!#$%&'*+.^_`|~0-9A-Za-z:/-]+))/y;

/**
 * Reads WWW-Authenticate, whose one line may hold several challenges. What does not fit the grammar is skipped.
 * @see RFC 9110 section 11.6.1
 */
export function parseChallenges(header: string | readonly string[] | undefined): Challenge[] {
  const lines = header === undefined ? [] : typeof header === 'string' ? [header] : header;
  return lines.flatMap(parseLine);
}

function parseLine(line: string): Challenge[] {
  const challenges: { scheme: string; parameters: Map<string, string> }[] = [];
  let at = 0;
  while (at < line.length) {
    TOKEN.lastIndex = at;
    const name = TOKEN.exec(line)?.[0].toLowerCase();
    if (name === undefined) {
      at += 1;
      continue;
    }
    at += name.length;
    VALUE.lastIndex = at;
    const value = VALUE.exec(line);
    const current = challenges.at(-1);
    if (value === null) challenges.push({ scheme: name, parameters: new Map() });
    else {
      at += value[0].length;
      current?.parameters.set(name, value[1]?.replace(/\\(.)/g, '$1') ?? value[2] ?? '');
    }
  }
  return challenges;
}
