import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { parse, stringify } from "yaml";

import { askToHold, type HeldService, HOLD_FOLDER, holdFolderOf } from "../../../common/hold.ts";
import { deploy } from "../../../ops/deploy/deploy.ts";
import { restartedBy } from "../../../ops/deploy/hold.ts";
import { rollback } from "../../../ops/deploy/rollback.ts";
import { until } from "../../support/until.ts";
import { GatewayModel } from "../hold/gateway-model.ts";
import { ok, TestStack } from "./test-stack.ts";

const N8N = "urn:pulumi:test::technicia::docker:index/service:Service::technicia-n8n-service";
const QDRANT = "urn:pulumi:test::technicia::docker:index/service:Service::technicia-qdrant-service";
const GATEWAY = "urn:pulumi:test::technicia::docker:index/service:Service::technicia-gateway-service";

let folder: string;
let stack: TestStack;
let gateway: GatewayModel;
/** What runs n8n; empty: nothing. */
let container: string;
/** How often somebody has looked at n8n. */
let looks = 0;
/** What runs Qdrant; "-": nothing. */
let qdrant: string;
/** What happened, in order. */
let events: string[];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "hold-"));
  stack = await TestStack.open();
  gateway = new GatewayModel();
  [container, qdrant, events] = ["first", "first", []];
  gateway.before = (verb) => void events.push(verb);
  stack.instead = (command) => {
    if (gateway.answers(command)) return gateway.run(command);
    if (command.purpose === "look at qdrant")
      return Promise.resolve({ stdout: `${qdrant} ${qdrant === "-" ? "503" : "200"}`, stderr: "" });
    if (command.purpose !== "look at n8n") return undefined;
    looks += 1;
    return Promise.resolve({ stdout: container === "" ? "- 000" : `${container} 200`, stderr: "" });
  };
  stack.plan = { ...stack.plan, file: join(folder, "plan.json") };
  set("services", (services) => ({
    ...services,
    gateway: { ...(services["gateway"] as object), hold: { enabled: true } },
  }));
  set("workflows", () => ({ webhookSeconds: 5 }));
  await plan({ [N8N]: { steps: ["same"] } });
  await run();
  events.length = 0;
});

