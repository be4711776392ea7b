import { describe, expect, it } from "vitest";

import { renderTable } from "../../ops/terminal.ts";

const render = (rows: readonly (readonly string[])[], width = 100) =>
  renderTable({ headings: ["Nom", "État"], rows, width }).split("\n");

describe("renderTable", () => {
  it("makes each column as wide as its widest cell, accents included", () => {
    expect(
      render([
        ["clé", "configurée"],
        ["à", ""],
      ]),
    ).toEqual(["Nom  État", "───  ──────────", "clé  configurée", "à"]);
  });

  it("wraps the widest column where the terminal has less space", () => {
    expect(render([["clé", "une phrase plus longue que la place"]], 20)).toEqual([
      "Nom  État",
      "───  ───────────────",
      "clé  une phrase plus",
      "     longue que la",
      "     place",
    ]);
  });

  it("breaks inside a word that is longer than its column", () => {
    expect(render([["a", "b".repeat(20)]], 15)).toEqual([
      "Nom  État",
      "───  ──────────",
      `a    ${"b".repeat(10)}`,
      `     ${"b".repeat(10)}`,
    ]);
  });

  it("keeps the line breaks of a cell inside its column", () => {
    expect(render([["a\nb", "c"]])).toEqual(["Nom  État", "───  ────", "a    c", "b"]);
  });
});
