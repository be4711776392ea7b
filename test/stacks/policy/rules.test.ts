import { Storage } from "@ovhcloud/pulumi-ovh/cloudproject/storage.js";
import * as docker from "@pulumi/docker";
import * as pulumi from "@pulumi/pulumi";
import { describe, expect, it } from "vitest";

import * as technicia from "../../../provider/resources.ts";
import type { Environment } from "../../../stacks/environment.ts";
import { exceptedRules } from "../../../stacks/policy-schema.ts";
import {
  Sealed,
  UNKNOWN,
  type Facts,
  type Inputs,
  type Resource,
  type Rule,
} from "../../../stacks/policy/rule.ts";
import { RULES, violations, type Violation } from "../../../stacks/policy/rules.ts";
import {
  register,
  Sealed as Recorded,
  UNKNOWN as UNKNOWN_TEXT,
  type Registration,
} from "../../support/engine.ts";
import { environmentWith } from "../../support/fixtures.ts";
import { listed, three, twoAndWitness } from "../../support/servers.ts";
import { deploy, everything, least, secretsOf, usual, type Variant } from "../../support/technicia.ts";
import { CANARY, CASES, HOST_FIREWALLS } from "./violations.ts";

const NOW = new Date("2026-12-01T12:00:00Z");

function asAsked({ urn, type, name, inputs, protect, deleteBeforeReplace }: Registration): Resource {
  return { urn, type, name, protect, deleteBeforeReplace, inputs: convert(inputs) as Inputs };
}

function convert(value: unknown): unknown {
  if (value === UNKNOWN_TEXT) return UNKNOWN;
  if (value instanceof Recorded) return new Sealed(convert(value.value));
  if (Array.isArray(value)) return value.map(convert);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, convert(inner)]));
}

const STACK: Resource = {
  ...{ urn: "stack", type: "pulumi:pulumi:Stack", name: "technicia-test", inputs: {} },
  ...{ protect: false, deleteBeforeReplace: false },
};

const factsWith = (settings: Readonly<Record<string, unknown>> = {}): Facts => ({
  environment: environmentWith(settings),
  secrets: [["qdrantApiKey", CANARY]],
  now: NOW,
});

interface Found {
  readonly rule: string;
  readonly level: string;
  readonly text: string;
}

function judge(resources: readonly Resource[], facts: Facts): Found[] {
  const together = RULES.flatMap((rule) => named(rule, violations(rule, resources, facts)));
  return [...judgeEach(resources, facts), ...together];
}

/** Without what is missing in the program as a whole. */
function judgeEach(resources: readonly Resource[], facts: Facts): Found[] {
  return RULES.flatMap((rule) =>
    named(
      rule,
      resources.flatMap((one) => violations(rule, one, facts)),
    ),
  );
}

function named({ name }: Rule, found: readonly Violation[]): Found[] {
  return found.map((violation) => ({ rule: name, ...violation }));
}

async function resourcesOf(create: (name: string) => pulumi.Resource, name = "one"): Promise<Resource[]> {
  const { registrations } = await register(() => void create(name));
  return registrations.map(asAsked);
}

async function deployed(variant: Variant, preview: boolean): Promise<Resource[]> {
  const { registrations } = await deploy(variant, { preview });
  return [STACK, ...registrations.map(asAsked)];
}

const everySecret = (variant: Variant): Facts => ({
  environment: environmentWith(variant.settings),
  secrets: secretsOf(variant),
  now: NOW,
});

