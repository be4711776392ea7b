import { existsSync } from "node:fs";
import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { parse, stringify } from "yaml";

import { deploy } from "../../../ops/deploy/deploy.ts";
import { commands } from "../../../ops/maintenance/commands.ts";
import { maintain, type MaintainRequest } from "../../../ops/maintenance/maintain.ts";
import { readLock } from "../../../ops/server/lock.ts";
import type { ServerCommand } from "../../../ops/server/connection.ts";
import type { CheckContext } from "../../../ops/checks/context.ts";
import { UserError } from "../../../common/user-error.ts";
import { validSettings } from "../../support/fixtures.ts";
import { failing, ok, TestStack } from "../deploy/test-stack.ts";

const UPGRADES = [
  "engine\tdocker.io\t20.10.24\t20.10.25\t",
  "upgrade\tdocker.io\t20.10.24\t20.10.25\t",
  "upgrade\tlibssl3\t3.0.15\t3.0.16\t",
].join("\n");
const HELD = "upgrade\tcurl\t1\t2\theld";
const REBOOT = "reboot\tkernel 6.1.0-28 runs, 6.1.0-29 is installed";
const DONE = "docker.io 20.10.24 → 20.10.25, libssl3 3.0.15 → 3.0.16";

let stack: TestStack;
/** What the machine does for each purpose; anything else is the deployment's own bookkeeping. */
let machine: Record<string, (command: ServerCommand) => string>;
/** Purposes of the commands that the machine was given. */
let asked: string[];
let pending: string;
let boots: number;
/** How the upgrade stands, at each look. */
let stands: string[];