afterEach(async () => {
  await stack[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

function set(name: string, change: (section: Record<string, unknown>) => unknown): void {
  const file = parse(stack.settings) as { config: Record<string, Record<string, unknown>> };
  const key = `technicia:${name}`;
  stack.settings = stringify({
    ...file,
    config: { ...file.config, [key]: change(file.config[key] ?? {}) },
  });
}

/** What the plan does to resources. */
async function plan(resourcePlans: Readonly<Record<string, object>>): Promise<string> {
  const { file } = stack.plan;
  await writeFile(file, JSON.stringify({ manifest: {}, resourcePlans }));
  return file;
}

const plansN8n = () =>
  plan({ [N8N]: { steps: ["update"], goal: { inputDiff: { updates: { taskSpec: {} } } } } });

function run() {
  const whole = { stack: "test", only: undefined, plan: undefined, emergency: false, reason: "", yes: true };
  return deploy(whole, stack.operator);
}

/** The engine comes to a service, as the program of the stack says it does. */
const comeTo = (service: HeldService, environment: Readonly<Record<string, string>>) =>
  askToHold({ folder: holdFolderOf(environment[HOLD_FOLDER]!, service) });

/** It comes to n8n, and n8n restarts. */
async function restart(environment: Readonly<Record<string, string>>, next: string): Promise<void> {
  await comeTo("n8n", environment);
  events.push("n8n stops");
  container = "";
  if (next === "") return;
  container = next;
  events.push("n8n runs");
}

const resumed = () => until("the requests go on", () => !gateway.isPaused);

describe("a deployment that restarts n8n", () => {
  beforeEach(plansN8n);

  it("holds the requests from right before n8n stops until it answers, and not until the update ends", async () => {
    stack.up = async (_images, environment) => {
      events.push("others change");
      await restart(environment, "second");
      await resumed();
      events.push("the update ends");
      return undefined;
    };
    const outcome = await run();

    expect(outcome.exitCode).toBe(0);
    expect(events).toEqual([
      ...["others change", "pause", "n8n stops", "n8n runs", "resume", "the update ends"],
    ]);
    expect(stack.printed).toContain("the requests to n8n go on");
  });

  it("renews the pause while it lasts", async () => {
    stack.up = async (_images, environment) => {
      await comeTo("n8n", environment);
      container = "";
      stack.tick();
      await until("it is renewed", () => events.includes("renew"));
      container = "second";
      return undefined;
    };
    await run();

    expect(events.at(-1)).toBe("resume");
  });

  it("waits for n8n after the update, too", async () => {
    stack.up = async (_images, environment) => {
      await restart(environment, "");
      // n8n comes while nobody looks.
      setImmediate(() => (container = "second"));
      return undefined;
    };

    expect((await run()).exitCode).toBe(0);
    expect(events).toEqual(["pause", "n8n stops", "resume"]);
  });

  it("goes on without a hold where the gateway cannot", async () => {
    gateway.fault = "this server's gateway cannot hold requests yet";
    stack.up = async (_images, environment) => {
      await restart(environment, "second");
      return undefined;
    };

    expect((await run()).exitCode).toBe(0);
    expect(events).toEqual(["pause", "n8n stops", "n8n runs"]);
    expect(stack.printed.join("\n")).toContain("the requests to n8n are not held");
  });

  it("pauses nothing where the program of the stack does not come to n8n", async () => {
    await run();

    expect(events).toEqual([]);
  });

  it("lets the requests go when it is interrupted", async () => {
    stack.up = async (_images, environment) => {
      await restart(environment, "");
      stack.stop.abort(new Error("stopped by Ctrl-C"));
      return { error: "update canceled", changed: true, service: "n8n" };
    };
    await run();

    expect(events).toEqual(["pause", "n8n stops", "resume"]);
  });

  describe("and fails", () => {
    beforeEach(() => {
      set("uploadMaxMib", () => 100);
      stack.setImage("vectorStore", "technicia/vector-store:1.0.1");
    });

    it("holds the requests until the release before answers them", async () => {
      let ups = 0;
      stack.up = async (_images, environment) => {
        ups += 1;
        await restart(environment, ups === 1 ? "" : "third");
        return ups === 1 ? { error: "n8n does not start", changed: true, service: "n8n" } : undefined;
      };
      const outcome = await run();

      expect(outcome.exitCode).toBe(4);
      expect(events).toEqual(["pause", "n8n stops", "n8n stops", "n8n runs", "resume"]);
    });

    it("is rolled back as well when only n8n's answers do not come back", async () => {
      let ups = 0;
      stack.up = async (_images, environment) => {
        ups += 1;
        await restart(environment, ups === 1 ? "" : "third");
        return undefined;
      };
      const outcome = await run();

      expect(outcome.exitCode).toBe(4);
      expect(outcome.text).toContain("after the update n8n lacked its readiness for 5 s");
      expect(events).toEqual(["pause", "n8n stops", "n8n stops", "n8n runs", "resume"]);
      expect((await stack.lastRelease()).failure).toContain("n8n ne répond pas comme avant");
    });

    it("lets the requests go when there is no way back", async () => {
      stack.up = async (_images, environment) => {
        await restart(environment, "");
        return { error: "n8n does not start", changed: true, service: "n8n" };
      };

      expect((await run()).exitCode).toBe(1);
      expect(events.filter((event) => event === "resume")).toHaveLength(1);
      expect(gateway.isPaused).toBe(false);
    });
  });
});

describe("a deployment that leaves n8n alone", () => {
  it.each([
    ["its plan changes nothing of n8n", { [N8N]: { steps: ["same"] }, [GATEWAY]: { steps: ["update"] } }],
    ["its plan does not name n8n", {}],
  ])("holds nothing where %s", async (_why, resources) => {
    await plan(resources);
    let given: Readonly<Record<string, string>> = {};
    stack.up = (_images, environment) => {
      given = environment;
      return Promise.resolve(undefined);
    };
    await run();

    expect(given).not.toHaveProperty(HOLD_FOLDER);
    expect(events).toEqual([]);
  });

  it("holds nothing where that is off, whatever its plan does", async () => {
    await plansN8n();
    set("services", (services) => ({
      ...services,
      gateway: { ...(services["gateway"] as object), hold: { enabled: false } },
    }));
    stack.up = (_images, environment) => {
      expect(environment).not.toHaveProperty(HOLD_FOLDER);
      return Promise.resolve(undefined);
    };

    expect((await run()).exitCode).toBe(0);
    expect(events).toEqual([]);
  });
});

describe("a rollback by hand", () => {
  const back = () =>
    rollback(
      { stack: "test", to: 1, reason: "slow", yes: true, dataStays: false, withData: false },
      stack.operator,
    );

  it("holds the requests where n8n's settings change", async () => {
    set("uploadMaxMib", () => 100);
    await run();
    stack.up = async (_images, environment) => {
      await restart(environment, "third");
      return undefined;
    };

    expect((await back()).exitCode).toBe(0);
    expect(events).toEqual(["pause", "n8n stops", "n8n runs", "resume"]);
  });

  it("holds nothing where only other services change", async () => {
    stack.setImage("vectorStore", "technicia/vector-store:1.0.1");
    await run();
    stack.verify = () => Promise.resolve([ok]);
    stack.up = (_images, environment) => {
      expect(environment).not.toHaveProperty(HOLD_FOLDER);
      return Promise.resolve(undefined);
    };

    expect((await back()).exitCode).toBe(0);
  });
});

describe("a deployment that restarts Qdrant", () => {
  const changed = { steps: ["update"], goal: { inputDiff: { updates: { taskSpec: {} } } } };

  it("holds the requests until Qdrant is back and everything behind the gateway answers", async () => {
    await plan({ [QDRANT]: changed });
    stack.up = async (_images, environment) => {
      await comeTo("qdrant", environment);
      events.push("Qdrant stops");
      qdrant = "-";
      setImmediate(() => {
        events.push("Qdrant runs");
        qdrant = "second";
      });
      // n8n does not restart, so nothing is held for it.
      await comeTo("n8n", environment);
      await resumed();
      return undefined;
    };

    expect((await run()).exitCode).toBe(0);
    expect(events).toEqual(["pause", "Qdrant stops", "Qdrant runs", "resume"]);
    expect(stack.printed.join("\n")).toContain("qdrant restarts: requests to n8n wait at the gateway");
  });

  it("and n8n holds them until both are back, in one hold", async () => {
    await plan({ [QDRANT]: changed, [N8N]: changed });
    stack.up = async (_images, environment) => {
      await Promise.all([comeTo("qdrant", environment), comeTo("n8n", environment)]);
      [qdrant, container] = ["-", "second"];
      const before = looks;
      await until("n8n is seen to be back", () => looks > before);
      events.push("n8n runs");
      qdrant = "second";
      await resumed();
      return undefined;
    };

    expect((await run()).exitCode).toBe(0);
    expect(events).toEqual(["pause", "n8n runs", "resume"]);
    expect(stack.printed.join("\n")).toContain("n8n and qdrant restart: requests to n8n wait");
  });

  it("is rolled back where Qdrant does not come back", async () => {
    set("uploadMaxMib", () => 100);
    stack.setImage("vectorStore", "technicia/vector-store:1.0.1");
    await plan({ [QDRANT]: changed });
    let ups = 0;
    stack.up = async (_images, environment) => {
      ups += 1;
      if (ups === 1) {
        await comeTo("qdrant", environment);
        qdrant = "-";
      } else qdrant = "third";
      return undefined;
    };
    const outcome = await run();

    expect(outcome.exitCode).toBe(4);
    expect(outcome.text).toContain("after the update n8n lacked a healthy qdrant for 5 s");
    expect(events.filter((event) => event !== "renew")).toEqual(["pause", "resume"]);
  });
});

describe("restartedBy", () => {
  const update = (inputDiff: object) => ({ [N8N]: { steps: ["update"], goal: { inputDiff } } });

  it.each([
    ["another image, setting or secret", update({ updates: { taskSpec: {} } }), ["n8n"]],
    ["what somebody changed on the server", update({}), ["n8n"]],
    ["a replacement", { [N8N]: { steps: ["create-replacement", "replace", "delete-replaced"] } }, ["n8n"]],
    ["how long its update is watched", update({ updates: { updateConfig: {}, convergeConfig: {} } }), []],
    ["nothing", { [N8N]: { steps: ["same"] } }, []],
    ["a refresh", { [N8N]: { steps: ["refresh", "same"] } }, []],
    ["another service", { [GATEWAY]: { steps: ["update"] } }, []],
    ["Qdrant", { [QDRANT]: { steps: ["update"] } }, ["qdrant"]],
  ])("of a plan with %s", async (_what, resources, expected) => {
    expect(await restartedBy({ file: await plan(resources) })).toEqual(expected);
  });

  it("is n8n where the plan cannot be read, because a hold does less harm than none", async () => {
    await writeFile(stack.plan.file, "{");

    expect(await restartedBy(stack.plan)).toEqual(["n8n"]);
    expect(await restartedBy({ file: join(folder, "none.json") })).toEqual(["n8n"]);
  });
});
