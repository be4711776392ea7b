import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { parse, stringify } from "yaml";

import { deploy } from "../../../ops/deploy/deploy.ts";
import { rollback } from "../../../ops/deploy/rollback.ts";
import type { NewAlert } from "../../../ops/monitoring/alertmanager.ts";
import { startRelease } from "../../../ops/server/records.ts";
import { failing, TestStack, TUESDAY } from "./test-stack.ts";

let stack: TestStack;

/** What the team was told: result and parts of what was said besides. */
let told: { readonly stage: string; readonly texts: Readonly<Record<string, string>> }[];

/** A stack that runs release 1, with another vector-store in its settings, and monitoring. */
beforeEach(async () => {
  stack = await TestStack.open();
  told = [];
  await run();
  const file = parse(stack.settings) as { config: Record<string, unknown> };
  file.config["technicia:monitoring"] = { enabled: true };
  stack.settings = stringify(file);
  stack.setImage("vectorStore", "technicia/vector-store:1.0.1");
  stack.parts.length = stack.printed.length = 0;
  stack.monitoring = (request) => {
    if (!request.includes("/api/v2/alerts")) return '{"silenceID":"1"}\n200 \u001e';
    stack.parts.push("told");
    const [, body = ""] = /data-raw = "(.*)"$/m.exec(request) ?? [];
    const alerts = JSON.parse(JSON.parse(`"${body}"`) as string) as NewAlert[];
    for (const { labels, annotations } of alerts)
      told.push({ stage: `${labels["work"]} ${labels["stage"]}`, texts: annotations });
    return "\n200 \u001e";
  };
});
afterEach(async () => {
  await stack[Symbol.asyncDispose]();
});

const run = (changes: object = {}) =>
  deploy(
    { stack: "test", only: undefined, plan: undefined, emergency: false, reason: "", yes: true, ...changes },
    stack.operator,
  );

const stages = () => told.map(({ stage }) => stage);

describe("the team", () => {
  it("is told when a deployment begins and when it has ended, with its release, its reason and its window", async () => {
    expect((await run()).exitCode).toBe(0);

    expect(stages()).toEqual(["deployment started", "deployment finished"]);
    expect(stack.parts).toEqual(["preflight", "plan", "told", "up", "verify", "told"]);
    expect(told[0]!.texts).toMatchObject({
      ...{ what: "Mise en production", release: "2", by: "alice@laptop", reason: "Raise vector-store" },
      ...{ result: "commencée", window: "ouverte jusqu'à 12:00 UTC" },
    });
    expect(told[1]!.texts).toMatchObject({ result: "terminée", release: "2", duration: "1 min 35 s" });
  });

  it("is told that the window is closed in an emergency", async () => {
    stack.now = new Date("2026-11-28T10:00:00Z");
    await run({ emergency: true, reason: "site down" });

    expect(told[0]!.texts).toMatchObject({ window: "fermée, en urgence", reason: "site down" });
  });

  it("is told which release serves again, and why", async () => {
    stack.verify = () =>
      Promise.resolve(stack.parts.filter((part) => part === "verify").length > 1 ? [] : [failing]);
    await run();

    expect(stages()).toEqual(["deployment started", "deployment rolled-back"]);
    expect(told[1]!.texts["result"]).toBe(
      "annulée : version 1 remise en service ; vérification en échec : Application accessible (500)",
    );
  });

  it("is told of a failure without a secret of it", async () => {
    stack.up = () => Promise.resolve({ error: "pa-hush is refused", changed: false });
    await run();

    expect(stages()).toEqual(["deployment started", "deployment failed"]);
    expect(told[1]!.texts["result"]).toMatch(/^en échec : la mise à jour a échoué : .*rien n'a été changé$/);
    expect(JSON.stringify(told)).not.toContain("pa-hush");
  });

  it("is told that nobody could judge how the release works in use", async () => {
    const file = parse(stack.settings) as { config: Record<string, unknown> };
    file.config["technicia:monitoring"] = { enabled: true, observation: { seconds: 300 } };
    stack.settings = stringify(file);
    const counted = {
      requests: 1,
      failed: 0,
      firstFailure: undefined,
      lastFailure: undefined,
      lastSuccess: 1,
    };
    stack.observe = () =>
      Promise.resolve({
        hasFailed: false,
        faultSince: undefined,
        check: {
          ...{ id: "functional-observation", title: "Observation", outcome: "not-checked" },
          detail: "impossible de juger : logs ne répond pas",
        },
        client: { counted, stop: () => Promise.resolve() },
      });

    expect((await run()).exitCode).toBe(5);
    expect(told[1]).toMatchObject({
      stage: "deployment finished",
      texts: {
        result: "terminée : vérifiée, mais pas jugée en usage (impossible de juger : logs ne répond pas)",
      },
    });
  });

  it("is told of a rollback by hand", async () => {
    await run();
    told.length = 0;
    await rollback(
      {
        ...{ stack: "test", to: undefined, reason: "users complain", yes: true },
        ...{ dataStays: false, withData: false },
      },
      stack.operator,
    );

    expect(stages()).toEqual(["rollback started", "rollback finished"]);
    expect(told[1]!.texts).toMatchObject({
      ...{ result: "terminé : retour à la version 1", reason: "users complain", release: "3" },
    });
  });

  it("is told of the end of a deployment that was killed, once somebody notices", async () => {
    const known = {
      kind: "deploy",
      revision: "0123456",
      reason: "",
      startedAt: TUESDAY.toISOString(),
    } as const;
    await startRelease(stack.server, {
      ...{ ...known, stack: "test", settings: {}, settingsHash: "x", who: "bob", emergency: false },
      ...{ images: {}, preflight: [], verify: [], restoredVerify: [], seconds: {} },
    });
    await run();

    expect(stages()).toEqual(["deployment failed", "deployment started", "deployment finished"]);
    expect(told[0]!.texts["result"]).toContain("interrompue : la commande a été tuée avant la fin");
  });

  it("is not told of what changes nothing", async () => {
    await run({ only: "verify" });
    stack.confirms = false;
    await run({ yes: false });

    expect(told).toEqual([]);
  });

  it("keeps no deployment from its end by not being reachable", async () => {
    stack.monitoring = undefined;

    expect((await run()).exitCode).toBe(0);
    expect(
      stack.printed.filter((line) => line.startsWith("nobody was told of this deployment")),
    ).toHaveLength(2);
  });
});
