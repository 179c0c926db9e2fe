/**
 * CRC-64 as ISO 3309 has it and Go's `hash/crc64` computes it: reflected, all ones at the beginning and the end.
 *
 * The polynomial is x^64 + x^4 + x^3 + x + 1. So few terms make eight bytes at a time a matter of shifts: what 64 bits
 * stand for 64 places further on is their sum with themselves shifted by 1, 3 and 4, and the bits that fall out there
 * once more. Here that is as fast as a sha256 of OpenSSL's, which tables are not, and it needs no 64-bit numbers.
 */
const POLYNOMIAL_HIGH = 0xd800_0000;

/** What the four bits that fall out of the shifts come back as, in the high half. */
const FALLEN = Int32Array.from({ length: 16 }, (_, bits) => {
  let high = 0;
  for (const shift of [1, 3, 4])
    for (let bit = 0; bit < shift; bit++)
      if (((bits >> bit) & 1) === 1) high ^= POLYNOMIAL_HIGH >>> (shift - 1 - bit);
  return high;
});

export class Crc64 {
  #high = -1;
  #low = -1;

  update(bytes: Uint8Array): void {
    const { length } = bytes;
    const view = new DataView(bytes.buffer, bytes.byteOffset, length);
    let high = this.#high;
    let low = this.#low;
    let at = 0;
    for (const end = length - 7; at < end; at += 8) {
      const l = low ^ view.getInt32(at, true);
      const h = high ^ view.getInt32(at + 4, true);
      low = l ^ ((l >>> 1) | (h << 31)) ^ ((l >>> 3) | (h << 29)) ^ ((l >>> 4) | (h << 28));
      high = h ^ (h >>> 1) ^ (h >>> 3) ^ (h >>> 4) ^ (FALLEN[l & 15] ?? 0);
    }
    for (; at < length; at++) {
      low ^= view.getUint8(at);
      for (let bit = 0; bit < 8; bit++) {
        const out = low & 1;
        low = (low >>> 1) | (high << 31);
        high = (high >>> 1) ^ (-out & POLYNOMIAL_HIGH);
      }
    }
    this.#high = high;
    this.#low = low;
  }

  /** Eight bytes, the high one first; begins anew. */
  digest(): Buffer {
    const sum = Buffer.alloc(8);
    sum.writeInt32BE(~this.#high, 0);
    sum.writeInt32BE(~this.#low, 4);
    this.#high = -1;
    this.#low = -1;
    return sum;
  }
}