describe("the rules", () => {
  it.each([
    ["everything that there is, in an update", everything, false],
    ["everything that there is, in a first preview", everything, true],
    ["three servers", { settings: { ...everything.settings, ...listed(three) } }, false],
    [
      "two servers and a witness, in a first preview",
      { settings: { ...everything.settings, ...listed(twoAndWitness) } },
      true,
    ],
    ["only what every environment has", least, false],
  ] as const)("find nothing to refuse in our program with %s", async (_, variant, preview) => {
    const found = judge(await deployed(variant, preview), everySecret(variant));

    expect(found.filter(({ level }) => level === "mandatory")).toEqual([]);
  });

  it("refuse our program where it protects data without backups and monitoring", async () => {
    const settings = { ...usual.settings, monitoring: { enabled: false } };

    const found = judge(await deployed({ settings }, false), everySecret({ settings }));

    expect(found.map(({ rule }) => rule)).toEqual(["backups-enabled", "monitoring-enabled"]);
  });

  it.each(CASES.map((one) => [one.rule, one.what, one] as const))(
    "%s finds %s",
    async (rule, _, { at, create, name }) => {
      const found = judgeEach(await resourcesOf(create, name), factsWith());

      // Each program breaks one rule, so nothing else refuses it.
      expect(found.map((one) => one.rule)).toEqual([rule]);
      expect(found[0]?.level).toBe(rule === "sizes" ? "advisory" : "mandatory");
      expect(found[0]?.text.slice(0, at.length + 2)).toBe(`${at}: `);
      expect(found[0]?.text).toMatch(/: expected .+; .+/);
    },
  );

  it("ssh-not-open finds such a table on every server of a list", async () => {
    const [, create] = HOST_FIREWALLS[0]!;
    const found = judgeEach(await resourcesOf(create, "gra-2/host-firewall-table"), factsWith());

    expect(found.map(({ rule }) => rule)).toEqual(["ssh-not-open"]);
  });

  it("no-replacement finds a server that is not in the list", async () => {
    const several = await deployed({ settings: { ...everything.settings, ...listed(three) } }, false);
    const found = judgeEach(several, factsWith());

    const servers = found.filter(({ rule }) => rule === "no-replacement");
    expect(servers.map(({ text }) => text)).toEqual(
      three
        .slice(1)
        .map(
          () =>
            "name of the resource: expected vps-server, because a server of another name is another server; rename it back",
        ),
    );
  });

  it("published-ports finds the tunnel's port where there is one server, and where it is open to a network", async () => {
    const several = { settings: { ...everything.settings, ...listed(three) } };
    const facts = everySecret(several);
    const resources = await deployed(several, false);
    const open = resources.map((resource) =>
      resource.name === "edge-firewall-rules"
        ? {
            ...resource,
            inputs: JSON.parse(JSON.stringify(resource.inputs).replaceAll("/32", "/8")) as object,
          }
        : resource,
    );
    const found = (judged: readonly Resource[], by: Facts) =>
      judgeEach(judged, by).filter(({ rule }) => rule === "published-ports").length;

    expect(found(resources, facts)).toBe(0);
    expect(found(open as Resource[], facts)).toBe(2);
    // At the edge two for each server, and the port in the tunnel at which the stores take what servers send.
    expect(found(resources, factsWith())).toBe(7);
  });

  it.each(HOST_FIREWALLS)("ssh-not-open finds a table of the host that admits ssh %s", async (_, create) => {
    const facts = factsWith({ "ssh.nextPort": 2222 });
    const found = judgeEach(await resourcesOf(create, "host-firewall-table"), facts);

    expect(found.map(({ rule, text }) => [rule, text.split(":")[0]])).toEqual([["ssh-not-open", "content"]]);
  });

  it.each([
    ["backups-enabled", "backup-schedule", "the timer of the backups"],
    ["monitoring-enabled", "monitoring-collect", "the unit that measures"],
  ])("%s finds a program without %s", async (rule, unit) => {
    const resources = await deployed(everything, false);
    const facts = everySecret(everything);

    const without = judge(
      resources.filter(({ name }) => name !== unit),
      facts,
    );
    const stopped = judge(
      resources.map((one) =>
        one.name === unit ? { ...one, inputs: { ...one.inputs, enabled: false } } : one,
      ),
      facts,
    );

    expect([without, stopped].map((found) => found.map((one) => one.rule))).toEqual([[rule], [rule]]);
  });

  it("have a program that breaks each of them", () => {
    const elsewhere = ["backups-enabled", "monitoring-enabled", "exceptions"];
    const tried = new Set([...CASES.map(({ rule }) => rule), ...elsewhere]);

    expect(RULES.map(({ name }) => name).filter((name) => !tried.has(name))).toEqual([]);
  });

  it("print no value", async () => {
    const texts = [];
    for (const { create, name } of CASES) {
      const resources = await resourcesOf(create, name);
      const values = resources
        .flatMap(({ inputs }) => valuesOf(inputs))
        .filter(
          // A word of Docker's that a rule expects is no secret.
          (value) => value.length > 7 && value !== "stop-first",
        );
      texts.push(...judgeEach(resources, factsWith()).map(({ text }) => [text, values] as const));
    }

    expect(texts.filter(([text, values]) => values.some((value) => text.includes(value)))).toEqual([]);
  });

  it("say nothing of values that only an update knows", async () => {
    const unknown = pulumi.output(UNKNOWN_TEXT);
    const program = (name: string) => {
      new docker.Volume(`${name}-volume`, { name: unknown }, { protect: true });
      new technicia.Image(`${name}-image`, { name: unknown });
      new technicia.EdgeFirewall(`${name}-edge`, {
        ip: unknown,
        rules: [{ sequence: 1, action: "permit", protocol: "tcp", port: unknown as never, source: unknown }],
        guard: { seconds: 90, sshPort: 22, addressService: "none" },
      });
      new Storage(
        `${name}-bucket`,
        {
          serviceName: "p",
          regionName: "RBX",
          versioning: { status: unknown },
          objectLock: { status: unknown, rule: { period: unknown } },
        },
        { protect: true },
      );
      return new docker.Service(name, { name: unknown, taskSpec: unknown as never });
    };

    expect(judgeEach(await resourcesOf(program), factsWith())).toEqual([]);
  });
});

