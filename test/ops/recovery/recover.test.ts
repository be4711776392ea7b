import { createHash } from "node:crypto";

import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { parse, stringify } from "yaml";

import { readFailure, type Pulumi } from "../../../ops/engine/cli.ts";
import { recoverStack, type RecoverRequest } from "../../../ops/recovery/recover.ts";
import type { Server } from "../../../ops/server/connection.ts";
import { three } from "../../support/servers.ts";
import { failing, TestStack } from "../deploy/test-stack.ts";

/** What the storage has of a set: restic names it by its content. */
const contentOf = (name: string) => `encrypted: ${name}`;
const idOf = (name: string) => createHash("sha256").update(contentOf(name)).digest("hex");
const SET = idOf("newest");
const counts = { n8n: { workflows: 3 } };
const answers: Readonly<Record<string, object>> = {
  plan: {
    ...{ id: SET, time: "2026-11-24T09:00:00Z", minutesLost: 61, release: null, indexedSince: {} },
    items: { n8n: { at: "2026-11-24T09:00:00Z", now: { workflows: 0 }, then: { workflows: 3 } } },
  },
  restore: { set: SET, only: ["n8n"], counts, stoppedSeconds: 9, took: 20 },
};

const OLDER = idOf("older");
const SHORT = SET.slice(0, 8);
const HOST_KEY = resource("technicia:host:HostKey", "host-key", { inputs: { serverId: "vps-old/1" } });
const EDGE = resource("technicia:ovh:EdgeFirewall", "edge-firewall-rules");

let stack: TestStack;
let words: string[];
let sets: readonly (readonly [id: string, storedAt: string])[];
/** What the state has besides images; undefined: there is no state. */
let resources: object[] | undefined;
/** What a refresh makes of it. */
let refreshed: object[] | undefined;
let calls: string[];
let isWrittenOver: boolean;
/** Titles of what the team was told. */
let told: string[];

beforeEach(async () => {
  isWrittenOver = false;
  observe = () => undefined;
  stack = await TestStack.open();
  stack.images = { gateway: "nginx:1.30.4-alpine@sha256:1" };
  const settings = parse(stack.settings) as { config: Record<string, unknown> };
  settings.config["technicia:backup"] = {
    bucket: { address: "https://s3.example.org", region: "eu-1", name: "ours" },
  };
  settings.config["technicia:backupReaderKey"] = { secure: "v1:cipher" };
  stack.settings = stringify(settings);
  [words, calls, told] = [[], [], []];
  sets = [
    [OLDER, "2026-11-24T08:00:00.000Z"],
    [SET, "2026-11-24T09:00:00.000Z"],
  ];
  resources = [];
  refreshed = undefined;
});

function resource(type: string, name: string, more: object = {}) {
  return { urn: `urn:pulumi:test::technicia::${type}::${name}`, type, custom: true, ...more };
}

const server = (outputs: object) => resource("technicia:ovh:Vps", "vps-server", { outputs });

/** Sees what the engine is asked for. */
let observe: (args: readonly string[]) => void;

/** The stack's own, with the state that the test wants. */
const pulumi: Pulumi = async (call) => {
  const { args, input = "" } = call;
  const command = args.slice(0, 2).join(" ");
  observe(args);
  if (args[0] === "refresh") {
    resources = refreshed ?? resources;
    return "";
  }
  if (args[0] === "whoami") return JSON.stringify({ user: "alice", url: "file:///home/alice/state" });
  if (!["stack init", "stack import", "stack export"].includes(command)) return stack.operator.pulumi(call);
  if (command === "stack export" && resources === undefined)
    throw readFailure(args, { stdout: "", stderr: "error: no stack named 'test' found" });
  const whole = JSON.parse(await stack.operator.pulumi({ args: ["stack", "export"] })) as {
    deployment: { resources: object[] };
  };
  if (command === "stack init") resources = [];
  if (command === "stack import") {
    const put = JSON.parse(input) as { deployment: { resources: { urn: string }[] } };
    resources = put.deployment.resources.filter(({ urn }) => !urn.includes("technicia:host:Image"));
  }
  if (command !== "stack export") calls.push(args.join(" "));
  const images = resources?.length === 0 && refreshed?.length === 0 ? [] : whole.deployment.resources;
  return JSON.stringify({ deployment: { resources: [...images, ...(resources ?? [])] } });
};
const names = () => resources?.map((one) => (one as { urn: string }).urn.split("::").at(-1));

