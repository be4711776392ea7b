import { describe, expect, it } from "vitest";

import { renderTable } from "../../ops/table.ts";

describe("renderTable", () => {
  it("makes each column as wide as its widest cell, accents included", () => {
    const rows = [
      ["clé", "configurée"],
      ["à", ""],
    ];

    expect(renderTable(["Nom", "État"], rows)).toBe(
      ["Nom  État", "───  ──────────", "clé  configurée", "à"].join("\n"),
    );
  });
});
