import { readdir } from "node:fs/promises";

import { describe, expect, it } from "vitest";

import { writeReport } from "../../../ops/documents/report-command.ts";
import { UserError } from "../../../common/user-error.ts";
import { Documents, now } from "../tracking-file.ts";

describe("a document broken by hand", () => {
  it.each([
    ["a column lost", /^\| Étape( +)\| Statut /m, "| Étape ", /:\d+: expected a row of the table/],
    [
      "a column renamed",
      "| Étape ",
      "| Etape ",
      /expected the columns Étape \| Statut \| .*, got Etape \| Statut/,
    ],
    [
      "a row with a cell too many",
      /^(\| - Installation OS.*)$/m,
      "$1 et | plus |",
      /expected 6 cells, got 8/,
    ],
    [
      "a row with a cell too few",
      /^\| - Installation OS.*$/m,
      "| - Installation OS | Complété |",
      /expected 6 cells, got 2/,
    ],
    ["an empty line inside", /^(\| - Installation OS)/m, "\n$1", /expected a row of the table of "Processus/],
    ["text right below", /^(\| 6333.*)$/m, "$1\nSuite", /expected 3 cells, got 1/],
    [
      "a row twice",
      /^(\| - Installation OS.*)$/m,
      "$1\n$1",
      /expected one row "Installation OS" in the table/,
    ],
    [
      "a heading gone",
      "## Environnements",
      "## Environnement",
      /expected a heading "Environnements", got none/,
    ],
    [
      "a heading twice",
      "## Notes",
      "## Environnements\n\n## Notes",
      /expected one heading "Environnements", got another/,
    ],
    ["a table gone", /^\| Date +\|[^]*?\n\n/m, "", /expected a table \(Date \| Type/],
    ["a field gone", /^\*\*État global.*$/m, "État global", /expected \*\*État global :\*\*/],
  ])("fails with its line, and is not touched: %s", async (_, from, to, told) => {
    const documents = await Documents.open();
    await documents.report({});
    await documents.edit((text) => text.replace(from, to));
    const broken = await documents.read();

    const report = documents.report({ test: {} });
    await expect(report).rejects.toThrow(told);
    await expect(report).rejects.toThrow(/^.*deployment-tracking\.md:\d+: /);
    await expect(report).rejects.toBeInstanceOf(UserError);
    expect(await documents.read()).toBe(broken);
    expect(await readdir(documents.folder)).toEqual(["deployment-tracking.md"]);
  });

  it("is reported before any stack is read", async () => {
    const documents = await Documents.open();
    await documents.report({});
    await documents.edit((text) => text.replace("## Environnements", "## X"));
    const pulumi = () => Promise.reject(new Error("asked"));

    const request = { tracking: documents.tracking, issues: documents.issues, now };
    await expect(
      writeReport(request, { pulumi, readRecords: () => Promise.reject(new Error("asked")) }),
    ).rejects.toThrow(/expected a heading "Environnements"/);
  });

  it("fails with every problem at once", async () => {
    const documents = await Documents.open();
    await documents.report({});
    await documents.edit((text) => text.replace("## Environnements", "## X").replace("| Port ", "| Porte "));

    await expect(documents.report({})).rejects.toThrow(/"Environnements"[^]*\n[^]*expected the columns Port/);
  });
});