beforeEach(async () => {
  stack = await TestStack.open();
  await deploy(
    { stack: "test", only: undefined, plan: undefined, emergency: false, reason: "", yes: true },
    stack.operator,
  );
  stack.printed.length = stack.parts.length = 0;
  [pending, boots, asked, stands] = [UPGRADES, 1, [], []];
  machine = {
    "read the package lists": () => "",
    "look for pending upgrades": () => pending,
    "start the upgrade": () => {
      pending = "";
      stands = ["running\nUnpacking docker.io", "running\nUnpacking docker.io", "ended 0\nDone"];
      return "";
    },
    "see how the upgrade goes": () => stands.shift() ?? "none",
    "look for programs that were replaced while they ran": () => "",
    "wait for the services": () => "",
    "see when the server booted": () => `boot-${boots} 6.1.0-2${7 + boots}`,
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

const changes = () => asked.filter((purpose) => /^(start|reboot)/.test(purpose));
const isUnfinished = () => existsSync(join(stack.server.folder, "maintenance"));

describe("maintain", () => {
  it("shows what it upgrades, upgrades, verifies and records that", async () => {
    const outcome = await run();

    expect(outcome).toEqual({
      text: "test: 2 upgrades installed, no reboot was required\neverything passed its verification",
      exitCode: 0,
    });
    expect(stack.printed).toEqual([
      "2 upgrades:",
      "  docker.io 20.10.24 → 20.10.25",
      "  libssl3 3.0.15 → 3.0.16",
      expect.stringMatching(
        /^nothing answers while Docker restarts \(about a minute\) and during a reboot .*webhooks are lost/,
      ),
      "the server reboots only if an upgrade asks for that",
      expect.stringMatching(/^the window of test is open until Tuesday/),
      "installing the upgrades, which takes some minutes",
      "  Unpacking docker.io",
      "waiting for the services",
      expect.stringMatching(/^verify: 1 ok/),
      expect.stringContaining("not checked"),
    ]);
    expect(changes()).toEqual(["start the upgrade"]);
    expect(stack.parts).toEqual(["verify"]);
    expect((await stack.history()).slice(-2)).toEqual([
      `maintenance: maintenance commencée : ${DONE}`,
      `maintenance: maintenance terminée, sans redémarrage, vérification réussie : ${DONE}`,
    ]);
    expect(isUnfinished()).toBe(false);
  });

  it("tells the team of its beginning, of the reboot and of its end", async () => {
    const file = parse(stack.settings) as { config: Record<string, unknown> };
    file.config["technicia:monitoring"] = { enabled: true };
    stack.settings = stringify(file);
    pending = REBOOT;
    const told: (string | undefined)[] = [];
    stack.monitoring = (request) => {
      if (request.includes("/api/v2/alerts")) told.push(/\\"title\\":\\"([^"]+)\\"/.exec(request)?.[1]);
      return '{"silenceID":"1"}\n200 \u001e';
    };
    await run();

    const reboot = "Redémarrage du serveur : commencé";
    expect(told).toEqual(["Maintenance : commencée", reboot, "Maintenance : terminée"]);
  });

  it("reboots where an upgrade asks for it, and waits until the server is back", async () => {
    const start = machine["start the upgrade"]!;
    machine["start the upgrade"] = (command) => {
      start(command);
      return (pending = REBOOT);
    };
    const boot = machine["see when the server booted"]!;
    let looks = 0;
    machine["see when the server booted"] = (command) => {
      looks += 1;
      // It does not answer at the fourth look; at the third it has not gone down yet.
      if (looks === 4) throw new UserError("no answer");
      return looks === 3 ? "boot-1 6.1.0-28" : boot(command);
    };

    const outcome = await run();

    expect(outcome.text).toContain(
      "2 upgrades installed, the server was rebooted\neverything passed its verification",
    );
    expect(changes()).toEqual(["start the upgrade", "reboot the server"]);
    expect(asked.slice(-2)).toEqual(["wait for the services", "look for pending upgrades"]);
    expect(looks).toBe(5);
    expect((await stack.history()).at(-1)).toContain(
      "serveur redémarré, noyau 6.1.0-28 → 6.1.0-29, vérification réussie",
    );
  });

  it("reboots where services still run with what was replaced", async () => {
    machine["look for programs that were replaced while they ran"] = () => "sshd\ncron\n";

    await run();

    expect(changes()).toEqual(["start the upgrade", "reboot the server"]);
    expect(stack.printed).toContain("rebooting the server: replaced while they ran: sshd, cron");
  });

  it("reboots alone where nothing is left to upgrade", async () => {
    pending = REBOOT;

    expect((await run()).text).toContain("test: 0 upgrades installed, the server was rebooted");
    expect(changes()).toEqual(["reboot the server"]);
    expect(stack.printed).toContain("the server reboots: kernel 6.1.0-28 runs, 6.1.0-29 is installed");
  });

  it("fails when the server is not back after ten minutes, and goes on from there the next time", async () => {
    pending = REBOOT;
    const reboot = machine["reboot the server"]!;
    machine["reboot the server"] = (command) => {
      stack.now = new Date(stack.now.getTime() + 601_000);
      boots -= 1;
      return reboot(command);
    };

    await expect(run()).rejects.toThrow(
      "expected the server to be back within 10 minutes of its reboot, got the boot from before; look at its console in OVH's control panel",
    );
    expect((await stack.history()).slice(-2)).toEqual([
      expect.stringContaining("maintenance: maintenance interrompue : "),
      expect.stringContaining("incident: DEPLOY-001 ouvert : maintenance"),
    ]);

    const again = await run();
    expect(again.text).toContain("everything passed its verification");
    expect(stack.printed).toContain("goes on with a maintenance that did not come to its end");
    expect(isUnfinished()).toBe(false);
  });

  it("fails when the reboot has not changed what asked for it", async () => {
    pending = REBOOT;
    const reboot = machine["reboot the server"]!;
    machine["reboot the server"] = (command) => {
      reboot(command);
      return (pending = REBOOT);
    };

    await expect(run()).rejects.toThrow("look at what its boot loader starts");
  });

  it("changes nothing when there is nothing to do, and says what stays as it is", async () => {
    pending = "";
    expect(await run()).toEqual({ text: "test: nothing to upgrade, and no reboot is required", exitCode: 0 });

    pending = HELD;
    expect(await run()).toEqual({
      text: "test: nothing to upgrade, and no reboot is required\nstays as it is:\n  curl 1 → 2 (held)\n  release what is held, on the server: sudo apt-mark unhold curl",
      exitCode: 0,
    });
    expect(changes()).toEqual([]);
    expect(stack.parts).toEqual([]);
  });

  it("repairs packages that an interruption left half installed", async () => {
    pending = "broken\tan installation was interrupted";

    expect((await run()).exitCode).toBe(0);
    expect(changes()).toEqual(["start the upgrade"]);
    expect(stack.printed[0]).toBe(
      "repairs the packages first (an installation was interrupted), and then installs what is pending",
    );
  });

  it("warns of another major version of Docker", async () => {
    pending = "engine\tdocker-ce\t5:28.5.1-1\t5:29.0.2-1\t\nupgrade\tdocker-ce\t5:28.5.1-1\t5:29.0.2-1\t";

    await run();

    expect(stack.printed).toContainEqual(expect.stringContaining("Docker changes from 28 to 29: read what"));
  });

  it("waits for the upgrade of a command that was killed, before it looks at anything", async () => {
    stands = ["running\nSetting up docker.io", "ended 0\n"];
    let looks = 0;
    machine["read the package lists"] = () => {
      looks = asked.filter((purpose) => purpose === "see how the upgrade goes").length;
      return "";
    };

    await run();

    expect(looks).toBe(2);
    expect(stack.printed).toContain("the upgrade of an earlier command has ended");
  });

  it("goes on waiting for an upgrade that cuts the connection", async () => {
    const look = machine["see how the upgrade goes"]!;
    let failures = 0;
    machine["see how the upgrade goes"] = (command) => {
      if (stands.length === 2 && failures < 3) {
        failures += 1;
        throw new UserError("the connection was lost meanwhile");
      }
      return look(command);
    };

    expect((await run()).exitCode).toBe(0);
    expect(failures).toBe(3);
  });

  it("changes nothing outside of the window, unless in an emergency, and records both", async () => {
    stack.now = new Date("2026-11-28T10:00:00Z");

    const refused = await run();
    expect(refused.exitCode).toBe(3);
    expect(refused.text).toMatch(/the window of test is closed, because .*; next opening: /);
    expect(changes()).toEqual([]);
    expect((await stack.history()).at(-1)).toContain("maintenance: maintenance refusée : fenêtre fermée");

    expect((await run({ emergency: true, reason: "CVE-2026-1" })).exitCode).toBe(0);
    expect(changes()).toEqual(["start the upgrade"]);
    expect((await stack.history()).at(-2)).toBe(`maintenance: maintenance commencée en urgence : ${DONE}`);
  });

  it("changes nothing when nobody agrees", async () => {
    stack.confirms = false;

    expect(await run({ yes: false })).toEqual({ text: "cancelled; nothing was changed", exitCode: 3 });
    expect(changes()).toEqual([]);
    expect(stack.asked).toEqual(["Carry this out on test now?"]);
  });

  it("fails when the verification fails, opens an incident, and verifies again the next time", async () => {
    const verify = stack.verify;
    stack.verify = () => Promise.resolve([ok, failing]);

    const outcome = await run();

    expect(outcome.exitCode).toBe(1);
    expect(outcome.text).toContain("1 check failed: see above and docs/runbook.md");
    expect(stack.incidents).toMatchObject([
      { title: "Maintenance du serveur en échec", symptoms: ["Application accessible : 500"] },
    ]);
    expect((await stack.history()).at(-2)).toContain("vérification en échec (Application accessible)");

    stack.verify = verify;
    expect((await run()).exitCode).toBe(0);
    expect((await stack.history()).at(-1)).toContain(
      `maintenance terminée, sans redémarrage, vérification réussie : ${DONE}`,
    );
  });

  it("verifies what is deployed, against the last good release", async () => {
    const settings = Object.entries(validSettings()).map(
      ([key, value]) =>
        [`technicia:${key}`, typeof value === "string" ? value : JSON.stringify(value)] as const,
    );
    stack.declared = {
      ...Object.fromEntries(settings),
      "technicia:monitoring": JSON.stringify({ enabled: false }),
      "technicia:domain": "former.exemple.fr",
    };
    let context: CheckContext | undefined;
    stack.verify = (given) => {
      context = given;
      return Promise.resolve([ok]);
    };

    await run();

    expect(context?.earlier).toContainEqual(ok);
    expect(context?.environment.domain).toBe("former.exemple.fr");
    expect(stack.printed).toContain("not deployed yet, so not verified: domain");
  });

  it("records that an upgrade failed, says what it printed, and frees the lock", async () => {
    machine["start the upgrade"] = () => {
      stands = ["ended 100\nE: no space left\nE: at all"];
      return "";
    };

    await expect(run()).rejects.toThrow(
      "could not install the upgrades on debian@203.0.113.10:22: exit code 100; it printed:\n  E: no space left\n  E: at all\n",
    );
    expect((await stack.history()).at(-2)).toContain("maintenance: maintenance interrompue : could not");
    expect(await readLock(stack.server)).toBeUndefined();
    expect(isUnfinished()).toBe(true);
    expect(stack.printed.at(-2)).toContain("run npm run maintain -- test again, which goes on from there");
  });

  it("waits for the end of an upgrade that somebody interrupts, and for the services, and begins nothing more", async () => {
    const look = machine["see how the upgrade goes"]!;
    machine["see how the upgrade goes"] = (command) => {
      if (stands.length === 2) stack.stop.abort(new UserError("interrupted by the operator"));
      return look(command);
    };
    machine["look for programs that were replaced while they ran"] = () => "sshd";

    await expect(run()).rejects.toThrow("interrupted by the operator");

    expect(stands).toEqual([]);
    expect(asked.at(-1)).toBe("wait for the services");
    expect(changes()).toEqual(["start the upgrade"]);
    expect((await stack.history()).at(-1)).toBe("maintenance: maintenance interrompue par l'opérateur");
    expect(stack.incidents).toEqual([]);
    expect(isUnfinished()).toBe(true);
  });

  it("stops waiting for a server that reboots when somebody interrupts it", async () => {
    pending = REBOOT;
    machine["reboot the server"] = () => {
      stack.stop.abort(new UserError("interrupted by the operator"));
      return "";
    };

    await expect(run()).rejects.toThrow("interrupted by the operator");
    expect(isUnfinished()).toBe(true);
  });

  it("holds the deployment's lock meanwhile", async () => {
    let holder: string | undefined;
    stack.verify = async () => {
      holder = (await readLock(stack.server))?.holder.why;
      return [ok];
    };

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
