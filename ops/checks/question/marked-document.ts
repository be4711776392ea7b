/** The document that a verification uploads and asks about: what it says is said nowhere else, and differs each time. */
import { randomBytes, randomInt } from "node:crypto";
import { readFile } from "node:fs/promises";

export interface MarkedDocument {
  /** Name of the file, which is the title of the document. */
  readonly title: string;
  readonly question: string;

  /** The number that a right answer contains; three digits. */
  readonly fact: string;
  readonly pdf: Uint8Array;
}

/** One page of French text, in which the mark and the fact are zeros. */
const TEMPLATE = new URL("marked.pdf", import.meta.url);
const [MARK, FACT] = ["VT-00000000", "000 bar"];

/** Whether a document is one that a verification has uploaded. */
export function isMarked(title: string | null): boolean {
  return title !== null && /^verification-technicia-[0-9a-f]{8}\.pdf$/.test(title);
}

export async function createMarkedDocument(): Promise<MarkedDocument> {
  const mark = randomBytes(4).toString("hex");
  const fact = String(randomInt(100, 1000));
  const template = await readFile(TEMPLATE, "latin1");
  // A PDF has the places of its parts in a table: what is put in is as long as what was there.
  const text = template.replace(MARK, `VT-${mark}`).replace(FACT, `${fact} bar`);
  return {
    title: `verification-technicia-${mark}.pdf`,
    question: `Quelle est la pression de consigne du repère VT-${mark} ?`,
    fact,
    pdf: Buffer.from(text, "latin1"),
  };
}
