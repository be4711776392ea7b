import { describe, expect, it } from "vitest";

import { effectOf, readDifferences } from "../../../ops/drift/differences.ts";
import { renderReport, type DriftReport, type Finding } from "../../../ops/drift/report.ts";
import { driftMarker, renderIssue, reportFailure, reportToIssue } from "../../../ops/drift/issue.ts";
import type { IssueRequest } from "../../../ops/vendors/github.ts";
import { fields } from "../../../reports/incidents/incidents.ts";
import { recordedSteps } from "./world.ts";

const file: Finding = {
  layer: "host",
  resource: "host-docker-settings",
  what: "content",
  expected: ["{}"],
  found: ['{ "debug": true }'],
  since: "2026-11-21T07:42:02.000Z",
  repair: "the file is restored and dockerd restarts",
  interruption: "everything is away, about a minute",
};
const key: Finding = {
  layer: "host",
  resource: "extra-access",
  what: "key SHA256:abc evil@example in /root/.ssh/authorized_keys",
  expected: ["nothing beside what is declared"],
  found: ["key SHA256:abc evil@example in /root/.ssh/authorized_keys"],
  repair: "the line is removed from the file",
};
const record: Finding = {
  ...{ layer: "dns", resource: "technicia.exemple.fr", what: "TXT record that nobody declared" },
  ...{ expected: ["nothing beside what is declared"], found: ["TXT `@team`"], repair: "it is deleted" },
};
const report = (change: Partial<DriftReport> = {}): DriftReport => ({
  ...{ stack: "prod", at: "2026-11-21T02:17:00.000Z", seconds: 4.2, outcome: "drift" },
  ...{ findings: [record, file, key], gaps: [], pending: [] },
  ...change,
});

describe("renderReport", () => {
  it("groups findings by layer", () => {
    expect(renderReport(report())).toBe(`prod: 3 differences (4.2 s)

DNS
  technicia.exemple.fr: TXT record that nobody declared
    expected   nothing beside what is declared
    found      TXT \`@team\`
    repair     it is deleted

Host
  host-docker-settings: content
    expected   {}
    found      { "debug": true }
    since      2026-11-21 07:42:02 UTC
    repair     the file is restored and dockerd restarts
    meanwhile  everything is away, about a minute
  extra-access: key SHA256:abc evil@example in /root/.ssh/authorized_keys
    repair     the line is removed from the file`);
  });

  it("reports that nothing differs", () => {
    expect(renderReport(report({ outcome: "clean", findings: [] }))).toBe(
      "prod: nothing differs from what was deployed (4.2 s)",
    );
  });

  it("never calls clean what it could not read", () => {
    const gaps = [{ what: "the server", reason: Array.from({ length: 12 }, () => "no answer").join("\n") }];
    const text = renderReport(report({ outcome: "failed", findings: [], gaps }));

    expect(text).toContain("prod: nothing differs, and 1 gap: not everything could be looked at");
    expect(text).toContain("Not looked at\n  the server\n    reason     no answer");
    expect(text).toContain("… and 4 more lines");
  });
});

function tracker() {
  const written: IssueRequest[] = [];
  const closed: { readonly marker: string; readonly note: string }[] = [];
  return {
    written,
    closed,
    upsertIssue(issue: IssueRequest) {
      written.push(issue);
      return Promise.resolve({ action: "created" as const, number: 1, url: "https://example.com/1" });
    },
    closeIssue(request: { readonly marker: string; readonly note: string }) {
      closed.push(request);
      return Promise.resolve(undefined);
    },
  };
}

describe("the issue", () => {
  it("has every field of the team's own entries, in their order", () => {
    const text = renderIssue(report());
    const found = [...text.matchAll(/^\*\*([^*]+)\*\*:/gm)].map(([, field]) => field);

    expect(text).toMatch(/^### DEPLOY-XXX: Dérive Production : 3 écart\(s\)\n/);
    expect(found).toEqual([...fields]);
    expect(text).toContain("**Environnement**: Production  ");
    expect(text).toContain("**Date d'identification**: 2026-11-21  ");
    expect(text).toContain("npm run drift -- prod --repair");
  });

  it("is critical where somebody may have come in, and of middling haste where nothing stops working", () => {
    expect(renderIssue(report())).toContain("**Priorité**: Critique");
    expect(renderIssue(report({ findings: [file] }))).toContain("**Priorité**: Haute");
    expect(renderIssue(report({ findings: [record] }))).toContain("**Priorité**: Moyenne");
  });

  it("lets no text from the server write Markdown or call people", () => {
    expect(renderIssue(report())).toContain("  - trouvé : `` TXT `@team` ``");
  });

  it("is written under the stack's own marker, and closed with a note when the stack is clean", async () => {
    const github = tracker();
    await reportToIssue(report(), github);
    await reportToIssue(report({ stack: "test" }), github);
    await reportToIssue(report({ outcome: "clean", findings: [] }), github);

    expect(github.written.map(({ marker }) => marker)).toEqual([driftMarker("prod"), driftMarker("test")]);
    expect(driftMarker("prod")).not.toBe(driftMarker("test"));
    expect(github.closed).toEqual([
      { marker: driftMarker("prod"), note: expect.stringContaining("plus aucun écart") as string },
    ]);
  });

  it("stays open, and says so, when not everything could be looked at", async () => {
    const github = tracker();
    const gaps = [{ what: "the server", reason: "no answer" }];
    await reportToIssue(report({ outcome: "failed", findings: [], gaps }), github);
    await reportFailure("prod", new Date("2026-11-21T02:17:00Z"), "the passphrase is missing", github);

    expect(github.closed).toEqual([]);
    expect(github.written.map(({ title }) => title)).toEqual(
      Array.from({ length: 2 }, () => "Dérive Production : la vérification a échoué"),
    );
    expect(github.written[0]?.body).toContain("- **non vérifié** — `the server` : `no answer`");
    expect(github.written[0]?.body).not.toContain("--repair");
    expect(github.written[1]?.body).toContain("the passphrase is missing");
  });
});

describe("effectOf", () => {
  it("warns of every interruption among what was recorded, and of lost data", async () => {
    const differences = readDifferences([
      ...(await recordedSteps("drifted")),
      ...(await recordedSteps("gone")),
    ]);
    const effects = new Map(differences.map((one) => [`${one.resource} ${one.kind}`, effectOf(one)]));
    const interrupting = [...effects]
      .filter(([, { interruption }]) => interruption !== undefined)
      .map(([name]) => name);

    expect(interrupting.sort()).toEqual([
      "host-docker-settings changed",
      "technicia-app gone",
      "technicia-n8n-data gone",
      "technicia-n8n-service gone",
      "technicia-qdrant-key gone",
      "technicia-qdrant-service gone",
    ]);
    expect(effects.get("technicia-n8n-data gone")?.repair).toContain("comes back only from a backup");
    expect(effects.get("technicia-n8n-service changed")?.repair).toContain(
      "stops the other once it is healthy",
    );
  });

  it("distinguishes a service that must not run twice from one that may", async () => {
    const [difference] = readDifferences(await recordedSteps("drifted")).filter(
      ({ resource }) => resource === "technicia-n8n-service",
    );
    const stopsFirst = {
      ...difference!,
      inputs: { name: "technicia-qdrant", updateConfig: { order: "stop-first" } },
    };

    expect(effectOf(stopsFirst).interruption).toBe(
      "technicia-qdrant is down while its task is replaced, some seconds to a minute",
    );
  });
});
