import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { deploy } from "../../../ops/deploy/deploy.ts";
import { commands } from "../../../ops/maintenance/commands.ts";
import { maintain, type MaintainRequest } from "../../../ops/maintenance/maintain.ts";
import { readLock } from "../../../ops/server/lock.ts";
import type { ServerCommand } from "../../../ops/server/connection.ts";
import { UserError } from "../../../common/user-error.ts";
import { failing, ok, TestStack } from "../deploy/test-stack.ts";

const UPGRADES = [
  "engine\tdocker.io\t20.10.24\t20.10.25",
  "upgrade\tdocker.io\t20.10.24\t20.10.25",
  "upgrade\tlibssl3\t3.0.15\t3.0.16",
].join("\n");
const REBOOT = "reboot\tkernel 6.1.0-28 runs, 6.1.0-29 is installed";

let stack: TestStack;
/** What the machine does for each purpose; anything else is the deployment's own bookkeeping. */
let machine: Record<string, (command: ServerCommand) => string>;
/** Purposes of the commands that the machine was given. */
let asked: string[];
let pending: string;
let boots: number;

beforeEach(async () => {
  stack = await TestStack.open();
  await deploy(
    { stack: "test", only: undefined, plan: undefined, emergency: false, reason: "", yes: true },
    stack.operator,
  );
  stack.printed.length = stack.parts.length = 0;
  [pending, boots, asked] = [UPGRADES, 1, []];
  machine = {
    "read the package lists": () => "",
    "look for pending upgrades": () => pending,
    "install the upgrades": () => {
      pending = "";
      return "";
    },
    "wait for the services": () => "",
    "see when the server booted": () => `boot ${boots}`,
    "reboot the server": () => {
      boots += 1;
      pending = "";
      return "";
    },
  };
  const { server } = stack;
  const run = server.run.bind(server);
  server.run = async (command) => {
    const act = machine[command.purpose];
    if (act === undefined) return await run(command);
    asked.push(command.purpose);
    return await Promise.resolve({ stdout: act(command), stderr: "" });
  };
});
afterEach(async () => {
  await stack[Symbol.asyncDispose]();
});

const run = (request: Partial<MaintainRequest> = {}) =>
  maintain(
    { stack: "test", emergency: false, reason: "", yes: true, retrySeconds: 0.01, ...request },
    stack.operator,
  );

const changes = () => asked.filter((purpose) => /^(install|reboot)/.test(purpose));

describe("maintain", () => {
  it("shows what it upgrades, upgrades, verifies and records that", async () => {
    const outcome = await run();

    expect(outcome).toEqual({
      text: "test: 2 upgrades installed, no reboot was required; everything passed its verification",
      exitCode: 0,
    });
    expect(stack.printed).toEqual(
      expect.arrayContaining([
        "2 upgrades:",
        "  docker.io 20.10.24 → 20.10.25",
        "  libssl3 3.0.15 → 3.0.16",
        "Docker restarts: everything is down for about a minute",
      ]),
    );
    expect(asked).toEqual([
      ...["read the package lists", "look for pending upgrades", "install the upgrades"],
      ...["wait for the services", "look for pending upgrades"],
    ]);
    expect(stack.parts).toEqual(["verify"]);
    const done = "docker.io 20.10.24 → 20.10.25, libssl3 3.0.15 → 3.0.16";
    expect((await stack.history()).slice(-2)).toEqual([
      `maintenance: maintenance commencée : ${done}`,
      `maintenance: maintenance terminée, sans redémarrage, vérification réussie : ${done}`,
    ]);
  });

  it("reboots where an upgrade asks for it, and waits until the server is back", async () => {
    machine["install the upgrades"] = () => (pending = REBOOT);
    let looks = 0;
    machine["see when the server booted"] = () => {
      looks += 1;
      // Down at the second look; at the third it has not gone down yet.
      if (looks === 2) throw new UserError("no answer");
      return looks === 3 ? "boot 1" : `boot ${boots}`;
    };

    const outcome = await run();

    expect(outcome.text).toContain("the server was rebooted; everything passed its verification");
    expect(changes()).toEqual(["install the upgrades", "reboot the server"]);
    expect(asked.at(-1)).toBe("wait for the services");
    expect(looks).toBe(4);
    expect((await stack.history()).at(-1)).toContain(
      "serveur redémarré (kernel 6.1.0-28 runs, 6.1.0-29 is installed), vérification réussie",
    );
  });

  it("reboots alone where nothing is left to upgrade", async () => {
    pending = REBOOT;

    expect((await run()).text).toContain("test: 0 upgrades installed, the server was rebooted");
    expect(changes()).toEqual(["reboot the server"]);
  });

  it("fails when the server is not back after ten minutes, and records that", async () => {
    pending = REBOOT;
    machine["reboot the server"] = () => {
      stack.now = new Date(stack.now.getTime() + 601_000);
      return "";
    };

    await expect(run()).rejects.toThrow(
      "expected the server to be back within 10 minutes of its reboot, got no answer; look at its console in OVH's control panel",
    );
    expect((await stack.history()).at(-1)).toContain("maintenance: maintenance interrompue : ");
  });

  it("changes nothing when there is nothing to do", async () => {
    pending = "";

    expect(await run()).toEqual({
      text: "test: nothing to upgrade, and no reboot is required",
      exitCode: 0,
    });
    expect(changes()).toEqual([]);
  });

  it("changes nothing outside of the window, unless in an emergency", async () => {
    stack.now = new Date("2026-11-28T10:00:00Z");

    const refused = await run();
    expect(refused.exitCode).toBe(3);
    expect(refused.text).toMatch(/the window of test is closed, because .*; next opening: /);
    expect(changes()).toEqual([]);

    expect((await run({ emergency: true, reason: "CVE-2026-1" })).exitCode).toBe(0);
    expect(changes()).toEqual(["install the upgrades"]);
  });

  it("changes nothing when nobody agrees", async () => {
    stack.confirms = false;

    expect(await run({ yes: false })).toEqual({ text: "cancelled; nothing was changed", exitCode: 3 });
    expect(changes()).toEqual([]);
  });

  it("fails when the verification fails, and records which checks", async () => {
    stack.verify = () => Promise.resolve([ok, failing]);

    const outcome = await run();

    expect(outcome.exitCode).toBe(1);
    expect(outcome.text).toContain("1 checks failed: look at them above");
    expect((await stack.history()).at(-1)).toContain("vérification en échec (Application accessible)");
  });

  it("records that an upgrade failed, and frees the lock", async () => {
    machine["install the upgrades"] = () => {
      throw new UserError("could not install the upgrades");
    };

    await expect(run()).rejects.toThrow("could not install the upgrades");
    expect((await stack.history()).at(-1)).toBe(
      "maintenance: maintenance interrompue : could not install the upgrades",
    );
    expect(await readLock(stack.server)).toBeUndefined();
  });

  it("holds the deployment's lock meanwhile", async () => {
    let holder: string | undefined;
    const act = machine["install the upgrades"]!;
    stack.verify = async () => {
      holder = (await readLock(stack.server))?.holder.why;
      return [ok];
    };
    machine["install the upgrades"] = act;

    await run({ reason: "July" });

    expect(holder).toBe("maintenance: July");
  });

  it("needs a server, and a reason in an emergency", async () => {
    stack.deployed = false;
    await expect(run()).rejects.toThrow("test is not deployed; deploy it with npm run deploy -- test");
    await expect(commands["maintain"]!.run(["test", "--emergency"])).rejects.toThrow(
      '--emergency needs a reason: add --reason "…"',
    );
  });
});
