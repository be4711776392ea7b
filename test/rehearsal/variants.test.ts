import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

import { describe, expect, it } from "vitest";

import { renderVariants, type Variant, VARIANT_NAMES, VARIANTS } from "../../rehearsal/variants.ts";

const FOLDER = join(import.meta.dirname, "../../rehearsal/variants");
const scripts = VARIANT_NAMES.flatMap((name) => (VARIANTS[name] as Variant).script ?? []);

describe("the variants of a first deployment", () => {
  it.each(scripts)("have the script %s", (script) => {
    expect(existsSync(join(FOLDER, script))).toBe(true);
  });

  it("use every script in their folder", () => {
    expect(readdirSync(FOLDER).sort()).toEqual([...scripts, "common.sh"].sort());
  });

  it("are each in the document, with what it is", () => {
    const text = readFileSync(join(import.meta.dirname, "../../docs/rehearsal.md"), "utf8");
    const documented = [...text.matchAll(/^\| `--variant ([\w-]+)` /gm)].map(([, name = ""]) => name);

    expect(documented.sort()).toEqual([...VARIANT_NAMES].sort());
  });
});

describe("renderVariants", () => {
  it("changes nothing where there is none", () => {
    expect(renderVariants([], "test.technicia.example")).toEqual({
      isOwned: false,
      keepsAbsence: false,
      records: [],
    });
  });

  it("puts scripts one after the other, and records under the environment's name", () => {
    const names = ["chrony", "parking-record", "same-record", "swap", "kept-absence"] as const;
    const { atDelivery = "", ...rest } = renderVariants(names, "test.technicia.example");

    expect(rest).toEqual({
      isOwned: false,
      keepsAbsence: true,
      records: [
        { name: "test.technicia.example", ttl: 300, type: "A", content: "192.0.2.80" },
        { name: "test.technicia.example", ttl: 300, type: "A", content: "198.18.113.10" },
      ],
    });
    const order = ["cloud-init status --wait", "install_packages chrony", 'mkswap "$file"'];
    const places = order.map((text) => atDelivery.indexOf(text));
    expect(places).toEqual([...places].sort((a, b) => a - b));
    expect(places[0]).toBeGreaterThan(0);
  });
});
