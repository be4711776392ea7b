import { writeFile } from "node:fs/promises";
import { join } from "node:path";

import { parse, stringify } from "yaml";
import { afterEach, describe, expect, it } from "vitest";

import { UserError } from "../../../common/user-error.ts";
import { NoAnswer } from "../../../provider/ssh/host.ts";
import { failover, type FailoverRequest } from "../../../ops/servers/failover.ts";
import { readLock } from "../../../ops/server/lock.ts";
import { three, twoAndWitness } from "../../support/servers.ts";
import { TestFleet, type ListedServer } from "./test-fleet.ts";

let fleet: TestFleet;
afterEach(() => fleet[Symbol.asyncDispose]());

async function start(listed: readonly ListedServer[]): Promise<void> {
  fleet = await TestFleet.open(listed);
}

const run = (from: string, request: Partial<FailoverRequest> = {}) =>
  fleet.run((all) => failover({ stack: "test", from, isDrill: false, yes: true, ...request }, all));

const nodeOf = async (name: string) => (await fleet.swarm()).nodes.find((node) => node.name === name)!;

describe("failover from a server without data", () => {
  it("takes it out of DNS and of the Swarm's work, verifies the others, and records all with its times", async () => {
    await start(three);
    await fleet.powerOff("gra-2");

    const { text, exitCode } = await run("gra-2");

    expect(exitCode).toBe(0);
    expect(fleet.printed).toEqual(
      expect.arrayContaining([
        "not reached from this machine: ssh 203.0.113.11:22: expected sshd to answer, got: no answer",
        "not reached from the Swarm, asked at gra-1: down",
        "not reached from gra-1: nothing through the tunnel",
        "not reached from gra-3: nothing through the tunnel",
        "removes from DNS: technicia.exemple.fr A 203.0.113.11",
        "gra-2 gets no tasks any more, also when it comes back",
        "2 of 3 servers that vote are left; 2 must agree",
      ]),
    );
    expect(fleet.addresses).toEqual(["203.0.113.10", "203.0.113.12"]);
    expect(await fleet.calls()).toEqual(["gra-1: docker node update --availability drain gra-2"]);
    expect(text).toContain("gra-2 is out of the work of test, and everything else answers");
    expect(text).toContain("when gra-2 is back: npm run servers -- test undrain gra-2");
    expect(text).toContain("when it is lost for good: npm run servers -- test remove gra-2 --gone");
    expect(text).toMatch(/^Step +Seconds$/m);
    for (const step of ["confirm", "plan", "fence", "verify", "together"])
      expect(text).toMatch(new RegExp(`^${step} +\\d+\\.\\d$`, "m"));
    expect(await fleet.history("gra-1")).toEqual([
      "failover: bascule de gra-2 : le reste répond",
      "incident: DEPLOY-001 ouvert : bascule de gra-2",
    ]);
    expect(fleet.stack.incidents).toMatchObject([{ title: "Serveur gra-2 perdu", priority: "Haute" }]);
    expect(await readLock(fleet.servers.get("gra-1")!)).toBeUndefined();
  });

  it("comes to a witness, which has nothing to take over", async () => {
    await start(twoAndWitness);
    await fleet.powerOff("sbg-1");

    const { exitCode } = await run("sbg-1");

    expect(exitCode).toBe(0);
    expect(fleet.printed).toContain("runs elsewhere: nothing that ran there");
    expect(fleet.addresses).toHaveLength(2);
  });

  it("names a gateway that does not answer, and a service that does not come up, and ends with 1", async () => {
    await start(three);
    fleet.haste = 100;
    await writeFile(join(fleet.folder, "status"), "503");
    await fleet.powerOff("gra-2");
    await fleet.change(({ services }) => {
      services.find(({ name }) => name === "technicia-vector-store")!.state = "starting";
    });

    const { text, exitCode } = await run("gra-2");

    expect(exitCode).toBe(1);
    expect(text).toContain("technicia-vector-store: 0 of 2 run");
    expect(text).toContain(
      "gra-3: expected its gateway to answer https://technicia.exemple.fr/healthz at 203.0.113.12, got status 503",
    );
    expect(fleet.stack.incidents).toMatchObject([{ priority: "Critique" }]);
    expect((await fleet.history("gra-1"))[0]).toContain("bascule de gra-2 : en échec");
  });

  it("never removes the last address of a name", async () => {
    await start(three);
    const zone = fleet.cloudflare.state.zones[0]!;
    zone.records = zone.records.filter(({ content }) => content === fleet.addressOf("gra-2"));
    await fleet.powerOff("gra-2");

    await run("gra-2");

    expect(fleet.addresses).toEqual([fleet.addressOf("gra-2")]);
    expect(fleet.printed).toContain(
      "keeps in DNS the only address of technicia.exemple.fr: nobody else takes visitors",
    );
  });
});