function valuesOf(value: unknown): string[] {
  if (typeof value === "string") return [value];
  if (value instanceof Sealed) return valuesOf(value.value);
  return typeof value === "object" && value !== null ? Object.values(value).flatMap(valuesOf) : [];
}

describe("an exception", () => {
  const openSsh = CASES.find(({ rule }) => rule === "ssh-not-open")!;
  const exceptions = (until: string) => [{ rule: "sshOpen", until, reason: "dépannage" }];
  const judged = async (until: string) =>
    judge(
      [STACK, ...(await resourcesOf(openSsh.create))],
      factsWith({ policy: { exceptions: exceptions(until) }, protectData: false }),
    );

  it.each(["2026-12-01", "2027-01-31"])("until %s lets the rule only note, and is shown", async (until) => {
    const found = await judged(until);

    expect(found.map(({ rule, level }) => [rule, level])).toEqual([
      ["ssh-not-open", "advisory"],
      ["exceptions", "advisory"],
    ]);
    expect(found[0]?.text).toMatch(new RegExp(` \\(excepted until ${until}\\)$`));
    expect(found[1]?.text).toBe(`policy.exceptions[0]: "sshOpen" is excepted until ${until}: dépannage`);
  });

  it("that ended yesterday changes nothing, and is to be removed", async () => {
    const found = await judged("2026-11-30");

    expect(found.map(({ rule, level }) => [rule, level])).toEqual([
      ["ssh-not-open", "mandatory"],
      ["exceptions", "advisory"],
    ]);
    expect(found[1]?.text).toContain("expected an exception that has not ended");
  });

  it.each([
    ["backups", "backups-enabled"],
    ["monitoring", "monitoring-enabled"],
  ])("from %s reaches %s alone", (rule, name) => {
    const policy = { exceptions: [{ rule, until: "2027-01-01", reason: "reprise" }] };
    const found = judge([STACK], factsWith({ policy, monitoring: { enabled: false } }));

    const noted = found.filter(({ level }) => level === "advisory").map((one) => one.rule);
    expect(noted.sort()).toEqual([name, "exceptions"].sort());
    expect(found.filter(({ level }) => level === "mandatory")).toHaveLength(1);
  });

  it("has a rule for each name that the settings know", () => {
    expect(RULES.flatMap(({ exceptedAs }) => exceptedAs ?? []).sort()).toEqual([...exceptedRules].sort());
  });

  it("lets the settings name a range as wide as the internet, which they refuse otherwise", () => {
    const wide = { "ssh.adminCidrs.v4": ["0.0.0.0/0"] };
    const read = (settings: Readonly<Record<string, unknown>>): Environment => environmentWith(settings);

    expect(() => read(wide)).toThrow("ssh.adminCidrs.v4[0]: expected an IPv4 range no wider than /8");
    expect(read({ ...wide, policy: { exceptions: exceptions("2026-12-24") } }).ssh.adminCidrs.v4).toEqual([
      "0.0.0.0/0",
    ]);
  });
});
