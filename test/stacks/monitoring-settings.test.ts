import { describe, expect, it } from "vitest";

import { ladderOf } from "../../components/monitoring/audiences.ts";
import { factsOf } from "../../stacks/parts/monitoring.ts";
import { imagesInUse } from "../../stacks/images.ts";
import { environmentWith } from "../support/fixtures.ts";
import { everything } from "../support/technicia.ts";
import { releaseLimits } from "../../stacks/release-limits.ts";

const mail = { host: "smtp.exemple.fr", from: "alertes@exemple.fr" };
const neighbour = { stack: "prod", url: "https://prod.exemple.fr" };
const webhook = { name: "pager", secret: "pagerUrl" };
const emails = ["astreinte@exemple.fr"];

const refusal = (monitoring: object) => {
  try {
    environmentWith({ monitoring });
  } catch (error) {
    return (error as Error).message;
  }
  return "";
};

describe("the settings of the monitoring", () => {
  it("are on by default, with limits and images that need not be named", () => {
    const { monitoring, images, services } = environmentWith({ "images.rules": undefined });

    expect(monitoring).toMatchObject({ enabled: true, scrapeSeconds: 15, metricsDays: 35, logsDays: 14 });
    expect(images.rules).toBe("victoriametrics/vmalert:v1.151.0");
    expect(services.metricRules).toEqual({ memoryMib: 48, cpus: 0.25 });
  });

  it.each([
    [{ mail: { host: "smtp.exemple.fr" } }, "monitoring.mail.from: expected"],
    [
      { receivers: { team: { emails } } },
      "monitoring.mail: expected a mail server, because monitoring.receivers.team.emails has addresses, got nothing",
    ],
    [
      { escalation: [{ level: "N1", afterMinutes: 5, emails }] },
      "monitoring.mail: expected a mail server, because monitoring.escalation has addresses",
    ],
    [
      {
        escalation: [
          { level: "N2", afterMinutes: 5 },
          { level: "N1", afterMinutes: 15 },
        ],
      },
      "monitoring.escalation[1].level: expected a level after N2, got N1",
    ],
    [
      {
        escalation: [
          { level: "N1", afterMinutes: 15 },
          { level: "N2", afterMinutes: 15 },
        ],
      },
      "monitoring.escalation[1].afterMinutes: expected more than 15, the minutes of N1, got 15",
    ],
    [
      { neighbours: [{ ...neighbour, stack: "test" }] },
      "monitoring.neighbours[0].stack: expected another environment, each once, got itself",
    ],
    [
      { neighbours: [neighbour, neighbour] },
      "monitoring.neighbours[1].stack: expected another environment, each once, got prod again",
    ],
    [{ neighbours: [{ ...neighbour, url: "https://prod.exemple.fr/a" }] }, "without a path"],
    [{ neighbours: [{ ...neighbour, url: "http://prod.exemple.fr" }] }, "(https://…)"],
    [
      { enabled: true, logsMaxGib: 18, minFreeGib: 2 },
      "monitoring: expected at most 20 GiB in all, half of the disk (server.diskGib 40), got 21 GiB (metricsDays 35: about 1, logsMaxGib 18, minFreeGib 2); " +
        "lower one of the three, or, where the plan has a larger disk, say so with pulumi config set --path technicia:server.diskGib",
    ],
    [
      { receivers: { webhooks: [webhook, { ...webhook, name: "sms" }] } },
      'monitoring.receivers.webhooks[1].secret: expected a secret of its own, got "pagerUrl" again',
    ],
    [
      { receivers: { webhooks: [webhook, { ...webhook, secret: "smsUrl" }] } },
      'monitoring.receivers.webhooks[1].name: expected a name of its own, got "pager" again',
    ],
    [
      { receivers: { webhooks: [{ ...webhook, format: "pagerduty" }] } },
      'webhooks[0].secret: expected pagerDutyKey, because its format is pagerduty, got "pagerUrl"; set it with pulumi config set',
    ],
    [
      { receivers: { webhooks: [{ ...webhook, secret: "pagerDutyKey" }] } },
      'expected pagerUrl or smsUrl or webhookUrl, because its format is json, got "pagerDutyKey"',
    ],
    [
      {
        escalation: [{ level: "N1", afterMinutes: 5 }],
        receivers: { webhooks: [{ ...webhook, levels: ["P1", "N3"] }] },
      },
      'webhooks[0].levels: expected a level of monitoring.escalation (N1), got "N3"; add it there or remove it here',
    ],
    [{ receivers: { webhooks: [{ ...webhook, levels: [] }] } }, "expected at least one level, such as P1"],
    [
      { receivers: { webhooks: [{ ...webhook, name: "team" }] } },
      "other than team, slack, nobody and deadman",
    ],
    [{ receivers: { webhooks: [{ ...webhook, secret: "slackUrl" }] } }, 'expected "pagerUrl", "smsUrl"'],
    [
      { receivers: { pager: true } },
      "monitoring.receivers.pager: expected an entry of monitoring.receivers.webhooks instead, which keeps the secret pagerUrl; " +
        "remove this with pulumi config rm --path technicia:monitoring.receivers.pager --stack test",
    ],
    [{ observation: { seconds: 300, paths: ["healthz"] } }, "expected a path from /, such as /healthz"],
    [
      { observation: { paths: ["/healthz", "/api/question"] } },
      'monitoring.observation.paths[1]: expected a path that neither writes nor asks a language model, got "/api/question"; put it in monitoring.observation.once',
    ],
    [{ observation: { once: [{ path: "/api/question", body: "{" }] } }, "expected JSON in quotes"],
    [{ observation: { once: [{ method: "PUT", path: "/x" }] } }, 'expected "GET" or "POST"'],
  ])("refuse %j", (monitoring, expected) => {
    expect(refusal(monitoring)).toContain(expected);
  });

  it("may keep more on a larger disk", () => {
    const monitoring = { enabled: true, logsMaxGib: 18, minFreeGib: 2 };

    expect(environmentWith({ monitoring, "server.diskGib": 42 }).monitoring.logsMaxGib).toBe(18);
    expect(() => environmentWith({ monitoring, "server.diskGib": 41 })).toThrow("at most 20 GiB in all");
  });

  it("send the requests of a list once as POST, and none by default", () => {
    const onceOf = (observation: object) =>
      environmentWith({ monitoring: { observation } }).monitoring.observation.once;

    expect(onceOf({})).toEqual([]);
    expect(onceOf({ once: [{ path: "/api/question" }] })).toEqual([
      { method: "POST", path: "/api/question" },
    ]);
  });

  it("accept what is complete", () => {
    expect(
      refusal({
        mail,
        receivers: { team: { emails } },
        escalation: [
          { level: "N1", afterMinutes: 5, emails },
          { level: "N3", afterMinutes: 30 },
        ],
        neighbours: [neighbour],
      }),
    ).toBe("");
  });

  it("count the memory of the programs with the other services, and only where they run", () => {
    const changes = { "server.memoryGib": 6 };
    const limits = (enabled: boolean) => {
      try {
        environmentWith({ ...changes, monitoring: { enabled } });
      } catch (error) {
        return (error as Error).message;
      }
      return "";
    };

    expect(limits(true)).toMatch(/metrics 128, logs 128, metricRules 48, logRules 48, alerts 64, probes 32/);
    expect(limits(false)).not.toContain("metrics 128");
  });
});

