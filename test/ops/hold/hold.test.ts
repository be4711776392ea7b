import { readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { HELD } from "../../../common/hold.ts";
import { following } from "../../../ops/hold/following.ts";
import { Hold } from "../../../ops/hold/hold.ts";
import { pushWorkflows } from "../../../ops/workflows/push.ts";
import { environmentWith } from "../../support/fixtures.ts";
import { until } from "../../support/until.ts";
import { TestWorld } from "../workflows/test-world.ts";
import { GatewayModel } from "./gateway-model.ts";

let test: TestWorld;
let gateway: GatewayModel;
/** What the timers of the hold do, as long as they run. */
let timers: Set<() => void>;
let now = 0;
/** The program that stands in for Docker otherwise. */
let docker: string;

beforeEach(async () => {
  test = await TestWorld.open();
  gateway = new GatewayModel();
  timers = new Set();
  now = 0;
  docker = await readFile(dockerFile(), "utf8");
  await n8nRuns("first");
});
afterEach(() => test[Symbol.asyncDispose]());

/** n8n runs in this container; undefined: it does not run. */
async function n8nRuns(container: string | undefined): Promise<void> {
  const listed = container === undefined ? "exit" : `echo ${container}; exit`;
  const text = `#!/bin/bash\nif [ "$1" = ps ]; then ${listed}; fi\n${docker}`;
  await writeFile(dockerFile(), text, { mode: 0o755 });
  test.n8n.instead.set("GET /healthz/readiness", { status: container === undefined ? 503 : 200, body: "" });
}

const dockerFile = () => join(dirname(test.server.folder), "bin", "docker");

const asked = (verb: string) => until(`it is asked to ${verb}`, () => gateway.verbs.includes(verb));

function open(settings: Readonly<Record<string, unknown>> = {}, signal = new AbortController().signal): Hold {
  const environment = environmentWith({
    workflows: { enabled: true, webhookSeconds: 10 },
    documents: { enabled: true },
    "services.gateway.hold": { enabled: true },
    ...settings,
  });
  const { world, server } = test;
  return new Hold({
    ...world,
    ...{ environment, signal, now: () => new Date(now) },
    server: {
      ...server,
      run: (command) => (gateway.answers(command) ? gateway.run(command) : server.run(command)),
    },
    every: (_seconds, action) => {
      timers.add(action);
      return () => timers.delete(action);
    },
  });
}

const published = async () => {
  await pushWorkflows({ stack: "test", yes: true }, test.world);
  test.said.length = 0;
};

describe("Hold", () => {
  it("pauses, renews the pause while it lasts, and lets the requests go", async () => {
    const hold = open();
    gateway.waiting = 3;

    await hold.begin();
    for (const renew of timers) renew();
    await asked("renew");
    await hold.end();
    await hold.end();

    expect(gateway.verbs).toEqual(["pause", "renew", "resume"]);
    expect([hold.isOn, timers.size]).toEqual([false, 0]);
    expect(test.said).toEqual([
      "the gateway holds the requests to n8n; n8n has answered all others",
      "the requests to n8n go on: 3 have waited",
    ]);
  });

  it("never renews after the end, also where a renewal was about to begin", async () => {
    const hold = open();
    await hold.begin();
    let letAnswer: () => void = () => undefined;
    const answered = new Promise<void>((resolve) => (letAnswer = resolve));
    gateway.before = (verb) => (verb === "renew" ? answered : undefined);
    const [renew] = timers;
    renew!();
    renew!();
    await asked("renew");

    const ended = hold.end();
    letAnswer();
    await ended;

    expect(gateway.verbs).toEqual(["pause", "renew", "resume"]);
    expect(gateway.isPaused).toBe(false);
  });

  it("waits for no webhook that the workflows of a rollback do not have", async () => {
    await published();
    const hold = open();
    hold.expect([]);
    await hold.prepare();
    await hold.begin();
    test.n8n.forget("technicia-question");

    expect(await hold.awaitBack()).toBeUndefined();
    await hold.end();
  });

  it("says how many requests n8n still answers when the drain is over", async () => {
    gateway.inFlight = 2;
    await open().begin();

    expect(test.said[0]).toContain("2 others are still being answered");
  });

  it("says why nothing is held, and does not fail", async () => {
    gateway.fault = "this server's gateway cannot hold requests yet";
    const hold = open();
    await hold.begin();

    expect(hold.isOn).toBe(false);
    expect(test.said).toEqual([
      "the requests to n8n are not held: could not pause the requests to n8n: this server's gateway cannot hold requests yet",
    ]);
  });

  it("goes on trying where the gateway has restarted meanwhile", async () => {
    gateway.forgets = true;
    const hold = open();
    await hold.begin();
    gateway.forgets = false;
    for (const renew of timers) renew();
    await asked("renew");
    expect(gateway.isPaused).toBe(true);
    await hold.end();

    expect(test.said[0]).toContain("does not keep its hold");
    expect(gateway.verbs).toEqual(["pause", "renew", "resume"]);
  });

  it("says that the pause ends by itself where the gateway cannot be told", async () => {
    const hold = open();
    await hold.begin();
    gateway.fault = "no route to host";
    await hold.end();

    expect(test.said.at(-1)).toContain("does so by itself after 60 s: could not resume the requests to n8n");
    expect(hold.isOn).toBe(false);
  });
});

describe("n8n after its restart", () => {
  it("is back once another container answers at every webhook that answered before", async () => {
    await published();
    const hold = open();
    await hold.prepare();
    const ended = () => hold.hasEnded({ stillSeconds: 30 });
    expect(await ended()).toBe(false);

    await n8nRuns(undefined);
    expect(await ended()).toBe(false);
    await n8nRuns("second");
    test.n8n.forget("technicia-question");
    expect(await ended()).toBe(false);

    test.n8n.publish("technicia-question");
    expect(await ended()).toBe(true);
  });

  it("is not waited for when it goes on as before", async () => {
    const hold = open();
    await hold.prepare();

    expect(await hold.hasEnded({ stillSeconds: 30 })).toBe(false);
    now += 29_000;
    expect(await hold.hasEnded({ stillSeconds: 30 })).toBe(false);
    now += 1_000;
    expect(await hold.hasEnded({ stillSeconds: 30 })).toBe(true);
  });

  it("is not waited for at webhooks that it did not answer before", async () => {
    await published();
    test.n8n.forget("technicia-question");
    const hold = open();
    await hold.prepare();

    expect(test.said).toEqual(["POST /webhook/question: n8n does not answer there; it is not waited for"]);
    expect(await hold.awaitBack()).toBeUndefined();
  });

  it("is waited for at every declared webhook when it did not run before", async () => {
    await published();
    await n8nRuns(undefined);
    const hold = open();
    await hold.prepare();
    await n8nRuns("second");
    test.n8n.forget("technicia-question");

    expect(await hold.awaitBack()).toBe("POST /webhook/question");
    expect(test.waited).toBeGreaterThanOrEqual(10_000);
  });

  it("is asked for its readiness alone without workflows of ours, and at the probes of the settings", async () => {
    await published();
    const workflows = { enabled: false, webhookSeconds: 10 };
    const alone = open({ workflows });
    await alone.prepare();
    const probing = open({ workflows, "services.gateway.hold": { enabled: true, probes: ["question"] } });
    await probing.prepare();
    test.n8n.forget("technicia-question");

    expect(await alone.awaitBack()).toBeUndefined();
    expect(await probing.awaitBack()).toBe("/webhook/question");
  });

  it("lacks its readiness while it starts", async () => {
    const hold = open();
    await hold.prepare();
    await n8nRuns(undefined);

    expect(await hold.awaitBack()).toBe("its readiness");
  });

  it("is waited for by its readiness alone where the folder of workflows cannot be read", async () => {
    await rm(join(test.project, "workflows"), { recursive: true });
    const hold = open();
    await hold.prepare();

    expect(test.said[0]).toContain("only its readiness is waited for: technicia:workflows.folder");
    expect(await hold.awaitBack()).toBeUndefined();
  });

  it("is awaited no longer when the command is interrupted", async () => {
    await n8nRuns(undefined);
    const stop = new AbortController();
    const hold = open({}, stop.signal);
    stop.abort(new Error("interrupted"));

    await expect(hold.awaitBack()).rejects.toThrow("interrupted");
  });
});

describe("the program on the server that stops n8n itself", () => {
  const say = (line: string) => void test.said.push(line);

  it("is followed from when it says that the requests are held until n8n answers", async () => {
    const hold = open({ workflows: { enabled: false } });
    const result = await following(hold, say, async (tell) => {
      tell("fetching the set");
      expect(hold.isOn).toBe(false);
      tell(HELD);
      expect(hold.isOn).toBe(true);
      await n8nRuns("second");
      return 7;
    });

    expect(result).toBe(7);
    expect(gateway.verbs).toEqual(["resume"]);
    expect(test.said).toEqual(["fetching the set", HELD, "the requests to n8n go on"]);
  });

  it("leaves nobody waiting for an n8n that stands still after it failed", async () => {
    const hold = open();
    const failed = following(hold, say, (tell) => {
      tell(HELD);
      return Promise.reject(new Error("the set is damaged"));
    });

    await expect(failed).rejects.toThrow("the set is damaged");
    expect(gateway.verbs).toEqual(["resume"]);
  });

  it("is not followed where it holds nothing", async () => {
    await following(open(), say, () => Promise.resolve());

    expect(gateway.verbs).toEqual([]);
  });
});
