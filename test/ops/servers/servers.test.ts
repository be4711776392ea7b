import { afterEach, describe, expect, it } from "vitest";

import { drainServer, undrainServer } from "../../../ops/servers/drain.ts";
import { showServers } from "../../../ops/servers/overview.ts";
import { removeServer } from "../../../ops/servers/remove.ts";
import { readLock } from "../../../ops/server/lock.ts";
import { three, twoAndWitness } from "../../support/servers.ts";
import { TestFleet, type ListedServer } from "./test-fleet.ts";

let fleet: TestFleet;
afterEach(() => fleet[Symbol.asyncDispose]());

const withWorker: readonly ListedServer[] = [
  ...three,
  { name: "gra-4", role: "worker", serviceName: "vps-4a2b3c4d.vps.ovh.net" },
];

async function start(listed: readonly ListedServer[]): Promise<void> {
  fleet = await TestFleet.open(listed);
}

const show = () => fleet.run(showServers);
const drain = (name: string, yes = true) =>
  fleet.run((all) => drainServer({ stack: "test", name, yes }, all));
const undrain = (name: string) => fleet.run((all) => undrainServer({ stack: "test", name, yes: true }, all));
const remove = (name: string, isGone = false) =>
  fleet.run((all) => removeServer({ stack: "test", name, isGone, yes: true }, all));

const tasksOf = async (name: string) =>
  (await fleet.swarm()).services.find((service) => service.name === `technicia-${name}`)!.on;
const nodeOf = async (name: string) => (await fleet.swarm()).nodes.find((node) => node.name === name);

const { columns } = process.stdout;
afterEach(() => void (process.stdout.columns = columns));

/** No cell is wrapped. */
const widen = () => void (process.stdout.columns = 400);

/** Lines of a table, their columns apart by one bar. */
const rows = (text: string) => text.split("\n").map((line) => line.replace(/ {2,}/g, " | "));

describe("the list of servers", () => {
  it("has a row for each, with role, state, leader, work, load, patches and last backup", async () => {
    widen();
    await start(twoAndWitness);
    fleet.stack.keepBackups();
    fleet.declare();
    fleet.instead["look for pending upgrades"] = (name) => (name === "gra-2" ? "reboot\tkernel 1 runs" : "");
    fleet.instead["read the status of the backups"] = () =>
      '{"setUpAt":"2026-11-01T00:00:00Z","last":{"id":"ab","time":"2026-11-24T09:00:00Z"}}';

    const { text, exitCode } = await show();

    expect(rows(text)).toEqual(
      expect.arrayContaining([
        "Server | Role | State | Runs | Load | Patches | Last backup",
        "gra-1 | manager: gateway, qdrant, n8n, postgres, monitoring | ready, leader | frontend, gateway, n8n, qdrant, vector-store | 0.5 of 4, memory 25 %, disk 31 % | none pending | 2026-11-24 09:00:00 UTC",
        "gra-2 | manager: gateway | ready | frontend, gateway, vector-store | 0.5 of 4, memory 25 %, disk 31 % | reboot | no data",
        "sbg-1 | witness | ready | nothing | 0.5 of 4, memory 25 %, disk 31 % | none pending | no data",
        "gra-1 | pages, by the other addresses | none until it is back, or restored from a set of backups | goes on, and starts elsewhere what was there",
      ]),
    );
    expect(exitCode).toBe(0);
  });

  it("has one row where there is one server", async () => {
    widen();
    await start([]);

    const { text, exitCode } = await show();

    expect(rows(text)[2]).toMatch(
      /^main \| manager: gateway, .* \| ready, leader \| frontend ×2, gateway, n8n/,
    );
    expect(text).toContain("stands still: nothing can be changed until it is back");
    expect(exitCode).toBe(0);
  });

  it("shows a server that is down, what stays down with it, and ends with 1", async () => {
    widen();
    await start(three);
    await fleet.powerOff("gra-1");

    const { text, exitCode } = await show();

    expect(rows(text).find((line) => line.startsWith("gra-1"))).toMatch(
      /\| down, does not vote now \| unknown \| no answer \| unknown \| unknown$/,
    );
    expect(text).toContain(
      "technicia-n8n: 0 of 1 run: no server that takes tasks has its label, and elsewhere it would start empty",
    );
    expect(exitCode).toBe(1);
  });

  it("shows what the servers say of themselves when the Swarm has no leader, and why the rest is missing", async () => {
    await start(three);
    await fleet.change((swarm) => void (swarm.error = "The swarm does not have a leader."));

    const { text, exitCode } = await show();

    expect(text).toContain("no manager of the Swarm answers for it, so nothing can be seen or changed");
    expect(text).toContain("The swarm does not have a leader.");
    expect(exitCode).toBe(1);
  });

  it("names what the settings have and the deployment has not, and the other way round", async () => {
    await start(three);
    fleet.stack.settings = fleet.stack.settings.replaceAll("gra-3", "gra-9");

    const { text } = await show();

    expect(text).toContain("gra-9 is in the settings and not deployed: npm run deploy -- test");
    expect(text).toContain("gra-3 is deployed and no longer in the settings: npm run preview -- test");
  });
});

