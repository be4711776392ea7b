import { describe, expect, it } from "vitest";

import { gatewaysOf, homeOf, serversWith, tunnelAddress } from "../../stacks/servers.ts";
import { change, environmentWith, problemsOf, type Settings, validSettings } from "../support/fixtures.ts";
import { listed, three, twoAndWitness } from "../support/servers.ts";

/** The problems of valid settings with this list of servers and these values, one line each. */
function problems(servers: unknown, changes: Readonly<Record<string, unknown>> = {}): string[] {
  const settings: Settings = validSettings();
  change(settings, "server.serviceName", undefined);
  settings["servers"] = servers;
  for (const [path, value] of Object.entries(changes)) change(settings, path, value);
  return problemsOf(settings);
}

const DATA = ["qdrant", "n8n", "postgres", "monitoring"];

/** The list with other values in one of its entries. */
function withEntry(index: number, values: Settings, servers: readonly Settings[] = three): Settings[] {
  return servers.map((server, at) => (at === index ? { ...server, ...values } : server));
}

describe("the list of servers", () => {
  it("means with one entry what server.serviceName means, but for the name of the server", () => {
    const [only] = three;
    const alone = environmentWith(
      listed([{ name: only!.name, role: "manager", serviceName: "vps-1a2b3c4d.vps.ovh.net" }]),
    );
    const { servers: oneOfList, ...rest } = alone;
    const { servers: oneOfMap, ...usual } = environmentWith();

    expect(rest).toEqual(usual);
    expect(oneOfMap).toHaveLength(1);
    expect(oneOfList).toEqual([{ ...oneOfMap[0], name: only!.name }]);
  });

  it("means with one entry that is to be ordered what server.order means", () => {
    const order = { subsidiary: "FR", maxMonthlyPriceEur: 15 };
    const ofList = environmentWith(listed([{ name: "a", role: "manager", order }]));

    expect(ofList.server).toEqual(
      environmentWith({ "server.serviceName": undefined, "server.order": order }).server,
    );
  });

  it.each([
    ["three equal servers", three],
    ["two servers and a witness elsewhere", twoAndWitness],
    [
      "workers beside one manager",
      [three[0], { ...three[1], role: "worker" }, { ...three[2], role: "worker" }],
    ],
  ])("takes %s", (_shape, servers) => {
    expect(problems(servers)).toEqual([]);
  });

  it("says where data and visitors are, and gives each server its own size", () => {
    const environment = environmentWith(listed(twoAndWitness));

    expect(homeOf(environment).name).toBe("gra-1");
    expect(serversWith(environment, "gateway").map(({ name }) => name)).toEqual(["gra-1", "gra-2"]);
    expect(environment.servers.map(({ memoryGib, datacentre }) => [memoryGib, datacentre])).toEqual([
      [8, "GRA"],
      [8, "GRA"],
      [2, "SBG"],
    ]);
  });

  it("has the server of the data order the certificate where visitors arrive there, or else the first where they do", () => {
    const names = (servers: readonly Settings[]) =>
      gatewaysOf(environmentWith(listed(servers as never))).map(({ name }) => name);
    const [first, second, third] = three;

    expect(names(three)).toEqual(["gra-1", "gra-2", "gra-3"]);
    expect(names([second!, third!, first!])).toEqual(["gra-1", "gra-2", "gra-3"]);
    expect(names(withEntry(0, { labels: DATA }))).toEqual(["gra-2", "gra-3"]);
    expect(gatewaysOf(environmentWith()).map(({ name }) => name)).toEqual(["main"]);
  });

  it("fails when server names a server as well", () => {
    expect(problems(three, { "server.serviceName": "vps-1a2b3c4d.vps.ovh.net" })).toEqual([
      "technicia:server.serviceName: expected nothing, because servers is a list of all servers, got a value; move it into the list, and remove it here with pulumi config rm --path technicia:server.serviceName --stack test",
    ]);
  });

  it.each([
    ["neither", {}, "neither"],
    [
      "both",
      { serviceName: "vps-00000001.vps.ovh.net", order: { subsidiary: "FR", maxMonthlyPriceEur: 9 } },
      "both",
    ],
  ])("fails when an entry has %s of name and order", (_what, source, found) => {
    const nothing = { serviceName: undefined, order: undefined };

    expect(problems(withEntry(1, { ...nothing, ...source }))).toEqual([
      expect.stringContaining(
        `technicia:servers[1]: expected either serviceName (a server you have) or order (a server to buy), got ${found}; `,
      ) as string,
    ]);
  });

  it("fails when a name or a server is there twice", () => {
    const [first] = three;
    const again = withEntry(2, { name: first!.name, serviceName: first!.serviceName });

    expect(problems(again)).toEqual(
      ["name", "serviceName"].map(
        (key) =>
          expect.stringContaining(
            `technicia:servers[2].${key}: expected another server than those before it, got "${String(first![key as "name"])}" again; `,
          ) as string,
      ),
    );
  });

  it("fails when a role is unknown", () => {
    expect(problems(withEntry(1, { role: "master" }))).toEqual([
      'technicia:servers[1].role: expected "manager", "worker" or "witness", got "master"; set it with pulumi config set --path \'technicia:servers[1].role\' <value> --stack test',
    ]);
  });

  it("fails when nobody manages", () => {
    expect(problems(withEntry(0, { role: "worker" }, three.slice(0, 1)))).toEqual([
      expect.stringContaining(
        "technicia:servers: expected at least one server with the role manager, got none",
      ) as string,
    ]);
  });

  it.each([
    [2, "more than half of them must agree, so 2 survive no more losses than 1, and are lost more often"],
    [4, "more than half of them must agree, so 4 survive no more losses than 3, and are lost more often"],
    [6, "more of them only make each decision slower"],
    [7, "more of them only make each decision slower"],
  ])("fails when %i servers vote", (count, why) => {
    const servers = Array.from({ length: count }, (_, index) => ({
      ...three[index === 0 ? 0 : 1],
      name: `gra-${index + 1}`,
      serviceName: `vps-0000000${index}.vps.ovh.net`,
    }));

    expect(problems(servers)).toEqual([
      expect.stringContaining(
        `technicia:servers: expected 1, 3 or 5 servers that vote (manager and witness), got ${count}; ${why}; `,
      ) as string,
    ]);
  });

  it("fails when a second server is a witness, because it counts as a vote", () => {
    expect(problems([three[0], twoAndWitness[2]])).toEqual([
      expect.stringContaining("got 2; more than half of them must agree") as string,
    ]);
  });

  it("fails when there are two witnesses", () => {
    expect(problems(withEntry(1, { role: "witness", labels: [] }, twoAndWitness))).toEqual([
      expect.stringContaining(
        "technicia:servers[2].role: expected at most one witness, got another; ",
      ) as string,
    ]);
  });

  it("fails when a server that runs services is in another region, and takes another datacentre of the same", () => {
    expect(problems(withEntry(1, { datacentre: "SBG" }))).toEqual([
      expect.stringContaining(
        'technicia:servers[1].datacentre: expected the region of the others (server.datacentre "GRA"), because services on different servers wait for each other, got "SBG"; ',
      ) as string,
    ]);
    expect(problems(withEntry(1, { datacentre: "GRA-A" }))).toEqual([]);
  });

  it("fails when a server has another release", () => {
    expect(problems(withEntry(2, { image: "Debian 13" }))).toEqual([
      expect.stringContaining(
        'technicia:servers[2].image: expected the release of the others (server.image "Debian 12"), because their Dockers and their programs differ, got "Debian 13"; ',
      ) as string,
    ]);
  });

  it("fails when a witness would take visitors or keep data", () => {
    expect(problems(withEntry(2, { labels: ["gateway"] }, twoAndWitness))).toEqual([
      expect.stringContaining(
        "technicia:servers[2].labels: expected no visitors, because a witness only votes, got gateway; ",
      ) as string,
    ]);
  });

  it("fails when data has two servers", () => {
    expect(problems(withEntry(1, { labels: ["gateway", "qdrant"] }))).toContainEqual(
      expect.stringContaining(
        "technicia:servers[1].labels: expected qdrant on one server, because its data is on one disk, got it again; remove it with pulumi config rm --path 'technicia:servers[1].labels[1]' --stack test",
      ),
    );
  });

  it("fails when data that the environment has is on no server, and asks for none that it has not", () => {
    const without = (label: string) => DATA.filter((one) => one !== label);
    const labelled = (labels: readonly string[]) => withEntry(0, { labels: ["gateway", ...labels] });

    expect(problems(labelled(without("qdrant")))).toEqual([
      "technicia:servers: expected a server with the label qdrant, where its data is, got none; add it with pulumi config set --path 'technicia:servers[0].labels[4]' qdrant --stack test",
    ]);
    expect(problems(labelled(without("postgres")))).toEqual([]);
    expect(problems(labelled(without("postgres")), { "services.n8n.database": "postgres" })).toEqual([
      expect.stringContaining("expected a server with the label postgres") as string,
    ]);
  });

  it("fails when data is apart, because a set of backups takes it from one server", () => {
    const servers = withEntry(
      1,
      { labels: ["qdrant"] },
      withEntry(0, { labels: ["gateway", "n8n", "monitoring"] }),
    );

    expect(problems(servers)).toEqual([
      "technicia:servers[1].labels: expected the data on one server (servers[0] has n8n), because a set of backups takes all of it there, got qdrant; move the label there",
    ]);
  });

  it("fails when the data is on a worker", () => {
    const servers = [
      { ...three[1], labels: ["gateway"] },
      { ...three[0], role: "worker" },
    ];

    expect(problems(servers)).toEqual([
      expect.stringContaining(
        'technicia:servers[1].role: expected manager, because the programs beside the data stop and start services, got "worker"; ',
      ) as string,
    ]);
  });

  it("fails when visitors arrive nowhere", () => {
    const servers = three.map(({ labels, ...server }) => ({
      ...server,
      labels: labels.filter((label) => label !== "gateway"),
    }));

    expect(problems(servers)).toEqual([
      "technicia:servers: expected a server with the label gateway, where visitors arrive, got none; add it with pulumi config set --path 'technicia:servers[0].labels[4]' gateway --stack test",
    ]);
  });

  it("fails when a server is too small for what runs on it, and asks nothing of a witness", () => {
    const found = problems(withEntry(1, { memoryGib: 1 }));

    expect(found).toEqual([
      "technicia:services: expected memory limits of at most 410 MiB in all (servers[1].memoryGib 1 less 614 MiB for the system), got 1632 MiB (vectorStore 384, gateway 96, documentProcessor 384, visionClassifier 384, frontend 384); lower them by 1222 MiB or raise servers[1].memoryGib",
    ]);
    expect(problems(withEntry(2, { memoryGib: 1, vcores: 1 }, twoAndWitness))).toEqual([]);
  });

  it("leaves each server's tunnel a rule of the edge firewall", () => {
    const v4 = Array.from({ length: 12 }, (_, index) => `198.51.100.${index}/32`);

    expect(problems(three, { "ssh.adminCidrs.v4": v4.slice(0, 11) })).toEqual([]);
    expect(problems(three, { "ssh.adminCidrs.v4": v4 })).toEqual([
      expect.stringContaining(
        "expected at most 11 ranges, because OVHcloud's edge firewall holds 20 rules, and 2 for the other servers, got 12; ",
      ) as string,
    ]);
  });

  it.each([
    ["203.0.113.0/24", "expected a private IPv4 range such as 10.86.0.0/16"],
    ["10.86.0.0/28", "expected a private IPv4 range such as 10.86.0.0/16, no narrower than /24"],
    ["10.86.0.1/24", 'expected the first address of the range, "10.86.0.0/24"'],
    ["172.16.0.0/12", "expected a range without 172.30.0.0/15"],
  ])("fails when the tunnel's range is %s", (cidr, expected) => {
    expect(problems(three, { wireguard: { cidr } })).toEqual([
      expect.stringContaining(`technicia:wireguard.cidr: ${expected}`) as string,
    ]);
  });

  it("fails when two names are the same address of the tunnel", () => {
    const wireguard = { cidr: "10.86.0.0/24" };
    const names = Array.from({ length: 300 }, (_, index) => `s${index}`);
    const first = names.find((name) =>
      names.some(
        (other) => other < name && tunnelAddress(wireguard, other) === tunnelAddress(wireguard, name),
      ),
    )!;
    const second = names.find(
      (name) => name < first && tunnelAddress(wireguard, name) === tunnelAddress(wireguard, first),
    )!;

    expect(problems(withEntry(1, { name: first }, withEntry(0, { name: second })), { wireguard })).toEqual([
      expect.stringContaining(
        `technicia:servers[1].name: expected another name, because "${first}"`,
      ) as string,
    ]);
  });
});

describe("a server's address in the tunnel", () => {
  it("is one of the range that a host may have, and follows from the name alone", () => {
    for (const name of ["a", "gra-1", "sbg-1", "z9"]) {
      const address = tunnelAddress({ cidr: "10.86.4.0/24" }, name);
      const last = Number(address.split(".")[3]);

      expect(address).toMatch(/^10\.86\.4\.\d+$/);
      expect(last).toBeGreaterThanOrEqual(1);
      expect(last).toBeLessThanOrEqual(254);
    }
    expect(tunnelAddress({ cidr: "10.86.0.0/16" }, "gra-1")).not.toBe(
      tunnelAddress({ cidr: "10.86.0.0/16" }, "gra-2"),
    );
  });
});
