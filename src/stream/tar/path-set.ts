import { randomInt } from 'node:crypto';

/** Another one in each process: no layer can be made whose paths all fall on one place of the table. */
const SEED = randomInt(2 ** 32);

/**
 * A set of paths that keeps only a 52-bit hash of each, 16 bytes a path at most: a layer may have millions.
 * Two paths may be taken for one (1 in 10^9 for 100,000 paths): whoever asks must be safe either way.
 */
export class PathSet {
  #table = new Float64Array(1024);
  #count = 0;

  add(path: string): void {
    if (this.#count * 2 >= this.#table.length) this.#grow();
    if (insert(this.#table, hash(path))) this.#count++;
  }

  has(path: string): boolean {
    const key = hash(path);
    const table = this.#table;
    for (let i = key % table.length; table[i] !== 0; i = (i + 1) % table.length)
      if (table[i] === key) return true;
    return false;
  }

  #grow(): void {
    const larger = new Float64Array(this.#table.length * 2);
    for (const key of this.#table) if (key !== 0) insert(larger, key);
    this.#table = larger;
  }
}

/** Whether the key is new. */
function insert(table: Float64Array, key: number): boolean {
  let i = key % table.length;
  for (; table[i] !== 0; i = (i + 1) % table.length) if (table[i] === key) return false;
  table[i] = key;
  return true;
}

/** Never 0, which marks a free place. */
function hash(path: string): number {
  let a = 0x811c9dc5 ^ SEED;
  let b = 0x9e3779b9 ^ SEED;
  for (let i = 0; i < path.length; i++) {
    const code = path.charCodeAt(i);
    a = Math.imul(a ^ code, 0x01000193);
    b = Math.imul(b ^ code, 0x85ebca6b) ^ (b >>> 13);
  }
  return (a >>> 0) * 0x100000 + ((b >>> 0) & 0xfffff) + 1;
}
