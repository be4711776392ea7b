import type { RequestListener } from "node:http";
import { createServer } from "node:https";

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";

import { observe, type ObservationEffects, type Observed } from "../../../ops/checks/observation.ts";
import { environmentWith } from "../../support/fixtures.ts";
import { until } from "../../support/until.ts";
import { rule, rulesOf, startStores, type DoubleStores } from "../monitoring/double-stores.ts";
import { startLocalServer, type LocalServer } from "../server/local-server.ts";
import { close, issue, listen, type Issued } from "./fixtures.ts";

const PATHS = ["/healthz", "/"];
const [LONG_AGO, SINCE] = ["2020-01-01T00:00:00Z", "2099-01-01T00:00:00Z"];

let issued: Issued;
let stores: DoubleStores;
let server: LocalServer;
let site: ReturnType<typeof createServer>;
let effects: ObservationEffects;
let stop: AbortController;
let answer: RequestListener;

/** Milliseconds by which the time of the observation is ahead of its beginning; it passes only while nothing is under way. */
let passed: number;
let waiting: { readonly due: number; readonly end: () => void }[];
/** Requests that the client has sent. */
let sent: number;
/** How many wait when nothing is under way: the client, and while it lasts the observation. */
let atOnce: number;

/** Paths that the site was asked for. */
let asked: string[];
/** Requests that the gateway has in its log, and those that failed. */
let seen: { total: number; failed: number };

beforeAll(async () => {
  issued = await issue("localhost", 30);
});
afterAll(() => issued.remove());

