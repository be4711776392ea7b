import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { showHistory } from "../../../ops/monitoring/alert-history.ts";
import { listAlerts } from "../../../ops/monitoring/alerts.ts";
import { commands } from "../../../ops/monitoring/commands.ts";
import { listRules } from "../../../ops/monitoring/rule-list.ts";
import { acknowledge } from "../../../ops/monitoring/silences.ts";
import { MonitoringOff } from "../../../ops/monitoring/stores.ts";
import { alert, rule, rulesOf, startStores, type DoubleStores } from "./double-stores.ts";
import { TestWorld } from "./test-world.ts";

let stores: DoubleStores;
let world: TestWorld;

beforeEach(async () => {
  stores = await startStores();
  world = await TestWorld.open(stores.addresses);
});
afterEach(async () => {
  await stores[Symbol.asyncDispose]();
  await world[Symbol.asyncDispose]();
});

const DOWN = alert(
  { alertname: "ServiceDown", severity: "P1", id: "ServiceDown-qdrant", service: "qdrant" },
  {
    receivers: ["team", "pager", "nobody"],
    annotations: {
      ...{ title: "qdrant ne répond plus", where: "service qdrant", value: "4 contrôles" },
      ...{
        meaning: "La recherche est en panne.",
        action: "Lire son journal.",
        runbook: "docs/alerts.md#servicedown",
      },
    },
  },
);
const SLOW = alert({ alertname: "DiskWarning", severity: "P3", id: "DiskWarning-/" }, { receivers: [] });
const WATCHDOG = alert({ alertname: "Watchdog", severity: "info", id: "Watchdog" });

const list = (json = false) => listAlerts({ stack: "test", json }, world.world);

