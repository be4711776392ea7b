import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";

import { describe, expect, it } from "vitest";

import { readRunbook, RUNBOOK } from "../support/runbook.ts";
import { runCli } from "../support/fake-pulumi.ts";
import { expectFormatted } from "./temporary-folder.ts";

const blocks = readRunbook();
const text = readFileSync(RUNBOOK, "utf8");

describe("the runbook", () => {
  it("has a part with commands for each kind of trouble, and nothing but what bash can read", () => {
    expect([...new Set(blocks.map(({ section }) => section))]).toEqual([
      ...["Avant de commencer", "Procédure d'intervention", "Retour arrière", "Rotation d'un secret"],
      ...[
        "Départ d'un collègue",
        "Problème de certificat",
        "Dérive",
        "Maintenance du serveur",
        "Verrou bloqué",
        "Serveur perdu",
      ],
    ]);
    for (const { script } of blocks) execFileSync("bash", ["-n"], { input: script });
  });

  it("follows the four steps of the user's procedure", () => {
    expect(text.match(/^### .*$/gm)).toEqual([
      "### 1. Identification du problème",
      "### 2. Escalade (si nécessaire)",
      "### 3. Résolution",
      "### 4. Documentation et analyse post-mortem",
    ]);
  });

  it("links only to existing headings", () => {
    const headings = (page: string) =>
      [...page.matchAll(/^#+ (.*)$/gm)].map(([, title = ""]) =>
        title
          .toLowerCase()
          .replace(/[^\p{L}\p{N} -]/gu, "")
          .replaceAll(" ", "-"),
      );
    const issues = readFileSync(new URL("deployment-issues.md", RUNBOOK), "utf8");
    for (const [, page, anchor] of text.matchAll(/\]\(([^)#]*)#([^)]+)\)/g)) {
      expect(headings(page === "" ? text : issues)).toContain(anchor);
    }
  });

  it("uses only npm scripts that exist", async () => {
    const { scripts } = JSON.parse(readFileSync(new URL("../package.json", RUNBOOK), "utf8")) as {
      scripts: Record<string, string>;
    };
    const asked = [...text.matchAll(/npm run (?:--silent )?([a-z:]+)/g)].map(([, name = ""]) => name);
    expect(asked.length).toBeGreaterThan(15);
    expect(asked.filter((name) => scripts[name] === undefined)).toEqual([]);

    const { stdout } = await runCli(["help"]);
    expect(asked.filter((name) => !new RegExp(`^${name} `, "m").test(stdout))).toEqual([]);
  });

  it("is formatted", () => expectFormatted(text));
});
