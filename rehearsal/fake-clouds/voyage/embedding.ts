import { createHash } from "node:crypto";

import { stemsOf } from "../words.ts";

/** Directions that one word points in. */
const PARTS = 4;

/**
 * A text as a unit vector of `size` numbers: the same words always point in the same directions, so that texts which share words are near
 * each other. A model does that by meaning.
 */
export function embed(text: string, size: number): number[] {
  const vector = Array<number>(size).fill(0);
  const stems = stemsOf(text);
  for (const stem of stems.length > 0 ? stems : [text]) {
    const digest = createHash("sha256").update(stem).digest();
    for (let part = 0; part < PARTS; part++) {
      const at = digest.readUInt16BE(3 * part) % size;
      vector[at] = (vector[at] ?? 0) + ((digest[3 * part + 2] ?? 0) % 2 === 1 ? 1 : -1);
    }
  }
  const length = Math.hypot(...vector);
  // Two words may cancel each other out; a vector without length has no direction.
  if (length === 0) return vector.map((_, at) => (at === 0 ? 1 : 0));
  return vector.map((one) => one / length);
}