describe("npm run alerts", () => {
  it("says that there is no alert, where only the sign of life fires and what a fault left behind", async () => {
    const after = alert({ alertname: "Aftermath", severity: "info", id: "Aftermath-moment-ServiceDown" });
    stores.give("alerts /api/v2/alerts", [WATCHDOG, after]);

    expect(await list()).toEqual({ text: "test: no alert", exitCode: 0 });
  });

  it("says of an alert what, where, since when, who was told, what it means and what to do", async () => {
    stores.give("alerts /api/v2/alerts", [DOWN]);
    const { text, exitCode } = await list();

    expect(exitCode).toBe(1);
    expect(text.split("\n")).toEqual([
      "P1 qdrant ne répond plus",
      "    id       ServiceDown-qdrant",
      "    where    service qdrant",
      "    value    4 contrôles",
      expect.stringMatching(/^ {4}since {4}2026-11-24 \d\d:57:00, for 3 min$/),
      "    told     team, pager",
      '    state    nobody has acknowledged it: npm run alerts -- test ack ServiceDown-qdrant --comment "…"',
      "    meaning  La recherche est en panne.",
      "    to do    Lire son journal.",
      "    runbook  docs/alerts.md#servicedown",
    ]);
  });

  it("shows the gravest first, with the levels that it was escalated to, and does not fail for a P3 alone", async () => {
    const N2 = alert({ alertname: "Escalation", level: "N2", severity: "P1", id: "ServiceDown-qdrant" });
    stores.give("alerts /api/v2/alerts", [SLOW, N2, DOWN]);
    const { text } = await list();

    expect(text.indexOf("qdrant ne répond plus")).toBeLessThan(text.indexOf("DiskWarning"));
    expect(text).toContain("told     team, pager; escalated to N2");
    expect(text).toContain("told     nobody: no receiver is configured for it");
    expect(text).not.toContain("Escalation");

    stores.give("alerts /api/v2/alerts", [SLOW]);
    expect((await list()).exitCode).toBe(0);
  });

  it("says who has acknowledged an alert, and why", async () => {
    stores.give("alerts /api/v2/alerts", [DOWN]);
    await acknowledge(
      { stack: "test", id: "ServiceDown-qdrant", comment: "je regarde", span: undefined },
      world.world,
    );
    stores.give("alerts /api/v2/alerts", [
      alert({ severity: "P1", id: "ServiceDown-qdrant" }, { silencedBy: ["00000001-aaaa-bbbb"] }),
    ]);
    const { text, exitCode } = await list();

    expect(text).toMatch(/state {4}acknowledged by alice@laptop until 2026-11-24 \d\d:00:00: je regarde/);
    expect(exitCode).toBe(1);
  });

  it("prints everything for a program", async () => {
    stores.give("alerts /api/v2/alerts", [DOWN]);
    const found = JSON.parse((await list(true)).text) as { readonly alerts: readonly unknown[] };

    expect(found).toMatchObject({ stack: "test", problems: [], brokenRules: [], silences: [] });
    expect(found.alerts).toMatchObject([
      {
        id: "ServiceDown-qdrant",
        severity: "P1",
        receivers: ["team", "pager"],
        since: "2026-11-24T09:57:00.000Z",
      },
    ]);
  });

  it("does not let a label or a text of an alert control the terminal", async () => {
    const title = "evil \u001b[2J\u001b]0;title\u0007\u202e text\nP1  another";
    stores.give("alerts /api/v2/alerts", [alert({ severity: "P3", id: "X" }, { annotations: { title } })]);
    const { text } = await list();

    expect(text).not.toMatch(/[\u001b\u0007\u202e]/);
    expect(text.split("\n")[0]).toBe("P3 evil [2J]0;title text P1 another");
  });

  it("never says that there is no alert where Alertmanager does not answer, and shows what the rules say", async () => {
    stores.down.add("alerts");
    const quiet = await list();
    const firing = {
      state: "firing",
      activeAt: "2026-11-24T09:57:00Z",
      labels: { severity: "P1", id: "ServiceDown-n8n" },
    };
    stores.give("metric-rules /api/v1/rules", rulesOf([rule("ServiceDown", { alerts: [firing] })]));
    const loud = await list();

    expect(quiet.exitCode).toBe(1);
    expect(quiet.text).toMatch(/^alerts on \S+ does not answer .*\n\nnobody is told of anything meanwhile/);
    expect(quiet.text).toContain("test: no alert among those that are known");
    expect(loud.text).toContain("id       ServiceDown-n8n");
    expect(loud.exitCode).toBe(1);
  });

  it.each(["metric-rules", "log-rules"] as const)("fails where %s does not answer", async (store) => {
    stores.down.add(store);
    const { text, exitCode } = await list();

    expect(exitCode).toBe(1);
    expect(text).toContain(`${store} on debian@203.0.113.10:22 does not answer`);
    expect(text).toContain("no alert among those that are known");
  });

  it("fails where a rule cannot be evaluated, and says which", async () => {
    const broken = rule("ErrorRateCritical", { health: "err", lastError: 'unexpected "|"' });
    stores.give("log-rules /api/v1/rules", rulesOf([broken]));
    const { text, exitCode } = await list();

    expect(exitCode).toBe(1);
    expect(text).toContain('rule ErrorRateCritical of log-rules is not evaluated: unexpected "|"');
  });

  it("says that monitoring is off, and which setting turns it on", async () => {
    world.monitoring = { enabled: false };

    await expect(list()).rejects.toThrow(MonitoringOff);
    await expect(list()).rejects.toThrow("technicia:monitoring.enabled is false");
    expect(stores.received).toEqual([]);
  });
});