describe("failover from the server of the data", () => {
  it("asks another manager, names what stays down on purpose, and types what brings the data back", async () => {
    await start(three);
    await fleet.powerOff("gra-1");

    const { text, exitCode } = await run("gra-1");

    expect(await fleet.calls()).toEqual(["gra-2: docker node update --availability drain gra-1"]);
    expect(await nodeOf("gra-1")).toMatchObject({ availability: "drain", role: "manager" });
    expect(fleet.printed).toContain(
      "stays down, because its data is on gra-1 and it would start empty elsewhere: technicia-n8n, technicia-qdrant",
    );
    expect(fleet.printed).toContain("the team was not told (started): the monitoring is on gra-1");
    expect(text.split("\n").slice(0, 5)).toEqual([
      "gra-1 is out of the work of test, and everything else answers",
      "when gra-1 is back: npm run servers -- test undrain gra-1 (nothing is lost then)",
      "when it is lost for good, stop it in OVH's control panel, so that it never comes back with old data, and put another machine under its name; there are no backups to bring back",
      "  pulumi config set --path 'technicia:servers[0].serviceName' <name of the other machine> --stack test",
      "  npm run recover -- test",
    ]);
    expect(exitCode).toBe(1);
    expect(await fleet.history("gra-2")).toEqual([
      "failover: bascule de gra-1 : le reste répond ; reste arrêté : technicia-n8n, technicia-qdrant",
      "incident: DEPLOY-001 ouvert : bascule de gra-1",
    ]);
    expect(fleet.stack.incidents).toMatchObject([{ priority: "Critique" }]);
  });

  it("says how old the set is whose data would come back, or why that is not known", async () => {
    await start(three);
    fleet.stack.keepBackups();
    const file = parse(fleet.stack.settings) as { config: Record<string, unknown> };
    file.config["technicia:backupReaderKey"] = { secure: "v1:cipher" };
    fleet.stack.settings = stringify(file);
    fleet.declare();
    await fleet.powerOff("gra-1");

    const { text } = await run("gra-1");

    expect(text).toContain("which set of backups would come back is not known: ");
  });
});

describe("a server that is not down", () => {
  it("is refused when this machine reaches it", async () => {
    await start(three);

    await expect(run("gra-2")).rejects.toThrow(
      /gra-2: expected a server that nobody reaches, got one that is reached from:\n {2}this machine: it lets us in over ssh\n[^]*npm run servers -- test drain gra-2 moves its work away in order/,
    );
    expect(await fleet.calls()).toEqual([]);
    expect(fleet.addresses).toHaveLength(3);
  });

  it("is refused when only another server hears it, because the way from here may be what is broken", async () => {
    await start(three);
    await fleet.powerOff("gra-2");
    await writeFile(join(fleet.folder, "silent"), "");

    await expect(run("gra-2")).rejects.toThrow(
      /reached from:\n {2}gra-1: it answers pings through the tunnel\n {2}gra-3: it answers pings[^]*if it is frozen, stop it in OVH's control panel/,
    );
    expect(await fleet.calls()).toEqual([]);
  });

  it("is refused when only the Swarm hears it", async () => {
    await start(three);
    await fleet.powerOff("gra-2");
    await fleet.change(({ nodes }) => void (nodes[1]!.state = "ready"));

    await expect(run("gra-2")).rejects.toThrow("the Swarm, asked at gra-1: ready");
  });

  it.each([
    ["refuses the login", new UserError("ssh debian@203.0.113.11:22: the host refused the key ~/.ssh/id")],
    [
      "refuses the connection",
      new NoAnswer("got: connection refused", Object.assign(new Error(), { code: "ECONNREFUSED" })),
    ],
  ])("is refused when something at its address %s", async (_what, error) => {
    await start(three);
    await fleet.powerOff("gra-2");
    fleet.failures.set("gra-2", error);

    await expect(run("gra-2")).rejects.toThrow(/reached from:\n {2}this machine: /);
  });
});

