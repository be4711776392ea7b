import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { describe, expect, it } from "vitest";

import { addWebhooks, REMOVE_WEBHOOKS } from "../../rehearsal/bench/faulty-webhooks.ts";
import { run } from "../../common/run.ts";
import { AFTERMATH } from "../../common/planned-alerts.ts";
import { judgeRecovery } from "../../rehearsal/bench/recovery.ts";
import { renderAlertmanager, settleSeconds } from "../../components/monitoring/alertmanager.ts";
import { disturbs, readFirstWait } from "../../rehearsal/bench/server.ts";
import { spanOf, summarise } from "../../rehearsal/bench/traffic.ts";
import { DELETE_COPIES, makeRepository, sourceWords } from "../../rehearsal/bench/many-workflows.ts";
import { judgeWait } from "../../rehearsal/bench/changes.ts";
import { hopsIn } from "../../rehearsal/bench/questions.ts";
import { stopsIn } from "../../rehearsal/bench/n8n-stops.ts";
import {
  DELETE_UPLOADED,
  type Kind,
  longestOf,
  MIX,
  startLoad,
  type Visit,
} from "../../rehearsal/bench/visitors.ts";
import { readContent } from "../../stacks/workflows/folder.ts";
import { environmentWith } from "../support/fixtures.ts";
import { until } from "../support/until.ts";
import { monitoringFacts } from "../components/monitoring/facts.ts";

const request = (at: number, isAnswered: boolean, milliseconds = 10) => ({ at, isAnswered, milliseconds });

describe("requests during a measure", () => {
  it("are counted, with the time from the first that failed to the last", () => {
    const requests = [request(1000, true), request(2000, false), request(3000, true), request(9500, false)];

    expect(summarise(requests)).toEqual({
      failed: 2,
      failures: [2000, 9500],
      requests: "2 of 4 failed within 7.5 s, p95 10 ms",
    });
  });

  it("have no such time where none failed", () => {
    expect(summarise([request(1000, true), request(2000, true, 30)]).requests).toBe(
      "0 of 2 failed, p95 30 ms",
    );
    expect(spanOf([])).toBe(0);
  });
});

describe("the recovery from a bad release", () => {
  const began = 100_000;
  const judge = (illness: "errors" | "slow", seen: readonly number[], more: object = {}) =>
    judgeRecovery(illness, {
      ...{ began, ended: began + 200_000, code: 4 },
      failures: seen.map((seconds) => began + seconds * 1000),
      ...more,
    });

  it("counts from the first response that failed, and not from one before the illness", () => {
    expect(judge("slow", [-30, 20, 40])).toMatchObject({ seconds: 180, target: "met: at most 300 s" });
  });

  it("counts from the illness where nothing failed", () => {
    expect(judge("slow", [])).toMatchObject({ seconds: 200, target: "met: at most 300 s" });
  });

  it("of a hard failure is also judged by how long responses failed", () => {
    expect(judge("errors", [1, 55]).target).toBe(
      "met: at most 300 s; 54.0 s of failing responses, met: at most 60 s of failing responses",
    );
    expect(judge("errors", [1, 75]).target).toContain("missed: at most 60 s of failing responses");
  });

  it("is missed after five minutes, and where nothing was rolled back", () => {
    expect(judge("slow", [], { ended: began + 301_000 }).target).toBe("missed: at most 300 s");
    expect(judge("slow", [], { code: 0 }).target).toBe("missed: expected a rollback, got exit code 0");
  });
});

describe("what disturbs a measure", () => {
  it.each([
    [{ alertname: "ErrorRateCritical", rollback: "yes" }, true],
    [{ alertname: "DiskWarning" }, false],
    [{ alertname: AFTERMATH, cause: "ServiceDown", span: "minutes" }, true],
    [{ alertname: AFTERMATH, cause: "HostMemoryCritical", span: "moment" }, false],
  ])("is an alert of a rollback, or one that keeps back messages about requests: %o", (labels, expected) => {
    expect(disturbs(labels as unknown as Record<string, string>)).toBe(expected);
  });
});

describe("the wait before a first message", () => {
  const ofRequests = { alertname: "ErrorRateCritical", severity: "P1" };

  it("is read from Alertmanager's own configuration, which writes minutes", () => {
    const config = renderAlertmanager(monitoringFacts());

    expect(readFirstWait(config, ofRequests)).toBe(settleSeconds(monitoringFacts()));
    expect(readFirstWait(config.replaceAll("95s", "1m35s"), ofRequests)).toBe(95);
  });

  it("is missing where no route names the alert", () => {
    const config = renderAlertmanager(monitoringFacts());

    expect(() => readFirstWait(config, { ...ofRequests, alertname: "ServiceDown" })).toThrow(
      "expected a route of ServiceDown with a wait, got none",
    );
  });
});