beforeEach(async () => {
  [stores, server, stop, asked] = [await startStores(), await startLocalServer(), new AbortController(), []];
  [seen, answer] = [{ total: 100, failed: 0 }, (_request, response) => void response.end("ok")];
  site = createServer({ cert: issued.certificate, key: issued.key }, (request, response) => {
    asked.push(request.url ?? "");
    answer(request, response);
  });
  const https = Number(new URL(await listen(site)).port);
  const began = Date.now();
  [passed, waiting, sent, atOnce] = [0, [], 0, 2];
  effects = {
    ...{ ports: { http: 9, https }, authorities: issued.authority, addresses: stores.addresses },
    now: () => began + passed,
    wait: letPass,
  };
  stores.answers.set("logs /select/logsql/query", () => ({
    body: JSON.stringify({ total: String(seen.total), failed: String(seen.failed) }),
  }));
  evaluate({});
});
afterEach(async () => {
  await close(site);
  await stores[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

function letPass(seconds: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const waiter = {
    due: passed + seconds * 1000,
    end: () => {
      waiting = waiting.filter((other) => other !== waiter);
      resolve();
    },
  };
  if (signal.aborted) return Promise.resolve();
  waiting.push(waiter);
  signal.addEventListener("abort", waiter.end, { once: true });
  if (seconds === 1) sent += PATHS.length;
  void goOn();
  return promise;
}

async function goOn(): Promise<void> {
  if (waiting.length < atOnce) return;
  await until("every request has arrived", () => asked.length >= sent);
  const [next] = waiting.toSorted((one, other) => one.due - other.due);
  if (next === undefined || waiting.length < atOnce) return;
  passed = Math.max(passed, next.due);
  next.end();
}

/** Both evaluators have a rule for a rollback, which has been evaluated since the update. */
function evaluate({ metrics = {}, logs = {} }: { metrics?: object; logs?: object }): void {
  stores.give("metric-rules /api/v1/rules", metricRules(metrics));
  stores.give("log-rules /api/v1/rules", rulesOf([rule("ErrorRateCritical", { ...FOR_ROLLBACK, ...logs })]));
}

const FOR_ROLLBACK = { labels: { rollback: "yes" }, lastEvaluation: SINCE };

function metricRules(changes: object): unknown {
  const other = rule("DiskCritical", { alerts: [firing("DiskCritical", {})], lastEvaluation: SINCE });
  return rulesOf([rule("HealthFailing", { ...FOR_ROLLBACK, ...changes }), other]);
}

const firing = (id: string, labels: object, activeAt = SINCE) => ({
  ...{ state: "firing", activeAt, labels: { alertname: id.split("-")[0], id, ...labels } },
  annotations: { title: "n8n est en panne", where: "service n8n", value: "aucun contrôle réussi" },
});
const ROLLBACK = { rollback: "yes" };

interface Observing {
  readonly seconds?: number;
  readonly paths?: readonly string[];
  readonly once?: readonly object[];
}

async function run(settings: Observing = {}, others: object = {}): Promise<Observed> {
  const environment = environmentWith({
    ...others,
    monitoring: { enabled: true, observation: { seconds: 15, paths: PATHS, ...settings } },
  });
  const context = { environment: { ...environment, domain: "localhost" }, server, signal: stop.signal };
  const observed = await observe(context, { since: new Date(effects.now()), effects });
  await observed.client.stop();
  return observed;
}

describe("the observation of a release", () => {
  it("passes where no alert asks for the release before, and counts the requests that it sent", async () => {
    const { check, hasFailed, faultSince } = await run();

    expect([hasFailed, faultSince]).toEqual([false, undefined]);
    expect(check).toMatchObject({ id: "functional-observation", outcome: "ok" });
    expect(check.detail).toMatch(
      /^aucune alerte sur 100 requêtes à la passerelle ; \d+ requêtes envoyées, 0 en échec$/,
    );
    expect(check.measures!["requests"]).toBe(asked.length);
    expect(asked.filter((path) => path === "/").length).toBe(asked.length / PATHS.length);
    expect(check.measures!["observedSeconds"]).toBe(15);
  });

  it.each([
    ["metrics", "HealthFailing-n8n", "functional-observation"],
    ["logs", "ErrorRateCritical", "functional-observation"],
    ["logs", "LatencyCritical", "performance-observation"],
  ])("fails at once for an alert of the %s that is marked for a rollback: %s", async (store, id, checkId) => {
    evaluate({ [store]: { alerts: [firing(id, ROLLBACK)] } });
    const { check, hasFailed, faultSince } = await run({ seconds: 3600 });

    expect(passed).toBeLessThan(60_000);
    expect(hasFailed).toBe(true);
    // By this machine's clock, which is the server's here.
    expect(Math.abs(faultSince! - Date.parse(SINCE))).toBeLessThan(60_000);
    expect(check).toMatchObject({ id: checkId, outcome: "failed" });
    expect(check.detail).toContain(
      `alerte depuis la mise à jour : n8n est en panne [${id}] (service n8n, aucun contrôle réussi)`,
    );
  });

  it("fails for requests that fail since it began, which the load of the verification hides from the rule", async () => {
    seen = { total: 40, failed: 3 };
    const began = effects.now();
    const { check, hasFailed, faultSince } = await run({ seconds: 3600 });

    expect(hasFailed).toBe(true);
    expect(faultSince).toBeGreaterThanOrEqual(began);
    expect(faultSince).toBeLessThanOrEqual(effects.now());
    expect(check.detail).toContain(
      "7.5 % des 40 requêtes échouent depuis le début de l'observation (au plus 5 %)",
    );
  });

  it("does not judge a share of too few requests, or one within the threshold", async () => {
    seen = { total: 40, failed: 2 };
    expect((await run()).check.outcome).toBe("ok");
    seen = { total: 19, failed: 19 };
    expect((await run()).check.outcome).toBe("not-checked");
  });

  /** Of HealthFailing, whose time is 30 s here; `atEnd` is what the window of 15 s ends with, `after` what comes 20 s later. */
  const decide = async ({ atEnd, after }: { atEnd: readonly object[]; after: readonly object[] }) => {
    stores.answers.set("metric-rules /api/v1/rules", () => ({
      body: metricRules({ duration: 30, alerts: passed < 35_000 ? atEnd : after }),
    }));
    return await run();
  };
  const pending = (labels: object = ROLLBACK) => ({
    ...firing("HealthFailing-n8n", labels),
    state: "pending",
  });

  it("goes on after its window while the time of an alert runs, and passes once that is over", async () => {
    const { check } = await decide({ atEnd: [pending()], after: [] });

    expect(check.outcome).toBe("ok");
    expect(check.measures!["observedSeconds"]).toBe(35);
  });

  it("goes on after its window while the time of an alert runs, and fails once it fires", async () => {
    const { check, hasFailed } = await decide({
      atEnd: [pending()],
      after: [firing("HealthFailing-n8n", ROLLBACK)],
    });

    expect(hasFailed).toBe(true);
    expect(check.detail).toContain("[HealthFailing-n8n]");
    expect(passed).toBeLessThan(45_000);
  });

  it("cannot judge where such an alert is neither over nor fires in its time and two evaluations", async () => {
    const { check, hasFailed } = await decide({ atEnd: [pending()], after: [pending()] });

    expect(hasFailed).toBe(false);
    expect(check.outcome).toBe("not-checked");
    expect(check.detail).toContain(
      "impossible de juger : pas encore décidé à la fin de la fenêtre, pourtant prolongée : HealthFailing",
    );
    expect(check.measures!["observedSeconds"]).toBe(15 + 30 + 2 * 15);
  });

  it("does not wait for an alert that asks for no rollback", async () => {
    const { check } = await decide({ atEnd: [pending({})], after: [pending({})] });

    expect(check.outcome).toBe("ok");
    expect(check.measures!["observedSeconds"]).toBe(15);
  });

  it("goes on asking after an alert, so that its end for people is known", async () => {
    answer = (_request, response) => void response.writeHead(502).end();
    evaluate({ logs: { alerts: [firing("ErrorRateCritical", ROLLBACK)] } });
    atOnce = 1;
    const environment = environmentWith({
      monitoring: { enabled: true, observation: { seconds: 600, paths: PATHS } },
    });
    const context = { environment: { ...environment, domain: "localhost" }, server, signal: stop.signal };
    const { client } = await observe(context, { since: new Date(effects.now()), effects });
    await until("requests have failed", () => client.counted.failed > 3);
    answer = (_request, response) => void response.end("ok");
    await until("one is answered", () => client.counted.lastSuccess !== undefined);
    await client.stop();
    const { firstFailure, lastFailure, lastSuccess } = client.counted;

    expect(lastFailure! - firstFailure!).toBeGreaterThan(0);
    expect(lastSuccess!).toBeGreaterThan(firstFailure!);
  });

  it("counts what is not answered, and what is refused", async () => {
    let number = 0;
    answer = (request, response) => {
      number += 1;
      if (number % 3 === 0) request.socket.destroy();
      else response.writeHead(number % 3 === 1 ? 200 : 404).end();
    };
    const { measures } = (await run()).check;

    expect(measures!["failedRequests"]! / measures!["requests"]!).toBeCloseTo(2 / 3, 1);
  });
});

describe("requests that write or ask a language model", () => {
  const QUESTION = { path: "/api/question", body: '{"question":"é"}' };
  /** Method, path, type and body of what arrives besides the paths of every second. */
  let rare: string[];

  const answerRare = (statusOf: (count: number) => number) => {
    answer = (request, response) => {
      if (PATHS.includes(request.url ?? "")) return void response.end("ok");
      const chunks: Buffer[] = [];
      request.on("data", (chunk: Buffer) => chunks.push(chunk));
      request.on("end", () => {
        const { method, url, headers } = request;
        rare.push([method, url, headers["content-type"], Buffer.concat(chunks).toString()].join(" "));
        response.writeHead(statusOf(rare.length)).end();
      });
    };
  };
  beforeEach(() => {
    rare = [];
  });

  it("are sent once at the start and once at the end, however long the observation is", async () => {
    answerRare(() => 200);
    const { check } = await run({ seconds: 60, once: [QUESTION, { method: "GET", path: "/form/a" }] });

    expect(check.outcome).toBe("ok");
    expect(rare.toSorted()).toEqual([
      ...["GET /form/a  ", "GET /form/a  "],
      ...Array<string>(2).fill('POST /api/question application/json {"question":"é"}'),
    ]);
    expect(check.measures!["requests"]).toBe(asked.length);
  });

  it.each([
    ["au début, POST /api/question : 502", 1],
    ["à la fin, POST /api/question : 502", 2],
  ])("keep a release from passing, and from being taken back, when one fails: %s", async (words, failing) => {
    answerRare((count) => (count === failing ? 502 : 200));
    const { check, hasFailed } = await run({ once: [QUESTION] });

    expect(hasFailed).toBe(false);
    expect(check.outcome).toBe("not-checked");
    expect(check.detail).toMatch(`impossible de juger : ${words} ;`);
  });

  it("have a question among them where n8n has workflows, unless the settings have one of their own", async () => {
    answerRare(() => 200);
    const workflows = { enabled: true };
    await run({}, { workflows });

    const ours = 'POST /api/question application/json {"question":"Quels documents sont disponibles ?"}';
    expect(rare).toEqual([ours, ours]);
    rare = [];
    await run({ once: [QUESTION] }, { workflows });
    expect(rare).toEqual(Array<string>(2).fill('POST /api/question application/json {"question":"é"}'));
    rare = [];
    await run({}, { workflows: { enabled: false } });
    expect(rare).toEqual([]);
  });

  it("keep nobody waiting for an answer when the release goes back, and do not count then", async () => {
    answer = (request, response) => {
      if (PATHS.includes(request.url ?? "")) response.end("ok");
    };
    evaluate({ metrics: { alerts: [firing("HealthFailing-n8n", ROLLBACK)] } });
    const { client, check } = await run({ once: [QUESTION] });

    expect(check.outcome).toBe("failed");
    expect(client.counted.failed).toBe(0);
  });

  it("are not sent at the end of an observation that has found a fault", async () => {
    answerRare(() => 200);
    evaluate({ metrics: { alerts: [firing("HealthFailing-n8n", ROLLBACK)] } });
    const { hasFailed } = await run({ once: [QUESTION] });

    expect(hasFailed).toBe(true);
    expect(rare).toHaveLength(1);
  });
});

describe("an observation that cannot judge", () => {
  const cannot = async (why: string, settings = {}) => {
    const { check, hasFailed } = await run(settings);
    expect(hasFailed).toBe(false);
    expect(check.outcome).toBe("not-checked");
    expect(check.detail).toContain(`impossible de juger : ${why}`);
  };

  it.each(["metric-rules", "log-rules", "logs"] as const)(
    "says so where %s does not answer",
    async (store) => {
      stores.down.add(store);

      await cannot(`${store} on debian@203.0.113.10:22 does not answer`);
    },
  );

  it("bridges a restart of an evaluator", async () => {
    stores.down.add("log-rules");
    const rules = stores.answers.get("metric-rules /api/v1/rules")!;
    let looks = 0;
    stores.answers.set("metric-rules /api/v1/rules", (call) => {
      looks += 1;
      if (looks === 3) stores.down.delete("log-rules");
      return rules(call);
    });

    expect((await run({ seconds: 20 })).check.outcome).toBe("ok");
  });

  it("says so where the server does not answer", async () => {
    const run = server.run.bind(server);
    server.run = (command) =>
      command.purpose.endsWith("of the monitoring") ? Promise.reject(new Error("lost")) : run(command);
    await expect(cannot("x")).rejects.toThrow("lost");

    const { UserError } = await import("../../../common/user-error.ts");
    server.run = (command) =>
      command.purpose.endsWith("of the monitoring")
        ? Promise.reject(new UserError("the connection was lost"))
        : run(command);
    await cannot("the connection was lost");
  });

  it("says so for a rule that was not evaluated, that fails, or that is missing", async () => {
    evaluate({ logs: { lastEvaluation: LONG_AGO } });
    await cannot("la règle ErrorRateCritical n'a pas été évaluée depuis la mise à jour");
    evaluate({ logs: { lastEvaluation: "0001-01-01T00:00:00Z" } });
    await cannot("la règle ErrorRateCritical n'a pas été évaluée depuis la mise à jour");
    evaluate({ logs: { health: "err", lastError: "bad" } });
    await cannot("la règle ErrorRateCritical ne s'évalue pas (bad)");
    evaluate({ logs: { labels: {} } });
    await cannot("log-rules n'a aucune règle de retour arrière");
  });

  it("says so where the alert was active before the update", async () => {
    evaluate({ metrics: { alerts: [firing("HealthFailing-n8n", ROLLBACK, LONG_AGO)] } });

    await cannot("déjà en alerte avant la mise à jour : HealthFailing-n8n");
  });

  it("says so for fewer requests than the rules need", async () => {
    expect((await run({ seconds: 5 })).check.detail).toMatch(
      /^impossible de juger : 1?\d requêtes envoyées, il en faut 20/,
    );
    seen = { total: 12, failed: 0 };
    await cannot("12 requêtes dans le journal de la passerelle, il en faut 20");
  });

  it("ends at once when it is interrupted, and says that the release stays unobserved", async () => {
    const observed = run({ seconds: 3600 });
    await until("it asks", () => asked.length > 0);
    stop.abort();
    const { check, hasFailed } = await observed;

    expect(hasFailed).toBe(false);
    expect(check.outcome).toBe("not-checked");
    expect(check.detail).toContain(
      "observation interrompue : version vérifiée, mais non observée jusqu'au bout",
    );
  });
});