describe("drain", () => {
  it("takes visitors away one lifetime of DNS before the tasks, and waits until these run elsewhere", async () => {
    await start(three);

    const { text, exitCode } = await drain("gra-2");

    expect(exitCode).toBe(0);
    expect(text).toContain("gra-2 is drained: nothing runs there, and everything runs elsewhere");
    expect(fleet.addresses).toEqual([fleet.addressOf("gra-1"), fleet.addressOf("gra-3")]);
    expect(fleet.pauses).toEqual([60]);
    expect(await fleet.calls()).toEqual(["gra-1: docker node update --availability drain gra-2"]);
    expect(await tasksOf("frontend")).not.toContain("gra-2");
    expect(await tasksOf("gateway")).toEqual(["gra-1", "gra-3"]);
    expect(await fleet.history("gra-1")).toEqual([
      "server: gra-2 vidé : technicia-frontend, technicia-gateway, technicia-vector-store",
    ]);
    expect(await readLock(fleet.servers.get("gra-1")!)).toBeUndefined();
  });

  it("changes nothing when nobody agrees", async () => {
    await start(three);
    fleet.stack.confirms = false;

    expect(await drain("gra-2", false)).toEqual({ text: "cancelled; nothing was changed", exitCode: 3 });
    expect(await fleet.calls()).toEqual([]);
    expect(fleet.addresses).toHaveLength(3);
    expect(fleet.stack.asked).toEqual(["Drain gra-2 now?"]);
  });

  it("fails when a service does not come up elsewhere, and says how to go back", async () => {
    await start(three);
    fleet.haste = 100;
    await fleet.change(({ services }) => {
      const service = services.find(({ name }) => name === "technicia-frontend")!;
      [service.state, service.error] = ["starting", "no such image"];
    });

    await expect(drain("gra-3")).rejects.toThrow(
      /expected every service to run within 300 s, got: technicia-frontend: 0 of 2 run \(no such image\); look at docker service ps .* undrain gra-3/,
    );
  });

  it.each([
    ["the server of the data", three, "gra-1", "expected a server without data, got the one that has it"],
    ["an only server", [], "main", "expected another server to take over, got none"],
    [
      "a server that there is not",
      three,
      "gra-7",
      'expected one that is deployed (gra-1, gra-2, gra-3), got "gra-7"',
    ],
  ] as const)("refuses %s", async (_what, listed, name, message) => {
    await start(listed);

    await expect(drain(name)).rejects.toThrow(message);
    expect(await fleet.calls()).toEqual([]);
  });

  it("refuses the only address of a name", async () => {
    await start(three);
    fleet.cloudflare.state.zones[0]!.records = fleet.cloudflare.state.zones[0]!.records.filter(
      ({ content }) => content === fleet.addressOf("gra-2"),
    );

    await expect(drain("gra-2")).rejects.toThrow(
      "gra-2: expected another address in DNS for technicia.exemple.fr, got none: visitors would reach nobody",
    );
    expect(await fleet.calls()).toEqual([]);
  });

  it("refuses when no other server may run what is there", async () => {
    await start(three);
    await fleet.change(({ services }) => {
      services.push({
        name: "technicia-odd",
        replicas: 1,
        constraints: ["node.labels.odd==1"],
        on: ["gra-2"],
      });
    });

    await expect(drain("gra-2")).rejects.toThrow("got none for technicia-odd");
  });

  it("asks another manager when the first one does not answer", async () => {
    await start(three);
    fleet.down.add("gra-1");

    await drain("gra-3");

    expect(await fleet.calls()).toEqual(["gra-2: docker node update --availability drain gra-3"]);
  });

  it("is done when the server is drained already", async () => {
    await start(three);
    await drain("gra-2");

    expect((await drain("gra-2")).text).toBe("gra-2 is drained already: nothing runs there");
  });
});

