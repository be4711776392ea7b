import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { parse, stringify } from "yaml";

import type { Check } from "../../../common/check.ts";
import type { Observed } from "../../../ops/checks/observation.ts";
import { deploy } from "../../../ops/deploy/deploy.ts";
import { ok, pulled, TestStack, unknown } from "./test-stack.ts";

let stack: TestStack;

beforeEach(async () => {
  stack = await TestStack.open();
});
afterEach(async () => {
  await stack[Symbol.asyncDispose]();
});

const [OLD, NEW] = ["technicia/vector-store:1.0.0", "technicia/vector-store:1.0.1"];

const run = () =>
  deploy(
    { stack: "test", only: undefined, plan: undefined, emergency: false, reason: "", yes: true },
    stack.operator,
  );

/** A stack that runs release 1, with another vector-store in its settings, and an observation of five minutes. */
async function withNewVersion(image = { name: "vectorStore", image: NEW }): Promise<void> {
  await run();
  const file = parse(stack.settings) as { config: Record<string, unknown> };
  file.config["technicia:monitoring"] = { enabled: true, observation: { seconds: 300 } };
  stack.settings = stringify(file);
  stack.setImage(image.name, image.image);
  stack.parts.length = stack.printed.length = 0;
}

function observation(outcome: Check["outcome"], detail: string, id = "functional-observation"): Observed {
  const failed = outcome === "failed";
  return {
    hasFailed: failed,
    faultSince: undefined,
    check: {
      id,
      title: "Fenêtre d'observation",
      outcome,
      detail,
      measures: { requests: 300, failedRequests: 5 },
    },
    client: {
      stop: () => Promise.resolve(),
      counted: failed
        ? { requests: 380, failed: 40, firstFailure: 1000, lastFailure: 43_500, lastSuccess: 44_000 }
        : { requests: 300, failed: 0, firstFailure: undefined, lastFailure: undefined, lastSuccess: 1 },
    },
  };
}