describe("visitors at a steady rate", () => {
  const answered = () => Promise.resolve(undefined);

  it("come whether the others are answered or not, of the kinds in turn, and are waited for at the end", async () => {
    const waiting: (() => void)[] = [];
    const slow = () => new Promise<undefined>((resolve) => waiting.push(() => resolve(undefined)));
    const load = startLoad(
      { health: answered, question: slow, upload: () => Promise.resolve("status 503") },
      { perSecond: 500, kinds: ["question", "health", "upload"] },
    );
    await until("five questions at once", () => Promise.resolve(waiting.length >= 5));
    const stopped = load.stop();
    for (const answer of waiting) answer();
    const visits = await stopped;

    const kinds = visits.map(({ kind }) => kind);
    const counts = ["question", "health", "upload"].map((kind) => kinds.filter((one) => one === kind).length);
    expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1);
    expect(counts[0]).toBe(waiting.length);
    for (const { kind, failure, isAnswered } of visits) {
      expect(failure).toBe(kind === "upload" ? "status 503" : undefined);
      expect(isAnswered).toBe(kind !== "upload");
    }
  });

  it("ask n8n in half of what they ask, and upload now and then", () => {
    expect(MIX.filter((kind) => kind === "health")).toHaveLength(MIX.length / 2);
    expect(MIX).toContain("upload");
  });
});

describe("the longest that a visitor waits", () => {
  const visit = (kind: Kind, seconds: number, isAnswered = true): Visit => ({
    ...{
      kind,
      at: 0,
      milliseconds: seconds * 1000,
      isAnswered,
      failure: isAnswered ? undefined : "status 503",
    },
  });

  it("counts requests to n8n that were answered", () => {
    expect(
      longestOf([visit("health", 9), visit("question", 3), visit("upload", 4), visit("upload", 8, false)]),
    ).toBe(4);
    expect(longestOf([])).toBe(0);
  });

  it("is judged by the time in which n8n stops", () => {
    const visits = [visit("question", 12)];

    expect(judgeWait("setting", { stops: [1, 4.2], visits }).target).toBe(
      "met: at most 8 s and 4.2 s of n8n's stop",
    );
    expect(judgeWait("setting", { stops: [3], visits }).target).toContain("missed");
    expect(judgeWait("image", { stops: [], visits }).target).toBe("missed: at most 8 s and n8n did not stop");
  });

  it("takes that time from what Docker tells, from the first signal on, and of no container that ended by itself", () => {
    const events = [
      "1764327000000000000 kill a",
      "1764327002000000000 kill a",
      "1764327003500000000 die a",
      "1764327004000000000 die b",
      "",
    ];

    expect(stopsIn(events.join("\n"))).toEqual([3.5]);
    expect(stopsIn("")).toEqual([]);
  });
});

describe("the hops of a question", () => {
  const release = (measures: Record<string, number> | undefined) => ({
    releases: [{ verify: [] }, { verify: [{ id: "performance-question", measures }] }],
  });

  it("are those that the last release has recorded, each with its promise", () => {
    expect(hopsIn(release({ uploadMs: 250, searchMs: 1200, ownMs: 900, pages: 1 }))).toEqual([
      { name: "hop: upload, answered", seconds: 0.25 },
      { name: "hop: question, search", seconds: 1.2, target: "missed: at most 1.0 s" },
      { name: "hop: question, without the model", seconds: 0.9, target: "met: at most 3.0 s" },
    ]);
  });

  it("are missed where the last release has none", () => {
    expect(() => hopsIn(release(undefined))).toThrow("expected the last release to have measured a question");
    expect(() => hopsIn(undefined)).toThrow("expected the last release");
  });
});

describe("the workflows of a push", () => {
  it("are without a problem, twenty of them, and others at each commit", async () => {
    await using repository = await makeRepository(15);
    const path = join(fileURLToPath(repository.address), "workflows");
    const read = () =>
      readContent({ path, folder: "workflows" }, environmentWith({ documents: { enabled: true } }));
    const first = await repository.commit("first");
    const { files, problems } = await read();
    const second = await repository.commit("second");

    expect(problems).toEqual([]);
    expect(files).toHaveLength(20);
    expect(second).not.toBe(first);
    const { files: later } = await read();
    const changed = later.filter(
      ({ workflow }, at) => JSON.stringify(workflow) !== JSON.stringify(files[at]?.workflow),
    );
    expect(changed).toHaveLength(15);
  });

  it("are put into the settings in one write", () => {
    expect(sourceWords({ repository: "file:///tmp/x", commit: "0".repeat(40) })).toEqual([
      ...["config", "set-all", "--path"],
      ...["--plaintext", "technicia:workflows.source.repository=file:///tmp/x"],
      ...["--plaintext", `technicia:workflows.source.commit=${"0".repeat(40)}`],
    ]);
  });
});

it("bash that adds and removes workflows can be read", async () => {
  const added = addWebhooks([{ path: "broken", method: "GET", status: 500 }]);
  for (const input of [added, REMOVE_WEBHOOKS, DELETE_COPIES, DELETE_UPLOADED])
    await run(["bash", "-n"], { input });
  expect(added).toContain('"httpMethod":"GET"');
});
