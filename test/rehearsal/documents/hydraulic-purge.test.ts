import { readFile } from "node:fs/promises";

import { describe, expect, it } from "vitest";

import {
  MANUAL,
  MANUAL_PAGES,
  MANUAL_QUESTION,
  MANUAL_TITLE,
} from "../../../rehearsal/documents/hydraulic-purge.ts";
import { renderPdf } from "../../../rehearsal/documents/render.ts";
import { readPdf } from "../../../rehearsal/fake-clouds/google/pdf.ts";
import { sharedWords } from "../../../rehearsal/fake-clouds/words.ts";

describe("the manual that a rehearsal uploads", () => {
  it("is what its source makes", async () => {
    const made = await renderPdf(MANUAL_PAGES, { title: MANUAL_TITLE });

    expect(Buffer.from(made).equals(await readFile(MANUAL))).toBe(true);
  });

  it("has a text layer with every paragraph, on its page", async () => {
    const read = await readPdf(new Uint8Array(await readFile(MANUAL)), 15);
    const pages = read?.pages.map(({ paragraphs }) => paragraphs.map((lines) => lines.join(" ")));

    expect(pages).toEqual(
      MANUAL_PAGES.map(({ heading, paragraphs, drawing }) => [
        heading,
        ...paragraphs,
        ...(drawing === undefined ? [] : [drawing]),
      ]),
    );
  });

  it("answers its question on one page better than on the others", () => {
    const shares = MANUAL_PAGES.map(({ paragraphs }) =>
      Math.max(...paragraphs.map((text) => sharedWords(MANUAL_QUESTION.question, text))),
    );

    expect(shares.indexOf(Math.max(...shares))).toBe(MANUAL_QUESTION.page - 1);
    expect(shares.filter((share) => share === Math.max(...shares))).toHaveLength(1);
  });
});
