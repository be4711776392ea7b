import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { maintain, type MaintainRequest } from "../../../ops/maintenance/maintain.ts";
import { three, twoAndWitness } from "../../support/servers.ts";
import { TestFleet, type ListedServer } from "./test-fleet.ts";

let fleet: TestFleet;
/** Purposes of what was done on which server, and the Swarm's changes between them. */
let done: string[];
let pending: string;
let boots: number;

async function start(listed: readonly ListedServer[]): Promise<void> {
  fleet = await TestFleet.open(listed);
  fleet.stack.deployed = true;
  const note = (answer: () => string) => (name: string, command: { readonly purpose: string }) => {
    done.push(`${name}: ${command.purpose}`);
    return answer();
  };
  Object.assign(fleet.instead, {
    "read the package lists": () => "",
    "look for pending upgrades": () => pending,
    "start the upgrade": note(() => (pending = "reboot\tkernel 1 runs, 2 is installed")),
    "see how the upgrade goes": () =>
      pending === "" || pending.startsWith("upgrade") ? "none" : "ended 0\n",
    "look for programs that were replaced while they ran": () => "",
    "see when the server booted": () => `boot-${boots} 6.1`,
    "reboot the server": note(() => {
      [boots, pending] = [boots + 1, ""];
      return "";
    }),
  });
}

beforeEach(() => {
  [done, pending, boots] = [[], "upgrade\tlibssl3\t3.0.15\t3.0.16\t", 1];
});
afterEach(() => fleet[Symbol.asyncDispose]());

const run = (request: Partial<MaintainRequest> = {}) =>
  maintain(
    { stack: "test", emergency: false, reason: "", yes: true, retrySeconds: 0.01, ...request },
    fleet.world,
  );

describe("the maintenance of one of several servers", () => {
  it("moves its visitors and its work away before the upgrade, and back after the reboot", async () => {
    await start(twoAndWitness);

    const { text, exitCode } = await run({ name: "gra-2" });

    expect(exitCode).toBe(0);
    expect(text).toContain("1 upgrade installed, the server was rebooted");
    expect(done).toEqual(["gra-2: start the upgrade", "gra-2: reboot the server"]);
    expect(await fleet.calls()).toEqual([
      "gra-1: docker node update --availability drain gra-2",
      "gra-1: docker node update --availability active gra-2",
      "gra-1: docker service scale --detach technicia-frontend=3",
      "gra-1: docker service scale --detach technicia-frontend=2",
      "gra-1: docker service scale --detach technicia-vector-store=3",
      "gra-1: docker service scale --detach technicia-vector-store=2",
    ]);
    expect(fleet.printed).toContain(
      "its visitors and its work go to the other servers first, and come back afterwards: nothing is interrupted",
    );
    expect(fleet.printed).toContain("removed from DNS: technicia.exemple.fr A 203.0.113.11");
    expect(fleet.ups).toHaveLength(1);
    expect((await fleet.history("gra-1")).at(-1)).toBe(
      "maintenance: gra-2 : maintenance terminée, serveur redémarré, vérification réussie : libssl3 3.0.15 → 3.0.16",
    );
  });

  it("waits for the Swarm to hear it again after its reboot", async () => {
    await start(three);
    let looks = 0;
    fleet.instead["reboot the server"] = () => {
      [boots, pending] = [boots + 1, ""];
      return "";
    };
    fleet.beforeView = async () => {
      const isDown = boots === 2 && (looks += 1) < 4;
      await fleet.change(({ nodes }) => void (nodes[2]!.state = isDown ? "down" : "ready"));
    };

    expect((await run({ name: "gra-3" })).exitCode).toBe(0);
    expect(looks).toBeGreaterThanOrEqual(4);
  });

  it("leaves the server of the data where it is, and asks the Swarm whether all runs", async () => {
    await start(three);

    expect((await run()).exitCode).toBe(0);
    expect(done).toEqual(["gra-1: start the upgrade", "gra-1: reboot the server"]);
    expect(await fleet.calls()).toEqual([]);
    expect(fleet.printed).toContainEqual(expect.stringContaining("nothing answers during") as string);
  });

  it("reboots a witness, which has no work", async () => {
    await start(twoAndWitness);

    expect((await run({ name: "sbg-1" })).exitCode).toBe(0);
    expect(await fleet.calls()).toEqual([]);
    expect(fleet.addresses).toHaveLength(2);
  });

  it("goes on with one that was interrupted while its work was elsewhere", async () => {
    await start(three);
    const upgrade = fleet.instead["start the upgrade"]!;
    fleet.instead["start the upgrade"] = async (name, command) => {
      await upgrade(name, command);
      throw new Error("killed");
    };
    await expect(run({ name: "gra-2" })).rejects.toThrow("killed");
    expect((await fleet.swarm()).nodes[1]).toMatchObject({ availability: "drain" });

    fleet.instead["start the upgrade"] = upgrade;
    expect((await run({ name: "gra-2" })).exitCode).toBe(0);
    expect((await fleet.swarm()).nodes[1]).toMatchObject({ availability: "active" });
  });

  it.each([
    [three, "gra-7", 'expected one that is deployed (gra-1, gra-2, gra-3), got "gra-7"'],
    [[], "main", "--server: main is the only server; leave --server out"],
  ] as const)(
    "refuses a server that there is not, and a name of an only one",
    async (listed, name, message) => {
      await start(listed);

      await expect(run({ name })).rejects.toThrow(message);
      expect(done).toEqual([]);
    },
  );
});