describe("undrain", () => {
  it("gives back its share of every service with two tasks, one after the other, and then its visitors", async () => {
    await start(twoAndWitness);
    await drain("gra-2");
    expect(await tasksOf("frontend")).toEqual(["gra-1", "gra-1"]);

    const { text } = await undrain("gra-2");

    expect((await fleet.calls()).slice(1)).toEqual([
      "gra-1: docker node update --availability active gra-2",
      "gra-1: docker service scale --detach technicia-frontend=3",
      "gra-1: docker service scale --detach technicia-frontend=2",
      "gra-1: docker service scale --detach technicia-vector-store=3",
      "gra-1: docker service scale --detach technicia-vector-store=2",
    ]);
    expect((await tasksOf("frontend")).toSorted()).toEqual(["gra-1", "gra-2"]);
    expect(text).toBe(
      "gra-2 works again\nruns there again: technicia-frontend, technicia-vector-store\nvisitors come to it again: 1 DNS record",
    );
    expect(
      fleet.ups.map(({ args }) => args.filter((word) => word.includes("dns") || word === "--refresh")),
    ).toEqual([
      ["--refresh", "urn:pulumi:test::technicia::cloudflare:index/dnsRecord:DnsRecord::gra-2/dns-apex-a"],
    ]);
  });

  it("refuses a server that does not answer the managers, and a witness", async () => {
    await start(twoAndWitness);
    await fleet.change(({ nodes }) => void (nodes[1]!.state = "down"));

    await expect(undrain("gra-2")).rejects.toThrow(
      "expected a server that answers the managers, got one that is down",
    );
    await expect(undrain("sbg-1")).rejects.toThrow("a witness votes and runs nothing");
    expect(await fleet.calls()).toEqual([]);
  });
});

