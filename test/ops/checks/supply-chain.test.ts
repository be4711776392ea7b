import { describe, expect, it } from "vitest";

import type { Scan, Vulnerability } from "../../../common/scan.ts";
import { digestsProbe, vulnerabilitiesProbe } from "../../../ops/checks/supply-chain.ts";
import { imagesInUse } from "../../../stacks/images.ts";
import { environmentWith } from "../../support/fixtures.ts";
import { contextWith, effectsWith, unaborted } from "./fixtures.ts";

const NOW = Date.parse("2026-11-26T10:00:00Z");
const required = { "operations.supplyChain.scan": true };

const urgent: Vulnerability = {
  id: "CVE-2026-1111",
  severity: "Critical",
  package: "libssl3",
  version: "3.0.16",
  fixedIn: ["3.0.17"],
};

function record(changes: Partial<Scan> = {}, found: readonly Vulnerability[] = []): Scan {
  const subjects = imagesInUse(environmentWith()).map(({ service, name }) => ({
    name: service,
    reference: name,
    vulnerabilities: service === "gateway" ? [...found] : [],
  }));
  return { format: 1, at: "2026-11-20T10:00:00.000Z", scanner: "grype 0.116.1", subjects, ...changes };
}

/** Looks at a record with these settings; a text is the record itself. */
function look(given: Scan | string | undefined, settings: Readonly<Record<string, unknown>> = required) {
  const text = typeof given === "object" ? JSON.stringify(given) : given;
  const context = contextWith({
    environment: environmentWith({ "operations.supplyChain": {}, ...settings }),
  });
  const effects = effectsWith({ now: () => NOW, readScan: () => Promise.resolve(text) });
  return vulnerabilitiesProbe(context, effects).find(unaborted);
}

describe("the check of vulnerabilities", () => {
  it("is ok with a scan of the last days that found nothing critical that could be fixed", async () => {
    const lesser = [
      { ...urgent, fixedIn: [] },
      { ...urgent, severity: "High" },
    ];

    expect(await look(record({}, lesser))).toMatchObject({
      outcome: "ok",
      detail: expect.stringContaining("grype 0.116.1, 2026-11-20") as string,
    });
  });

  it.each([
    [
      "there is no scan",
      undefined,
      /^aucune analyse ; npm run tools -- install scanner, puis npm run scan -- test$/,
    ],
    ["the record is damaged", "{", /^scans\/test\.json est illisible ; npm run scan -- test$/],
    [
      "it is older than seven days",
      record({ at: "2026-11-19T09:59:00.000Z" }),
      /^analyse du 2026-11-19, attendu 7 jours au plus/,
    ],
    ["it is of the future", record({ at: "2026-12-01T00:00:00.000Z" }), /^analyse du 2026-12-01/],
    ["it is of other images", record({ subjects: [] }), /^analyse d'autres images pour qdrant, vectorStore/],
    [
      "an image could not be scanned",
      record({
        subjects: record().subjects.map((one) => (one.name === "n8n" ? { ...one, problem: "401" } : one)),
      }),
      /^n8n non analysé \(401\)$/,
    ],
    [
      "something critical could be fixed",
      record({}, [urgent]),
      /^CVE-2026-1111 dans gateway \(libssl3 3\.0\.16, corrigée en 3\.0\.17\)$/,
    ],
  ])(
    "fails when %s, and says the same without effect where the settings do not ask for it",
    async (_, given, detail) => {
      expect(await look(given)).toMatchObject({
        outcome: "failed",
        detail: expect.stringMatching(detail) as string,
      });

      const elsewhere = await look(given, {});
      expect(elsewhere.outcome).toBe("not-checked");
      expect(elsewhere.detail).toMatch(/ ; sans effet ici$/);
    },
  );

  it("accepts an exception until its last day, and names it", async () => {
    const until = (day: string) => ({
      ...required,
      "operations.supplyChain.exceptions": [
        { id: "CVE-2026-1111", reason: "fonction non utilisée", until: day },
      ],
    });

    expect(await look(record({}, [urgent]), until("2026-11-26"))).toMatchObject({
      outcome: "ok",
      detail: expect.stringContaining(
        "CVE-2026-1111 admise jusqu'au 2026-11-26 : fonction non utilisée",
      ) as string,
    });
    expect(await look(record({}, [urgent]), until("2026-11-25"))).toMatchObject({ outcome: "failed" });
  });
});

describe("the check of digests", () => {
  const digests = (settings: Readonly<Record<string, unknown>>) =>
    digestsProbe(
      contextWith({ environment: environmentWith({ "operations.supplyChain": {}, ...settings }) }),
    ).find(unaborted);
  const pinned = Object.fromEntries(
    imagesInUse(environmentWith()).map(({ service, name }) => [
      `images.${service}`,
      `${name}@sha256:${"a".repeat(64)}`,
    ]),
  );

  it("fails for a tag alone where the settings ask for digests, with the command", async () => {
    expect(
      await digests({
        "operations.supplyChain.digests": true,
        ...pinned,
        "images.n8n": "n8nio/n8n:2.41.3",
        "images.n8nRunners": "n8nio/runners:2.41.3",
      }),
    ).toMatchObject({
      outcome: "failed",
      detail: "sans empreinte : n8n, n8nRunners ; npm run images -- pin test",
    });
  });

  it("is ok with digests, and open with tags where nobody asks", async () => {
    expect(await digests({ "operations.supplyChain.digests": true, ...pinned })).toMatchObject({
      outcome: "ok",
    });
    expect(await digests({})).toMatchObject({ outcome: "not-checked" });
  });
});