describe("a deployment that is observed", () => {
  it("records what the observation found, after the verification", async () => {
    await withNewVersion();
    const since: Date[] = [];
    stack.observe = (_context, began) => {
      since.push(began);
      return Promise.resolve(observation("ok", "aucune alerte sur 900 requêtes"));
    };
    const outcome = await run();

    expect(outcome.exitCode).toBe(0);
    expect(stack.parts).toEqual(["preflight", "plan", "up", "verify", "observation"]);
    // Before the update, which takes a minute.
    expect(stack.now.getTime() - since[0]!.getTime()).toBe((60 + 20 + 300) * 1000);
    expect(await stack.lastRelease()).toMatchObject({
      outcome: "succeeded",
      verify: [ok, unknown, { id: "functional-observation", outcome: "ok" }],
      seconds: { observation: 300 },
    });
  });

  it("observes nothing where monitoring or the observation is off", async () => {
    await run();
    const { verify } = await stack.lastRelease();

    expect(stack.parts).toEqual(["preflight", "plan", "up", "verify"]);
    expect(verify).toEqual([ok, unknown]);
  });

  it("goes back to the release before for an alert, with that as the reason, and records what people saw of it", async () => {
    await withNewVersion();
    stack.observe = () =>
      Promise.resolve(observation("failed", "alerte depuis la mise à jour : n8n est en panne"));
    const outcome = await run();

    expect(outcome.exitCode).toBe(4);
    expect(outcome.text).toContain(
      "test: an alert asks for the release before: alerte depuis la mise à jour : n8n est en panne\nrelease 1 runs again",
    );
    expect(stack.images["vectorStore"]).toBe(pulled(OLD));
    expect(await stack.lastRelease()).toMatchObject({
      ...{ outcome: "rolled-back", restored: 1 },
      failure: "alerte pendant l'observation : alerte depuis la mise à jour : n8n est en panne",
      verify: [ok, unknown, { outcome: "failed", measures: { requests: 380, failedRequests: 40 } }],
      seconds: { recovery: 42.5 },
    });
    expect((await stack.history()).join("\n")).toContain("version 1 remise en service");
    expect(stack.incidents).toMatchObject([{ symptoms: [expect.stringContaining("n8n est en panne")] }]);
  });

  const fault = (id: string, counted: object, since: number | undefined) => {
    const found = observation("failed", "alerte : réponses lentes", id);
    return {
      ...found,
      faultSince: since,
      client: { ...found.client, counted: { ...found.client.counted, ...counted } },
    };
  };
  const NONE = { failed: 0, firstFailure: undefined, lastFailure: undefined };
  const FEW = { failed: 1, firstFailure: 1000, lastFailure: 1500 };

  it.each([
    ["that was slow", "performance-observation", NONE],
    ["that was slow, of whose requests few failed", "performance-observation", FEW],
    ["of whose requests none failed", "functional-observation", NONE],
  ])(
    "records of a release %s the time from the alert until the release before serves",
    async (_what, id, counted) => {
      await withNewVersion();
      let since = 0;
      stack.observe = () => {
        since = stack.now.getTime() - 90_000;
        return Promise.resolve(
          fault(
            id,
            {
              ...counted,
              ...(counted === FEW ? { firstFailure: since + 1000, lastFailure: since + 1500 } : {}),
            },
            since,
          ),
        );
      };
      expect((await run()).exitCode).toBe(4);
      const { seconds, finishedAt } = await stack.lastRelease();

      const longest = (Date.parse(finishedAt!) - since) / 1000;
      // The rollback and its verification.
      expect(seconds["recovery"]).toBeGreaterThan(90 + seconds["rollback"]!);
      expect(seconds["recovery"]).toBeLessThanOrEqual(longest);
    },
  );

  it("stays where older versions may not read its data, and says so", async () => {
    await withNewVersion({ name: "n8n", image: "n8nio/n8n:2.42.0" });
    stack.setImage("n8nRunners", "n8nio/runners:2.42.0");
    stack.observe = () =>
      Promise.resolve(observation("failed", "alerte : réponses lentes", "performance-observation"));
    const outcome = await run();

    expect(outcome.exitCode).toBe(1);
    expect(outcome.text).toContain(
      "release 2 was not rolled back: n8n 2.41.3 → 2.42.0 may have changed the format of its data",
    );
    expect(stack.ups).toHaveLength(2);
    expect(await stack.lastRelease()).toMatchObject({ outcome: "failed" });
  });

  it("does not pass where nobody can judge it: it stays, and the record says that", async () => {
    await withNewVersion();
    stack.observe = () =>
      Promise.resolve(observation("not-checked", "impossible de juger : logs does not answer"));
    const outcome = await run();

    expect(outcome.exitCode).toBe(5);
    expect(outcome.text).toContain(
      "the release was verified, but whether it works in use cannot be judged; it stays: impossible de juger : logs does not answer",
    );
    expect(await stack.lastRelease()).toMatchObject({
      outcome: "succeeded",
      verify: [ok, unknown, { id: "functional-observation", outcome: "not-checked" }],
    });
  });

  it("keeps the release when it is interrupted, asks nothing and says so", async () => {
    await withNewVersion();
    stack.observe = () => {
      stack.stop.abort(new Error("interrupted by the operator"));
      return Promise.resolve(observation("not-checked", "observation interrompue"));
    };
    const outcome = await run();

    expect(outcome.exitCode).toBe(5);
    expect(outcome.text).toContain(
      "verified but not observed to its end, because that was interrupted; it stays",
    );
    expect(stack.asked).toEqual([]);
    expect(stack.ups).toHaveLength(2);
    expect(await stack.lastRelease()).toMatchObject({ outcome: "succeeded" });
  });
});

describe("the alerts of a deployment", () => {
  it("are silenced while the engine works and no longer, so that the observation sees them", async () => {
    await withNewVersion();
    const requests: string[] = [];
    stack.monitoring = (request) => {
      if (request.includes("/api/v2/alerts")) return "\n200 \u001e";
      stack.parts.push(request.includes("DELETE") ? "end silence" : "silence");
      requests.push(request);
      return `{"silenceID":"0${requests.length}"}\n200 \u001e`;
    };
    stack.observe = () => Promise.resolve(observation("ok", ""));
    await run();

    const parts = stack.parts.filter((part, index) => part !== stack.parts[index - 1]);
    expect(parts).toEqual(["preflight", "plan", "silence", "up", "end silence", "verify", "observation"]);
    expect(requests[0]).toContain(String.raw`planned: release 2\"`);
    expect(requests[0]).toContain("vector-store");
  });

  it("are silenced during a rollback as well", async () => {
    await withNewVersion();
    stack.monitoring = (request) => {
      if (request.includes("/api/v2/alerts")) return "\n200 \u001e";
      stack.parts.push("silence");
      return '{"silenceID":"1"}\n200 \u001e';
    };
    stack.observe = () => Promise.resolve(observation("failed", "x"));
    await run();

    expect(stack.parts.filter((part) => part === "silence").length).toBe(16);
  });

  it("do not stop it where the monitoring does not answer", async () => {
    await withNewVersion();
    stack.observe = () => Promise.resolve(observation("ok", ""));

    expect((await run()).exitCode).toBe(0);
    expect(stack.printed.join("\n")).toContain(
      "the alerts of this work are not silenced: alerts on debian@203.0.113.10:22 does not answer (Failed to connect)",
    );
  });
});