describe("remove", () => {
  it("drains a worker, lets it leave by itself, and says what is left to type", async () => {
    await start(withWorker);
    await fleet.change(({ services }) => {
      services.find(({ name }) => name === "technicia-frontend")!.on = ["gra-1", "gra-4"];
    });

    const { text, exitCode } = await remove("gra-4");

    expect(exitCode).toBe(0);
    expect(await fleet.calls()).toEqual([
      "gra-1: docker node update --availability drain gra-4",
      "gra-4: docker swarm leave",
      "gra-1: docker node rm gra-4",
    ]);
    expect(await nodeOf("gra-4")).toBeUndefined();
    expect(await tasksOf("frontend")).not.toContain("gra-4");
    expect(text.split("\n")).toEqual([
      "gra-4 has left the Swarm of test: nothing runs there, and it does not vote",
      "now the settings, which still name it:",
      "  pulumi config rm --path 'technicia:servers[3]' --stack test",
      "  npx pulumi state unprotect 'urn:pulumi:test::technicia::technicia:ovh:Vps::gra-4/vps-server' --stack test --yes",
      "  npm run deploy -- test",
    ]);
    expect(await fleet.history("gra-1")).toEqual(["server: gra-4 retiré du Swarm"]);
  });

  it("takes a manager's vote before it leaves, because one that leaves with it stays in the count", async () => {
    await start(withWorker);
    // Two go from the settings, so that one votes; they leave one after the other.
    fleet.stack.settings = fleet.stack.settings.replace(
      "name: gra-3\n      role: manager",
      "name: gra-3\n      role: worker",
    );
    fleet.stack.settings = fleet.stack.settings.replace(
      "name: gra-2\n      role: manager",
      "name: gra-2\n      role: worker",
    );

    await remove("gra-3");

    expect(await fleet.calls()).toEqual([
      "gra-1: docker node update --availability drain gra-3",
      "gra-1: docker node demote gra-3",
      "gra-3: docker swarm leave",
      "gra-1: docker node rm gra-3",
    ]);
  });

  it.each([
    ["the server of the data", "gra-1", "expected a server without data"],
    [
      "one whose vote is needed",
      "gra-2",
      "expected 1, 3 or 5 servers that vote (manager and witness), got 2",
    ],
  ])("refuses %s, and changes nothing", async (_what, name, message) => {
    await start(three);

    await expect(remove(name)).rejects.toThrow(message);
    expect(await fleet.calls()).toEqual([]);
    expect(fleet.addresses).toHaveLength(3);
  });

  it("refuses one that is down, unless it is gone for good", async () => {
    await start(withWorker);
    await fleet.powerOff("gra-4");

    await expect(remove("gra-4")).rejects.toThrow(
      "remove a lost one with npm run servers -- test remove gra-4 --gone",
    );

    const { text } = await remove("gra-4", true);
    expect(await fleet.calls()).toEqual([
      "gra-1: docker node update --availability drain gra-4",
      "gra-1: docker node rm --force gra-4",
    ]);
    expect(text.split("\n").slice(1)).toEqual([
      "never start it again as it is: reinstall or cancel it in OVH's control panel",
      "now another machine under its name:",
      "  pulumi config set --path 'technicia:servers[3].serviceName' <name of the other machine> --stack test",
      "  npm run deploy -- test",
      "or no machine in its place:",
      "  pulumi config rm --path 'technicia:servers[3]' --stack test",
      expect.stringContaining("state unprotect") as string,
      "  npm run deploy -- test",
    ]);
    // What was on it, and nothing else: the services are the Swarm's.
    const left = JSON.parse(fleet.imported!) as { deployment: { resources: { urn: string }[] } };
    const names = left.deployment.resources.map(({ urn }) => urn.split("::").at(-1));
    expect(names).toContain("gra-3/host-sshd");
    expect(names).toContain("gra-4/vps-server");
    expect(names).toContain("technicia-n8n-service");
    expect(names).not.toContain("gra-4/host-sshd");
    expect(names).not.toContain("gra-4/host-connection");
  });

  it("forgets a lost one whose vote the settings still need, its DNS records too, and asks for another machine", async () => {
    await start(twoAndWitness);
    await fleet.powerOff("gra-2");

    const { text } = await remove("gra-2", true);

    expect((await fleet.calls()).slice(1)).toEqual([
      "gra-1: docker node demote gra-2",
      "gra-1: docker node rm --force gra-2",
    ]);
    expect(fleet.addresses).toEqual([fleet.addressOf("gra-1")]);
    expect(fleet.ups.map(({ args }) => args)).toEqual([
      [
        ...["refresh", "--yes", "--skip-preview", "--stack", "test", "--target"],
        "urn:pulumi:test::technicia::cloudflare:index/dnsRecord:DnsRecord::gra-2/dns-apex-a",
      ],
    ]);
    expect(text).not.toContain("or no machine in its place");
  });

  it("does not take a server for gone that is still reached", async () => {
    await start(withWorker);

    await expect(remove("gra-4", true)).rejects.toThrow(
      /expected a server that is down, got one that still answers:\n {2}this machine: it lets us in over ssh\n {2}the Swarm, asked at gra-1: ready/,
    );
    expect(await fleet.calls()).toEqual([]);
  });
});
