import { readFileSync, existsSync, statSync } from "node:fs";
import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { testAlerts } from "../../../ops/monitoring/alert-test.ts";
import { alert, startStores, type DoubleStores } from "./double-stores.ts";
import { TestWorld } from "./test-world.ts";

interface Sent {
  readonly labels: Record<string, string>;
  readonly annotations: Record<string, string>;
}

let stores: DoubleStores;
let world: TestWorld;
/** Alerts that Alertmanager was sent. */
let sent: Sent[];

/** Severity or level → receivers, as the routes of the configuration lead. */
let routes: Record<string, string[]>;

beforeEach(async () => {
  stores = await startStores();
  world = await TestWorld.open(stores.addresses);
  sent = [];
  routes = { P1: ["team", "pager"], P2: ["team"], P3: ["nobody"], info: ["nobody"] };
  stores.give(
    "alerts /api/v2/receivers",
    ["nobody", "team", "pager", "N2"].map((name) => ({ name })),
  );
  stores.answers.set("alerts /api/v2/alerts", ({ method, body }) => {
    if (method === "POST") sent = JSON.parse(body) as Sent[];
    const routed = sent.map(({ labels, annotations }) =>
      alert(labels, { annotations, receivers: routes[labels["level"] ?? labels["severity"]!] ?? [] }),
    );
    return { body: method === "POST" ? "" : routed };
  });
});
afterEach(async () => {
  await stores[Symbol.asyncDispose]();
  await world[Symbol.asyncDispose]();
});

const test = (codes: readonly string[] = []) => testAlerts({ stack: "test", codes }, world.world);
const codeOf = (receiver: string) => sent[0]!.annotations[`code_${receiver}`]!;
const result = () =>
  JSON.parse(readFileSync(join(world.server.folder, "alert-test.json"), "utf8")) as Record<string, unknown>;
const receiverIn = (question: string) => /to (\S+)/.exec(question)![1]!;

describe("npm run alerts -- <stack> test", () => {
  it("sends one marked alert of each severity, with a code for each receiver that is no other's", async () => {
    await test();

    expect(sent.map(({ labels }) => [labels["severity"], labels["test"], labels["alertname"]])).toEqual([
      ...["P1", "P2", "P3", "info"].map((severity) => [severity, "yes", "Test"]),
      ...["N1", "N2", "N3", "N4"].map(() => ["P1", "yes", "Escalation"]),
    ]);
    expect(new Set(sent.map(({ labels }) => labels["id"])).size).toBe(8);
    expect(codeOf("team")).toMatch(/^[a-z0-9]{4}$/);
    expect(codeOf("team")).not.toBe(codeOf("pager"));
    expect(sent[0]!.annotations["title"]).toBe("Test des alertes (P1)");
    expect(world.said).toEqual(["sent to team: P1, P2", "sent to pager: P1"]);
  });

  it("tries the levels of the escalation that somebody is at", async () => {
    world.monitoring = {
      enabled: true,
      mail: { host: "smtp.example.org", from: "a@example.org" },
      escalation: [{ level: "N2", afterMinutes: 15, emails: ["b@example.org"] }],
    };
    routes = { ...routes, N2: ["N2"] };
    await test();

    expect(sent.at(-1)!.labels).toMatchObject({
      alertname: "Escalation",
      level: "N2",
      severity: "P1",
      test: "yes",
    });
    expect(world.said).toContain("sent to N2: N2");
  });

  it("tries a level that only a webhook gets, and says nothing of one that nobody gets", async () => {
    world.monitoring = {
      enabled: true,
      receivers: { webhooks: [{ name: "pager", secret: "pagerUrl", levels: ["N2"] }] },
    };
    routes = { ...routes, N1: ["nobody"], N2: ["pager"], N3: ["nobody"], N4: ["nobody"] };
    await test();

    expect(world.said).toEqual(["sent to team: P1, P2", "sent to pager: N2, P1"]);
  });

  it("asks at a terminal which codes arrived, and records that all did", async () => {
    world.answer = (question) => ` ${codeOf(receiverIn(question)).toUpperCase()} `;
    const { text, exitCode } = await test();

    expect({ text, exitCode }).toEqual({
      text: "team: received (P1, P2)\npager: received (P1)",
      exitCode: 0,
    });
    expect(result()).toEqual({
      at: "2026-11-24T10:00:00.000Z",
      by: "alice@laptop",
      passed: true,
      receivers: {
        team: { received: true, severities: ["P1", "P2"] },
        pager: { received: true, severities: ["P1"] },
      },
    });
    expect(await world.history()).toEqual(["alert-test: test des alertes : team reçu, pager reçu"]);
    expect(existsSync(join(world.server.folder, "alert-test-sent.json"))).toBe(false);
  });

  it("records a wrong and a missing code as not received, and says what to check", async () => {
    world.monitoring = {
      enabled: true,
      receivers: { webhooks: [{ name: "pager", secret: "smsUrl" }] },
    };
    world.answer = (question) => (receiverIn(question) === "team" ? "zzzz" : "");
    const { text, exitCode } = await test();

    expect(exitCode).toBe(1);
    expect(text).toMatch(
      /^team: that is not its code, so it counts as not received \(P1, P2\); check the addresses .*smtpPassword/,
    );
    expect(text).toMatch(
      /\npager: not received \(P1\); check the secret smsUrl; npm run logs -- test alerts --errors/,
    );
    expect(result()).toMatchObject({ passed: false, receivers: { team: { received: false } } });
    // Only a test that passed counts for the server's collector.
    expect(await world.history()).toEqual(["alert: test des alertes : team non reçu, pager non reçu"]);
  });

  it("prints the command that confirms where nobody can answer, and takes the codes from it later", async () => {
    const { text } = await test();
    const file = join(world.server.folder, "alert-test-sent.json");

    expect(text).toContain("npm run alerts -- test test --code team=<code> --code pager=<code>");
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const confirmed = await test([`team=${codeOf("team")}`, `pager=${codeOf("pager")}`]);
    expect(confirmed.exitCode).toBe(0);
    expect(await world.history()).toEqual(["alert-test: test des alertes : team reçu, pager reçu"]);
  });

  it("counts a receiver that is left out as not received", async () => {
    await test();
    const { exitCode } = await test([`team=${codeOf("team")}`]);

    expect(exitCode).toBe(1);
    expect(result()).toMatchObject({ receivers: { team: { received: true }, pager: { received: false } } });
  });

  it("takes no code without a test, of another receiver, or a day later", async () => {
    await expect(test(["team=abcd"])).rejects.toThrow("expected a test that waits for its codes, got none");
    await test();
    await expect(test(["slack=abcd"])).rejects.toThrow(
      "expected one of the receivers team, pager, got slack",
    );
    await expect(test(["abcd"])).rejects.toThrow(
      '--code: expected a receiver with its code, such as team=k7p2, got "abcd"',
    );
    world.now = () => new Date("2026-11-25T11:00:00Z");
    await expect(test(["team=abcd"])).rejects.toThrow(
      "expected a test of the last 24 h, got one from 25 h ago",
    );
  });

  it("fails where nobody would be told of anything", async () => {
    routes = { P1: ["nobody"], P2: ["nobody"], P3: ["nobody"], info: ["nobody"] };

    await expect(test()).rejects.toThrow("test: expected a receiver of alerts, got none");
  });

  it("fails where Alertmanager does not answer, and records nothing", async () => {
    stores.down.add("alerts");

    await expect(test()).rejects.toThrow("alerts on debian@203.0.113.10:22 does not answer");
    expect(await world.history()).toEqual([]);
  });
});