/** The storage, as the reader's key lists it. */
const list: typeof fetch = (input) => {
  const url = new URL(input);
  const object = /\/snapshots\/(.+)$/.exec(url.pathname)?.[1];
  if (object !== undefined) {
    const name = ["newest", "older"].find((one) => idOf(one) === object);
    return Promise.resolve(new Response(isWrittenOver ? "x" : contentOf(name ?? "")));
  }
  expect(`${url.host}${url.pathname}?${url.searchParams.get("prefix")}`).toBe(
    "s3.example.org/ours?test/snapshots/",
  );
  const found = sets.map(
    ([id, at]) =>
      `<Contents><Key>test/snapshots/${id}</Key><LastModified>${at}</LastModified><Size>300</Size></Contents>`,
  );
  return Promise.resolve(new Response(`<ListBucketResult>${found.join("")}</ListBucketResult>`));
};
afterEach(() => stack[Symbol.asyncDispose]());

function recover(changes: Partial<RecoverRequest> = {}) {
  const server: Server = {
    ...stack.server,
    run: (command) => {
      if (command.purpose.endsWith("of the monitoring")) {
        const [, title] = /\\"title\\":\\"(.+?)\\"/.exec(command.stdin ?? "") ?? [];
        if (title !== undefined) told.push(title);
        return Promise.resolve({ stdout: '{"silenceID":"1"}\n200 \u001e', stderr: "" });
      }
      if (!command.script.includes("systemd-run")) return stack.server.run(command);
      const [word = "", ...rest] = (command.variables?.["WORDS"] ?? "").split("\n");
      words.push([word, ...rest].join(" "));
      stack.parts.push(word);
      return Promise.resolve({ stdout: JSON.stringify(answers[word]), stderr: "" });
    },
  };
  const operator = { ...stack.operator, pulumi, openServer: () => server };
  const world = { ...operator, fetch: list, variables: {} };
  const request = { stack: "test", set: undefined, stateLost: false, yes: false, ...changes };
  return recoverStack(request, { operator, world });
}

