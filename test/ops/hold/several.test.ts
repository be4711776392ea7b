/** The requests at several gateways, over connections as the state has them. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { parse, stringify } from "yaml";

import { HELD, STOPPING_N8N } from "../../../common/hold.ts";
import type { ServerLabel } from "../../../common/servers.ts";
import { restoreStack } from "../../../ops/backup/restore.ts";
import { Session } from "../../../ops/deploy/session.ts";
import { following } from "../../../ops/hold/following.ts";
import type { Hold } from "../../../ops/hold/hold.ts";
import { until } from "../../support/until.ts";
import { three } from "../../support/servers.ts";
import { TestFleet, type ListedServer } from "../servers/test-fleet.ts";
import { GatewayModel } from "./gateway-model.ts";

let fleet: TestFleet;
let gateways: Record<string, GatewayModel>;
/** What each gateway answers at /healthz. */
let through: Record<string, string>;
/** n8n's container; empty: it does not run. */
let container: string;

beforeEach(() => {
  gateways = {};
  through = {};
  container = "first";
});
afterEach(() => fleet[Symbol.asyncDispose]());

async function start(listed: readonly ListedServer[] = three): Promise<void> {
  fleet = await TestFleet.open(listed);
  fleet.stack.deployed = true;
  for (const { name } of listed) [gateways[name], through[name]] = [new GatewayModel(), "200"];
  const ask = async (name: string, command: Parameters<GatewayModel["run"]>[0]) =>
    (await gateways[name]!.run(command)).stdout;
  for (const verb of ["pause", "renew", "resume", "look at"])
    fleet.instead[`${verb} the requests to n8n`] = ask;
  fleet.instead["look at n8n"] = () => (container === "" ? "- 000" : `${container} 200`);
  fleet.instead["look at qdrant"] = () => `${container} 000`;
  fleet.instead["look through the gateway"] = (name) => through[name]!;
  const file = parse(fleet.stack.settings) as { config: Record<string, object> };
  const services = file.config["technicia:services"] as Record<string, object> | undefined;
  Object.assign(file.config, {
    "technicia:services": { ...services, gateway: { ...services?.["gateway"], hold: { enabled: true } } },
    "technicia:workflows": { webhookSeconds: 5 },
  });
  fleet.stack.settings = stringify(file);
  fleet.declare();
}

async function during<T>(work: (hold: Hold, session: Session) => Promise<T>): Promise<T> {
  const request = { stack: "test", why: "deployment", operator: fleet.world };
  return await Session.during(request, (session) => work(session.hold!, session));
}

const verbs = (name: string) => gateways[name]!.verbs;

const paused = () => Object.entries(gateways).flatMap(([name, { isPaused }]) => (isPaused ? [name] : []));

const withLabels = (labelsOf: Readonly<Record<string, readonly ServerLabel[]>>) =>
  three.map((one) => ({ ...one, labels: labelsOf[one.name] ?? [] }));

describe("a hold at several gateways", () => {
  it("pauses, renews and resumes at each of them, and adds up what waits", async () => {
    await start();
    Object.values(gateways).forEach((gateway, index) => {
      [gateway.inFlight, gateway.waiting] = [index, 2];
    });
    await during(async (hold) => {
      await hold.prepare();
      await hold.begin();
      expect(paused()).toEqual(["gra-1", "gra-2", "gra-3"]);
      fleet.stack.tick();
      await until("all are renewed", () => verbs("gra-3").includes("renew"));
      await hold.end();
    });

    for (const { name } of three) expect(verbs(name)).toEqual(["state", "pause", "renew", "resume"]);
    expect(paused()).toEqual([]);
    expect(fleet.printed).toEqual([
      "the gateways hold the requests to n8n (gra-1, gra-2, gra-3); 3 others are still being answered, and n8n gives them up to 30 s when it stops",
      "the requests to n8n go on: 6 have waited",
    ]);
  });

  it("asks only servers where visitors arrive", async () => {
    await start(withLabels({ "gra-1": ["n8n", "qdrant", "postgres", "monitoring"], "gra-2": ["gateway"] }));
    await during(async (hold) => {
      await hold.prepare(["qdrant"]);
      await hold.begin();
      container = "second";

      expect(await hold.hasEnded({ service: "qdrant", stillSeconds: 30 })).toBe(true);
    });

    expect([verbs("gra-1"), verbs("gra-2"), verbs("gra-3")]).toEqual([[], ["state", "pause", "resume"], []]);
  });

  it("goes on without a server that is away, says so, and does not ask it again", async () => {
    await start();
    await fleet.powerOff("gra-2");
    await during(async (hold) => {
      await hold.prepare();
      await hold.begin();
      expect(paused()).toEqual(["gra-1", "gra-3"]);
      await hold.end();
    });

    expect(verbs("gra-2")).toEqual([]);
    expect(fleet.printed.join("\n")).toContain(
      "gra-2: its gateway does not hold the requests to n8n, and answers 503 meanwhile: ssh 203.0.113.11:22",
    );
    expect(fleet.printed.at(-1)).toBe("the requests to n8n go on");
  });

  it("goes on without a gateway that cannot be paused any more", async () => {
    await start();
    gateways["gra-3"]!.before = (verb) => {
      if (verb === "pause") gateways["gra-3"]!.fault = "no route to host";
    };
    await during(async (hold) => {
      await hold.prepare();
      await hold.begin();
      fleet.stack.tick();
      await until("the others are renewed", () => verbs("gra-1").includes("renew"));
      expect(hold.isOn).toBe(true);
    });

    expect(verbs("gra-3")).toEqual(["state", "pause"]);
    expect(paused()).toEqual([]);
  });

  it("is none where no gateway can be paused", async () => {
    await start();
    for (const gateway of Object.values(gateways))
      gateway.fault = "this server's gateway cannot hold requests yet";
    await during(async (hold) => {
      await hold.prepare();
      await hold.begin();

      expect(hold.isOn).toBe(false);
    });

    expect(fleet.printed.filter((line) => line.includes("cannot hold requests yet"))).toHaveLength(3);
  });

  it("names the gateway that could not be told to go on", async () => {
    await start();
    await during(async (hold) => {
      await hold.prepare();
      await hold.begin();
      await fleet.powerOff("gra-2");
    });

    expect(paused()).toEqual(["gra-2"]);
    expect(fleet.printed.join("\n")).toContain(
      "gra-2: the gateway could not be told to go on, and does so by itself after 60 s",
    );
  });

  it("reaches the servers of the state, also where the settings have one more", async () => {
    await start();
    const file = parse(fleet.stack.settings) as { config: Record<string, unknown> };
    const added = { name: "gra-4", role: "worker", labels: ["gateway"], serviceName: "vps-4.vps.ovh.net" };
    file.config["technicia:servers"] = [...three, added];
    fleet.stack.settings = stringify(file);
    await during(async (hold) => {
      await hold.prepare();
      await hold.begin();

      expect(paused()).toEqual(["gra-1", "gra-2", "gra-3"]);
    });
  });
});

