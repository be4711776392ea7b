import { readFileSync } from "node:fs";
import { join } from "node:path";

import { describe, expect, it } from "vitest";

import { ROOT } from "../../rehearsal/addresses.ts";
import { differences } from "../../rehearsal/stack-settings.ts";

/** Keys in the first column of the documentation's table of settings. */
function documented(): string[] {
  const text = readFileSync(join(ROOT, "docs/rehearsal.md"), "utf8");
  return [...text.matchAll(/^\| `(technicia:[\w.]+)` /gm)].map(([, key = ""]) => key);
}

describe("the settings in which the rehearsal differs from the committed ones", () => {
  it("are those that docs/rehearsal.md lists", () => {
    const written = differences({
      system: "Debian 12",
      images: { n8n: "n8nio/n8n:2.3.6", n8nRunners: "n8nio/runners:2.3.6" },
    }).map(([path]) => path.join("."));

    expect(written.sort()).toEqual(documented().sort());
  });
});