describe("imagesInUse", () => {
  it("names the image that two programs share once, and those of the monitoring only where it runs", () => {
    const names = (enabled: boolean) =>
      imagesInUse(environmentWith({ monitoring: { enabled } })).map(({ service }) => service);
    const own = ["metrics", "logs", "rules", "alerts", "probes"];

    expect(names(true).filter((name) => own.includes(name))).toEqual(own);
    expect(names(false).filter((name) => own.includes(name))).toEqual([]);
  });
});

describe("what a release is verified against", () => {
  const limitsWith = (thresholds: object) => releaseLimits(environmentWith({ monitoring: { thresholds } }));

  it("is the number of the alert, where the release has none of its own", () => {
    const ofAlerts = {
      errors: { p3Percent: 2 },
      latency: { p3P50Seconds: 0.7, p2P95Seconds: 4, p3P99Seconds: 8 },
      disk: { freePercent: 25 },
      memory: { targetPercent: 70 },
    };
    const expected = { errorRatio: 0.02, p50Ms: 700, p95Ms: 4000, p99Ms: 8000 };

    expect(limitsWith(ofAlerts)).toMatchObject({ ...expected, diskFreePercent: 25, memoryUsedPercent: 70 });
  });

  it("is its own number, which changes no alert", () => {
    const release = {
      ...{ errorPercent: 5, p50Seconds: 1, p95Seconds: 3, p99Seconds: 10 },
      ...{ diskFreePercent: 1, memoryUsedPercent: 90 },
    };
    const expected = { errorRatio: 0.05, p50Ms: 1000, p95Ms: 3000, p99Ms: 10_000 };

    expect(limitsWith({ release })).toMatchObject({ ...expected, diskFreePercent: 1, memoryUsedPercent: 90 });
    expect(factsOf(environmentWith({ monitoring: { thresholds: { release } } })).thresholds).toEqual(
      factsOf(environmentWith()).thresholds,
    );
  });

  it.each([
    [{ errorPercent: 0 }, "errorPercent: expected a whole number of percent from 1 to 99"],
    [{ p95Seconds: "2s" }, 'p95Seconds: expected seconds above 0, such as 2, got "2s"'],
    [{ rollbackSeconds: 0 }, "rollbackSeconds: expected a whole number of seconds from 1 to 3600"],
  ])("refuses %j", (release, expected) => {
    expect(refusal({ thresholds: { release } })).toContain(`monitoring.thresholds.release.${expected}`);
  });

  it("is no longer a setting of operations, and says where it is now", () => {
    expect(() => environmentWith({ "operations.thresholds": { p95Ms: 2000 } })).toThrow(
      "operations.thresholds: expected these numbers in monitoring.thresholds, once for alerts and verifications; " +
        "remove them with pulumi config rm --path technicia:operations.thresholds --stack test",
    );
  });
});