describe("n8n behind several gateways", () => {
  const ended = (hold: Hold) => hold.hasEnded({ stillSeconds: 30 });

  it("is back once every gateway that answers says so", async () => {
    await start();
    await during(async (hold) => {
      await hold.prepare();
      await hold.begin();
      [container, through["gra-3"]] = ["second", "503"];
      expect(await ended(hold)).toBe(false);
      expect(await hold.awaitBack()).toBe("an answer at /healthz of gra-3");

      through["gra-3"] = "200";
      expect(await ended(hold)).toBe(true);
    });
  });

  it("is asked for on each server, at the address of its own gateway", async () => {
    await start();
    delete fleet.instead["look through the gateway"];
    const answer = (status: string) => writeFile(join(fleet.folder, "status"), status);
    await during(async (hold) => {
      await hold.prepare();
      await answer("503");
      expect(await hold.awaitBack()).toBe("an answer at /healthz of gra-1, gra-2, gra-3");

      await answer("200");
      expect(await hold.awaitBack()).toBeUndefined();
    });

    for (const { name } of three)
      expect(fleet.servers.get(name)!.purposes).toContain("look through the gateway");
  });

  it.each([
    ["whose server is away", () => fleet.powerOff("gra-2")],
    ["whose nginx does not answer", () => void (through["gra-2"] = "000")],
  ])("is not waited for at a gateway %s", async (_what, leave) => {
    await start();
    await during(async (hold) => {
      await hold.prepare();
      await hold.begin();
      await leave();
      container = "second";

      expect(await ended(hold)).toBe(true);
    });
  });

  it("is waited for while no gateway answers", async () => {
    await start();
    await during(async (hold) => {
      await hold.prepare();
      for (const { name } of three) through[name] = "000";

      expect(await hold.awaitBack()).toBe("a gateway that answers");
    });
  });

  it("is not waited for at a gateway through which it did not answer before", async () => {
    await start();
    through["gra-2"] = "503";
    await during(async (hold) => {
      await hold.prepare();

      expect(await hold.awaitBack()).toBeUndefined();
    });

    expect(fleet.printed).toContain("gra-2: its gateway does not answer at /healthz; it is not waited for");
  });
});

describe("the program on the server of the data that stops n8n itself", () => {
  const follow = (hold: Hold, line: string) =>
    following(hold, fleet.world.say, async (tell) => {
      tell(line);
      await until("the others hold", () => paused().includes("gra-3"));
      container = "second";
    });

  it("has its own gateway hold; the command pauses the others and resumes all", async () => {
    await start();
    await during((hold) => follow(hold, HELD));

    expect(verbs("gra-1")).toEqual(["resume"]);
    for (const name of ["gra-2", "gra-3"]) expect(verbs(name)).toEqual(["pause", "resume"]);
  });

  it("is followed as well where its server has no gateway", async () => {
    await start(
      withLabels({
        ...{ "gra-1": ["n8n", "qdrant", "postgres", "monitoring"], "gra-2": ["gateway"] },
        "gra-3": ["gateway"],
      }),
    );
    await during((hold) => follow(hold, STOPPING_N8N));

    expect([verbs("gra-1"), verbs("gra-2")]).toEqual([[], ["pause", "resume"]]);
  });

  it("is followed at all gateways by the command that restores", async () => {
    await start();
    fleet.instead["take the last restore back"] = async (_name, { onLine }) => {
      onLine!(HELD);
      await until("the others hold", () => paused().includes("gra-3"));
      container = "second";
      return JSON.stringify({ set: "0".repeat(64), only: ["n8n"], counts: {}, stoppedSeconds: 1, took: 2 });
    };
    const request = { ...{ stack: "test", set: undefined, only: undefined }, keepNothing: false };
    const { exitCode } = await restoreStack(
      { ...request, undo: true, yes: true },
      { ...fleet.world, variables: {} },
    );

    expect(exitCode).toBe(0);
    expect([verbs("gra-1"), verbs("gra-2")]).toEqual([["resume"], ["pause", "resume"]]);
    expect(paused()).toEqual([]);
  });
});