describe("npm run alerts -- <stack> rules", () => {
  it("lists every rule with threshold, state, last evaluation and runbook", async () => {
    stores.give(
      "log-rules /api/v1/rules",
      rulesOf([
        rule("ErrorRateCritical", { query: "_time:5m | filter total:>=20 percent:>5 | fields percent" }),
      ]),
    );
    const { text, exitCode } = await listRules({ stack: "test", json: false }, world.world);

    expect(exitCode).toBe(0);
    expect(text).toMatch(
      /ErrorRateCritical +P1 +total:>=20, percent:>5 +inactive +10 s ago +#errorratecritical/,
    );
    expect(text).toMatch(/ServiceDown +P1 +== 0 +inactive/);
    expect(text).toMatch(/Watchdog +info/);
  });

  it("fails for a rule with an error, and shows it", async () => {
    stores.give(
      "metric-rules /api/v1/rules",
      rulesOf([rule("DiskLow", { health: "err", lastError: "bad query" })]),
    );
    const { text, exitCode } = await listRules({ stack: "test", json: false }, world.world);

    expect(exitCode).toBe(1);
    expect(text).toMatch(/DiskLow +P1 .* error /);
    expect(text).toContain("DiskLow: bad query");
  });

  it("fails where no rule is known", async () => {
    stores.give("metric-rules /api/v1/rules", rulesOf([]));
    stores.give("log-rules /api/v1/rules", rulesOf([]));

    expect(await listRules({ stack: "test", json: false }, world.world)).toEqual({
      text: "test: no rule is known",
      exitCode: 1,
    });
  });
});

describe("npm run alerts -- <stack> history", () => {
  let labels: Readonly<Record<string, string>>;
  beforeEach(() => (labels = { alertname: "ServiceDown", severity: "P1", id: "ServiceDown-qdrant" }));
  const at = (time: string) => Date.parse(`2026-11-24T${time}Z`) / 1000;

  /** The first and the last sample in each window that has some. */
  function fire(...windows: readonly (readonly [first: string, last: string])[]): void {
    stores.answers.set("metrics /api/v1/query_range", ({ form }) => {
      const side = form["query"]!.startsWith("tfirst") ? 0 : 1;
      const values = windows.map((window, index) => [index, String(at(window[side]))]);
      return { body: { data: { result: [{ metric: labels, values }] } } };
    });
  }
  const history = (since = "7d") => showHistory({ stack: "test", since, json: false }, world.world);

  it("says from when to when each alert lasted, and what goes on", async () => {
    fire(["08:00:00", "08:01:45"], ["08:02:00", "08:03:45"], ["09:58:00", "09:59:45"]);
    const { text } = await history();

    expect(text.split("\n").slice(2)).toEqual([
      expect.stringMatching(/^P1 +ServiceDown-qdrant +2026-11-24 \d\d:58:00 +still active +2 min$/),
      expect.stringMatching(/^P1 +ServiceDown-qdrant +2026-11-24 \d\d:00:00 +2026-11-24 \d\d:03:45 +4 min$/),
    ]);
  });

  it("leaves out what only explains others", async () => {
    fire(["08:00:00", "08:01:45"]);
    labels = { alertname: "Aftermath", severity: "info", id: "Aftermath-moment-ServiceDown" };

    expect((await history()).text).toMatch(/^test: no alert since /);
  });

  it("says who had acknowledged it", async () => {
    stores.give("alerts /api/v2/alerts", [DOWN]);
    await acknowledge({ stack: "test", id: "ServiceDown-qdrant", comment: "vu", span: "1h" }, world.world);
    fire(["09:58:00", "09:59:59"]);

    expect((await history()).text).toMatch(/still active +2 min +alice@laptop$/);
  });

  it("says that there was none, and from when on it looked", async () => {
    expect((await history("1d")).text).toMatch(/^test: no alert since 2026-11-23 /);
  });

  it("fails where the store does not answer", async () => {
    stores.down.add("metrics");

    await expect(history()).rejects.toThrow("metrics on debian@203.0.113.10:22 does not answer");
  });

  it("refuses a span that nobody understands", async () => {
    await expect(history("soon")).rejects.toThrow("--since: expected a span before now such as 1h");
  });
});

describe("the command line of npm run alerts", () => {
  it.each([
    [["test", "nope"], 'expected one of list, ack, silence, unsilence, history, rules, test, got "nope"'],
    [["test", "toString"], "expected one of list"],
    [["test", "--comment", "x"], "--comment belongs to ack, silence, got list"],
    [["test", "rules", "--for", "1h"], "--for belongs to ack, silence, got rules"],
    [["test", "ack", "X", "--code", "a=b"], "--code belongs to test, got ack"],
  ])("refuses %j", async (args, message) => {
    await expect(commands["alerts"]!.run(args)).rejects.toThrow(message);
  });
});
