import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { describe, expect, it, vi } from "vitest";

import type { Cost } from "../../../common/cost.ts";
import { GITHUB_LIMIT, renderPreview } from "../../../ops/preview/markdown.ts";
import { previewStack } from "../../../ops/preview/preview.ts";
import { startOvh } from "../../../rehearsal/fake-clouds/ovh/server.ts";
import { fakePulumi } from "../../support/fake-pulumi.ts";
import { validSettings } from "../../support/fixtures.ts";
import { eventLog, manyDeletions, reportOf } from "./recorded.ts";

const cost = (euros: number): Cost => ({
  lines: [
    {
      what: "server",
      name: "vps-a|b",
      monthly: { kind: "euros", euros },
      source: "OVH's catalogue of FR, 2026-11-24",
    },
    {
      what: "usage",
      name: "Anthropic",
      monthly: { kind: "not-estimated", why: "billed by use" },
      source: "",
    },
  ],
  once: 0,
});

describe("the costs in a preview", () => {
  it("are one folded line where a change costs nothing", () => {
    const report = reportOf(eventLog("quiet"), { cost: { before: cost(8), after: cost(8), ceiling: 20 } });

    expect(renderPreview(report)).toContain(
      "<details>\n<summary>Cost: €8.00 a month without VAT; the ceiling is €20.00</summary>\n\n" +
        "| Cost a month | Euros | Price |\n| --- | --- | --- |\n" +
        "| server `vps-a`&#124;`b` | €8.00 | `OVH's catalogue of FR, 2026-11-24` |\n" +
        "| usage `Anthropic` | not estimated | `billed by use` |\n\n</details>",
    );
  });

  it("stand open with the difference where it costs something", () => {
    const report = reportOf(eventLog("bump"), {
      cost: { before: cost(8), after: cost(9.5), ceiling: undefined },
    });
    const text = renderPreview(report);

    expect(text).toContain(
      "**Cost: €9.50 a month without VAT (+€1.50)**\n\n| Cost a month | Before | After | Price |",
    );
    expect(text).toContain("| server `vps-a`&#124;`b` | €8.00 | €9.50 |");
  });

  it("leave a comment within what GitHub takes", () => {
    const change = { before: cost(8), after: cost(9.5), ceiling: undefined };
    const report = reportOf(manyDeletions(2000), { cost: change });
    const text = renderPreview(report, { length: GITHUB_LIMIT, value: 200, whole: "preview.md" });

    expect(text.length).toBeLessThanOrEqual(GITHUB_LIMIT);
    expect(text).toContain("(+€1.50)");
  });

  it("are not shown of a preview that failed", () => {
    const change = { before: undefined, after: cost(8), ceiling: undefined };

    expect(renderPreview(reportOf("", { failure: "no", cost: change }))).not.toContain("Cost");
  });

  it("come from the settings, the state and the catalogue", async () => {
    const [ovh, cache] = [await startOvh(), await mkdtemp(join(tmpdir(), "preview-cost-"))];
    vi.stubEnv("XDG_CACHE_HOME", cache);
    const settings = { ...validSettings(), ovh: { endpoint: ovh.url } };
    const configuration = Object.entries(settings).map(([name, value]) => [
      `technicia:${name}`,
      { secret: false, value: typeof value === "string" ? value : JSON.stringify(value) },
    ]);
    const vps = {
      ...{ urn: "urn:pulumi:test::technicia::technicia:ovh:Vps::server", type: "technicia:ovh:Vps" },
      outputs: { serviceName: "vps-1a2b3c4d.vps.ovh.net", model: "vps-2027-model2" },
    };
    const { pulumi } = fakePulumi(([first, second]) => {
      if (first === "config") return { stdout: JSON.stringify(Object.fromEntries(configuration)) };
      if (first === "preview") return { events: eventLog("quiet") };
      return { stdout: second === "export" ? JSON.stringify({ deployment: { resources: [vps] } }) : "[]" };
    });
    const world = {
      ...{ pulumi, fetch, git: () => Promise.resolve(""), now: () => new Date("2026-11-24T08:00:00Z") },
      environment: {},
      openServer: () => {
        throw new Error("no server is asked");
      },
    };
    const report = await previewStack({ stack: "test", refresh: false }, world);
    await ovh.close();
    await rm(cache, { recursive: true });

    expect(renderPreview(report)).toContain("<summary>Cost: €8.79 a month without VAT</summary>");
  });
});