describe("what rules and routes are rendered from", () => {
  it("follows from the settings", () => {
    const facts = factsOf(environmentWith(everything.settings));

    expect(facts).toMatchObject({
      stack: "test",
      publicUrl: "https://technicia.exemple.fr",
      editorDomain: "n8n.technicia.exemple.fr",
      trusted: true,
      database: "postgres",
      mail: { user: "alertes@exemple.fr", port: 587, startTls: true },
      backup: { hours: 1, maxAgeHours: 3, drillDays: 7 },
      uploadRoutes: ["/api/upload", "/webhook/upload"],
      neighbours: [{ stack: "prod", url: "https://prod.exemple.fr", trusted: true }],
    });
    expect(facts.services).toEqual(expect.arrayContaining(["vector-store", "metric-rules", "probes"]));
    expect(facts.languageModelRoutes).toContain("/webhook/question");
  });

  it("tells the operator when nobody is named, and leaves out levels of nobody", () => {
    const facts = factsOf(environmentWith({ monitoring: { enabled: true, mail } }));

    expect(facts.receivers.team.emails).toEqual(["admin@exemple.fr"]);
    expect(facts.mail?.user).toBeUndefined();
    expect(ladderOf(facts)).toEqual([]);
  });

  it("asks a webhook for P1 in Alertmanager's own format by default", () => {
    const { receivers } = factsOf(environmentWith({ monitoring: { receivers: { webhooks: [webhook] } } }));

    expect(receivers.webhooks).toEqual([{ ...webhook, format: "json", levels: ["P1"] }]);
  });

  it.each([[{ slack: true }], [{ webhooks: [webhook] }]])(
    "has every level of the escalation where only %j is told of alerts, and none where nobody is",
    (receivers) => {
      const levelsOf = (settings: object) =>
        ladderOf(factsOf(environmentWith({ monitoring: { enabled: true, ...settings } }))).map(
          ({ level }) => level,
        );

      expect(levelsOf({ receivers })).toEqual(["N1", "N2", "N3", "N4"]);
      expect(levelsOf({})).toEqual([]);
      const emails = ["astreinte@exemple.fr"];
      expect(levelsOf({ receivers, mail, escalation: [{ level: "N2", afterMinutes: 15, emails }] })).toEqual([
        "N2",
      ]);
    },
  );
});