describe("npm run recover", () => {
  it("plans, asks once, sets the server up, restores the newest set and verifies, and times each step", async () => {
    const { text, exitCode } = await recover();

    expect(exitCode).toBe(0);
    expect(stack.parts).toEqual(["plan", "up", "plan", "restore", "verify"]);
    expect(stack.asked).toEqual([
      `set test up as shown, and overwrite its data with the set ${SHORT} of 2026-11-24 09:00:00 UTC, 60 minutes old?`,
    ]);
    expect(words).toEqual([`plan --set ${SET}`, `restore --set ${SET}`]);
    expect(text).toContain(`restored the set ${SHORT}`);
    expect(text).toMatch(/^deploy +60\.0$/m);
    expect(text).toMatch(/^together +90\.0$/m);
  });

  it("tells the team once the server is there, of the restore, and how it ended", async () => {
    const settings = parse(stack.settings) as { config: Record<string, unknown> };
    settings.config["technicia:monitoring"] = { enabled: true };
    stack.settings = stringify(settings);
    await recover({ yes: true });
    stack.verify = () => Promise.resolve([failing]);
    await recover({ yes: true });

    const restored = ["Restauration des données : commencée", "Restauration des données : terminée"];
    expect(told).toEqual([
      ...["Remise en état du serveur : commencée", ...restored, "Remise en état du serveur : terminée"],
      ...["Remise en état du serveur : commencée", ...restored, "Remise en état du serveur : en échec"],
    ]);
  });

  it("restores the set that was asked for", async () => {
    await recover({ set: OLDER.slice(0, 8), yes: true });

    expect(stack.asked).toEqual([]);
    expect(words[0]).toBe(`plan --set ${OLDER}`);
  });

  it.each([
    ["there is no set", undefined, [], /^https:\/\/s3\.example\.org\/ours\/test: expected a set of backups/],
    ["there is no such set", "00000000", [[SET, "2026-11-24T09:00:00.000Z"]], /^--set: expected the beg/],
    [
      "several sets begin so",
      SHORT,
      [
        [SET, "2026-11-24T09:00:00.000Z"],
        [SET.slice(0, -1), "2026-11-24T09:00:00.000Z"],
      ],
      /^--set: expected more digits, got [0-9a-f]{8}, with which 2 sets begin/,
    ],
  ] as const)("changes nothing where %s", async (_what, set, found, message) => {
    sets = found;

    await expect(recover({ set, yes: true })).rejects.toThrow(message);
    expect(stack.parts).toEqual([]);
  });

  it("changes nothing where somebody has written over the set, and says what brings it back", async () => {
    isWrittenOver = true;

    await expect(recover({ yes: true })).rejects.toThrow(
      /got another content; somebody has written over it, which npm run backups -- test --undelete takes back, or has added it: --undelete --as-of <time>$/,
    );
    expect(stack.parts).toEqual([]);
  });

  it("changes nothing that nobody has agreed to", async () => {
    stack.confirms = false;

    expect(await recover()).toEqual({ text: "nothing was changed on the server", exitCode: 1 });
    expect(stack.parts).toEqual(["plan"]);
  });

  it("stops before the restore when the server cannot be set up, and says how to go on", async () => {
    stack.up = () => Promise.resolve({ error: "ssh: no answer", changed: false });

    await expect(recover()).rejects.toThrow(
      /ssh: no answer[^]*npm run recover -- test again, which goes on from here$/,
    );
    expect(words).toEqual([]);
  });

  it("stops before anything when the plan fails", async () => {
    stack.planFailure = "the price is higher than the accepted one";

    await expect(recover()).rejects.toThrow(/^the price is higher[^]*npm run recover -- test again$/);
    expect(stack.ups).toEqual([]);
  });

  it("says what to do where an earlier installation is in the way", async () => {
    stack.up = () => Promise.resolve({ error: "network technicia-edge already exists", changed: false });

    await expect(recover()).rejects.toThrow(/earlier installation: reinstall it in OVH's control panel/);
  });

  it("ends with the failure of the verification", async () => {
    stack.verify = () => Promise.resolve([failing]);

    expect((await recover()).exitCode).not.toBe(0);
  });
});

describe("npm run recover, with a server that is gone for good", () => {
  function orderInstead(again: string | undefined): void {
    const settings = parse(stack.settings) as { config: { "technicia:server": Record<string, unknown> } };
    const wanted = settings.config["technicia:server"];
    delete wanted["serviceName"];
    wanted["order"] = { subsidiary: "FR", maxMonthlyPriceEur: 15, again };
    stack.settings = stringify(settings);
  }

  it("forgets an ordered server that OVH no longer has, with its firewall and everything on it", async () => {
    orderInstead("vps-0a1b2c3d.vps.ovh.net");
    resources = [server({ serviceName: "vps-old", serverId: "vps-old/1" }), HOST_KEY, EDGE];
    refreshed = [
      server({ serviceName: "vps-old", serverId: "vps-old/1", state: "gone" }),
      ...[HOST_KEY, EDGE, resource("docker:index/volume:Volume", "data", { protect: true })],
    ];

    expect((await recover({ yes: true })).exitCode).toBe(0);
    expect(names()).toEqual([]);
    expect(stack.printed).toContain("OVH no longer has vps-old: removed 4 resources from the state");
  });

  it("orders none in its place before the settings say so", async () => {
    orderInstead(undefined);

    await expect(recover({ yes: true })).rejects.toThrow(
      /^server\.order\.again: expected the name of the lost server before another one is ordered, got nothing/,
    );
    expect(stack.parts).toEqual([]);
  });

  it("goes on with what an interrupted run has made", async () => {
    stack.pending = { adopted: ["technicia-edge"], forgotten: [], refreshed: [] };

    await recover({ yes: true });

    expect(stack.printed).toContain("goes on with technicia-edge");
  });

  it("forgets an adopted server that the refresh did not find", async () => {
    resources = [server({ serviceName: "vps-1a2b3c4d.vps.ovh.net" }), HOST_KEY, EDGE];
    refreshed = [HOST_KEY, EDGE];

    await recover({ yes: true });

    expect(names()).toEqual([]);
  });

  it("forgets a server in whose place the settings name another one, and leaves its firewall to the update", async () => {
    resources = [server({ serviceName: "vps-old" }), HOST_KEY, EDGE];

    await recover({ yes: true });

    expect(names()).toEqual(["edge-firewall-rules"]);
    expect(stack.printed).toContain(
      "vps-1a2b3c4d.vps.ovh.net takes the place of vps-old, which stays as it is at OVH: removed 2 resources from the state",
    );
  });

  it("of several, forgets the one of the data alone, which may be any of them, and reads the DNS records again first", async () => {
    const settings = parse(stack.settings) as { config: Record<string, unknown> };
    delete (settings.config["technicia:server"] as Record<string, unknown>)["serviceName"];
    const [first, second, third] = three;
    settings.config["technicia:servers"] = [
      { ...first, labels: ["gateway"] },
      { ...second, labels: first!.labels, serviceName: "vps-new.vps.ovh.net" },
      third,
    ];
    stack.settings = stringify(settings);
    const record = resource("cloudflare:index/dnsRecord:DnsRecord", "gra-2/dns-apex-a", {
      inputs: { name: "technicia.exemple.fr", type: "A", content: "203.0.113.11" },
    });
    resources = [
      server({ serviceName: "vps-1a2b3c4d.vps.ovh.net" }),
      resource("technicia:ovh:Vps", "gra-2/vps-server", { outputs: { serviceName: "vps-lost" } }),
      ...[HOST_KEY, record, resource("docker:index/service:Service", "technicia-n8n-service")],
      resource("technicia:host:HostKey", "gra-2/host-key", { inputs: { serverId: "vps-lost/1" } }),
    ];
    const refreshes: string[] = [];
    observe = (args) => {
      if (args[0] === "refresh") refreshes.push(args.at(-1)!);
    };

    await recover({ yes: true });

    expect(refreshes.map((urn) => urn.split("::").at(-1))).toEqual(["gra-2/dns-apex-a", "gra-2/vps-server"]);
    expect(names()).toEqual(["vps-server", "host-key", "gra-2/dns-apex-a", "technicia-n8n-service"]);
    expect(stack.printed).toContain(
      "vps-new.vps.ovh.net takes the place of vps-lost, which stays as it is at OVH: removed 2 resources from the state",
    );
  });

  it("of several, names the entry of the list whose server may be ordered again", async () => {
    const settings = parse(stack.settings) as { config: Record<string, unknown> };
    delete (settings.config["technicia:server"] as Record<string, unknown>)["serviceName"];
    const order = { subsidiary: "FR", maxMonthlyPriceEur: 15 };
    const [first, second, third] = three;
    settings.config["technicia:servers"] = [{ ...first, serviceName: undefined, order }, second, third];
    stack.settings = stringify(settings);
    resources = [];

    await expect(recover({ yes: true })).rejects.toThrow(
      /^technicia:servers\[0\]\.order\.again: expected the name .* pulumi config set --path 'technicia:servers\[0\]\.serviceName'/,
    );
  });

  it("keeps a server that is as it was", async () => {
    resources = [
      server({ serviceName: "vps-1a2b3c4d.vps.ovh.net", serverId: "vps-old/1", state: "running" }),
      HOST_KEY,
    ];

    await recover({ yes: true });

    expect(names()).toEqual(["vps-server", "host-key"]);
    expect(calls).toEqual([]);
  });
});

describe("npm run recover, without a state", () => {
  beforeEach(() => {
    stack.images = {};
    resources = undefined;
  });

  it("asks whether the state is lost, and changes nothing where it is not", async () => {
    stack.confirms = false;

    expect(await recover()).toEqual({ text: "nothing was changed", exitCode: 1 });
    expect(stack.asked).toEqual([
      "file:///home/alice/state has no state of test: is it lost, and is a new one to be made of what the vendors have?",
    ]);
    expect(calls).toEqual([]);
  });

  it("does not take --yes for a lost state, because another place may have it", async () => {
    await expect(recover({ yes: true })).rejects.toThrow(
      /^test: expected a state at file:\/\/\/home\/alice\/state, got none; run pulumi login .* add --state-lost$/,
    );
    expect(calls).toEqual([]);
  });
});