describe("a failover that cannot be judged", () => {
  it("is refused when no other server answers to be asked", async () => {
    await start(three);
    await fleet.powerOff("gra-2");
    fleet.instead["ask it whether it hears another server"] = () => {
      throw new UserError("the connection was lost");
    };

    await expect(run("gra-2")).rejects.toThrow(
      "gra-2: expected another server to ask whether it is down, got no answer of gra-1, gra-3; nothing was changed",
    );
  });

  it("is refused when the Swarm has no leader", async () => {
    await start(three);
    await fleet.powerOff("gra-1");
    await fleet.powerOff("gra-2");
    await fleet.change((swarm) => void (swarm.error = "The swarm does not have a leader."));

    await expect(run("gra-1")).rejects.toThrow(
      /no manager of the Swarm answers for it[^]*gra-3: [^]*The swarm does not have a leader/,
    );
    expect(fleet.addresses).toHaveLength(3);
  });

  it("is refused for an only server, whose data comes back otherwise", async () => {
    await start([]);

    await expect(run("main")).rejects.toThrow("it is the only one; npm run recover -- test sets it up again");
  });

  it("changes nothing when nobody agrees", async () => {
    await start(three);
    await fleet.powerOff("gra-2");
    fleet.stack.confirms = false;

    expect(await run("gra-2", { yes: false })).toEqual({
      text: "cancelled; nothing was changed",
      exitCode: 3,
    });
    expect(fleet.stack.asked).toEqual(["Take the work of gra-2 over now?"]);
    expect(await fleet.calls()).toEqual([]);
    expect(fleet.addresses).toHaveLength(3);
  });
});

describe("a drill of a failover", () => {
  it("makes all checks on a server that lives, says what would be done and that it would be refused, and only records that", async () => {
    await start(three);

    const { text, exitCode } = await run("gra-1", { isDrill: true });

    expect(exitCode).toBe(0);
    expect(text).toContain(
      "drill: nothing was changed; in earnest this would be refused, because gra-1 is reached",
    );
    expect(fleet.printed).toContain("reached from this machine: it lets us in over ssh");
    expect(fleet.printed).toContain(
      "runs elsewhere: technicia-gateway, technicia-frontend, technicia-vector-store",
    );
    expect(text).toContain("npm run recover -- test");
    expect(await fleet.calls()).toEqual([]);
    expect(fleet.addresses).toHaveLength(3);
    expect(fleet.stack.incidents).toEqual([]);
    expect(await fleet.history("gra-1")).toEqual([
      "failover: essai de bascule de gra-1 : serveur joignable, une vraie bascule serait refusée ; resterait arrêté : technicia-n8n, technicia-qdrant",
    ]);
  });

  it("names the command that carries it out when the server is down", async () => {
    await start(three);
    await fleet.powerOff("gra-2");

    const { text } = await run("gra-2", { isDrill: true });

    expect(text).toContain("npm run failover -- test --from gra-2 carries it out");
    expect(await fleet.calls()).toEqual([]);
    expect(fleet.addresses).toHaveLength(3);
  });
});
