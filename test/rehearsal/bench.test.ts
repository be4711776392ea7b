import { describe, expect, it } from "vitest";

import { addWebhooks, REMOVE_WEBHOOKS } from "../../rehearsal/bench/faulty-webhooks.ts";
import { run } from "../../common/run.ts";
import { AFTERMATH } from "../../common/planned-alerts.ts";
import { judgeRecovery } from "../../rehearsal/bench/recovery.ts";
import { renderAlertmanager, settleSeconds } from "../../components/monitoring/alertmanager.ts";
import { disturbs, readFirstWait } from "../../rehearsal/bench/server.ts";
import { spanOf, summarise } from "../../rehearsal/bench/traffic.ts";
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

it("bash that adds and removes workflows can be read", async () => {
  const added = addWebhooks([{ path: "broken", method: "GET", status: 500 }]);
  for (const input of [added, REMOVE_WEBHOOKS]) await run(["bash", "-n"], { input });
  expect(added).toContain('"httpMethod":"GET"');
});
