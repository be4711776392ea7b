import { describe, expect, it } from "vitest";

import {
  applyStep,
  type EdgeRule,
  isSameRule,
  planChanges,
  type Step,
} from "../../../../provider/ovh/firewall/rules.ts";

interface Packet {
  readonly protocol: "tcp" | "udp" | "icmp";
  readonly source: readonly [number, number, number, number];
  readonly port: number;
  readonly sourcePort: number;
  readonly isEstablished: boolean;
}

const PORTS = [22, 80, 443, 53];
const SOURCES = ["198.51.100.0/24", "198.51.100.128/25", "203.0.113.7/32", "10.0.0.0/8"];
const HOSTS: readonly Packet["source"][] = [
  [198, 51, 100, 5],
  [198, 51, 100, 200],
  [203, 0, 113, 7],
  [203, 0, 113, 8],
  [10, 1, 2, 3],
  [8, 8, 8, 8],
];
const PACKETS: readonly Packet[] = (["tcp", "udp", "icmp"] as const).flatMap((protocol) =>
  HOSTS.flatMap((source) =>
    [...PORTS, 9999].flatMap((port) =>
      [53, 40000].flatMap((sourcePort) =>
        [false, true].map((isEstablished) => ({ protocol, source, port, sourcePort, isEstablished })),
      ),
    ),
  ),
);

/** OVH's semantics, written anew: lowest sequence first, first match decides, no match passes. */
function passes(rules: readonly EdgeRule[], packet: Packet): boolean {
  for (let sequence = 0; sequence < 20; sequence += 1) {
    const rule = rules.find((one) => one.sequence === sequence);
    if (!rule || !applies(rule, packet)) continue;
    return rule.action === "permit";
  }
  return true;
}

function applies(rule: EdgeRule, packet: Packet): boolean {
  if (rule.protocol !== "ipv4" && rule.protocol !== packet.protocol) return false;
  if (rule.port !== undefined && rule.port !== packet.port) return false;
  if (rule.sourcePort !== undefined && rule.sourcePort !== packet.sourcePort) return false;
  if (rule.tcpOption === "established" && !packet.isEstablished) return false;
  if (rule.source === undefined) return true;
  const [network = "", bits = ""] = rule.source.split("/");
  const asBits = (parts: readonly number[]): string =>
    parts.map((part) => part.toString(2).padStart(8, "0")).join("");
  return (
    asBits(network.split(".").map(Number)).slice(0, Number(bits)) ===
    asBits(packet.source).slice(0, Number(bits))
  );
}

/** A repeatable stream of choices. */
function dice(seed: number): (sides: number) => number {
  let state = seed;
  return (sides) => {
    state = (state * 1103515245 + 12345) % 2147483648;
    return Math.floor((state / 2147483648) * sides);
  };
}

/** A list as `check` admits it, with ssh for one admin network at a random place. */
function randomRules(roll: (sides: number) => number, ssh: EdgeRule): readonly EdgeRule[] {
  const places = Array.from({ length: 19 }, (_, place) => place).sort(() => roll(3) - 1);
  const take = (): number => places.shift() ?? 0;
  const rules: EdgeRule[] = [
    { sequence: take(), action: "permit", protocol: "tcp", tcpOption: "established" },
    { ...ssh, sequence: take() },
    { sequence: 19, action: "deny", protocol: "ipv4" },
  ];
  for (let count = roll(14); count > 0; count -= 1) {
    const protocol = (["tcp", "udp", "icmp"] as const)[roll(3)] ?? "tcp";
    const port = PORTS[roll(5)];
    const source = SOURCES[roll(6)];
    rules.push({
      sequence: take(),
      action: "permit",
      protocol,
      ...(protocol !== "icmp" && port !== undefined && { port }),
      ...(protocol === "udp" && roll(2) === 0 && { sourcePort: 53 }),
      ...(source !== undefined && { source }),
    });
  }
  // A network that is kept out, before everything else.
  if (roll(4) === 0)
    rules.push({ sequence: take(), action: "deny", protocol: "udp", port: 53, source: "10.0.0.0/8" });
  return rules.sort((a, b) => a.sequence - b.sequence);
}

function prefixes(current: readonly EdgeRule[], steps: readonly Step[]): readonly (readonly EdgeRule[])[] {
  const lists = [current];
  for (const step of steps) lists.push(applyStep(lists.at(-1) ?? [], step));
  return lists;
}

const SSH: EdgeRule = { sequence: 0, action: "permit", protocol: "tcp", port: 22, source: "198.51.100.0/24" };
const byPlace = (rules: readonly EdgeRule[]): readonly EdgeRule[] =>
  [...rules].sort((a, b) => a.sequence - b.sequence);
const base: readonly EdgeRule[] = [
  { sequence: 0, action: "permit", protocol: "tcp", tcpOption: "established" },
  { ...SSH, sequence: 1 },
  { sequence: 2, action: "permit", protocol: "tcp", port: 443 },
  { sequence: 19, action: "deny", protocol: "ipv4" },
];
const words = (steps: readonly Step[]): readonly string[] =>
  steps.map((step) => (step.kind === "add" ? `+${step.rule.sequence}` : `-${step.sequence}`));

describe("planChanges", () => {
  const runs = Array.from({ length: 400 }, (_, seed) => {
    const roll = dice(seed + 1);
    const shapes = roll(10);
    // From nothing, from a list of ours, and from one that somebody altered by hand.
    const current = shapes === 0 ? [] : randomRules(roll, SSH).filter(() => shapes > 2 || roll(3) > 0);
    return { seed, current, wanted: randomRules(roll, SSH) };
  });

  it("ends with exactly the wanted list", () => {
    for (const { seed, current, wanted } of runs) {
      expect(prefixes(current, planChanges(current, wanted)).at(-1), `seed ${seed}`).toEqual(byPlace(wanted));
    }
  });

  it("drops nothing at any step that both lists permit, in particular ssh of the admins", () => {
    let watched = 0;
    for (const { seed, current, wanted } of runs) {
      const kept = PACKETS.filter((packet) => passes(current, packet) && passes(wanted, packet));
      watched += kept.filter(
        ({ protocol, port, source }) => protocol === "tcp" && port === 22 && source[0] === 198,
      ).length;
      const lists = prefixes(current, planChanges(current, wanted));
      const dropped = kept.find((packet) => lists.some((list) => !passes(list, packet)));
      expect(dropped, `seed ${seed}`).toBeUndefined();
    }
    expect(watched).toBeGreaterThan(runs.length);
  });

  it("never uses a place twice nor holds more than 20 rules", () => {
    for (const { seed, current, wanted } of runs) {
      for (const list of prefixes(current, planChanges(current, wanted))) {
        expect(new Set(list.map(({ sequence }) => sequence)).size, `seed ${seed}`).toBe(list.length);
        expect(list.length, `seed ${seed}`).toBeLessThanOrEqual(20);
      }
    }
  });

  it("keeps rules that stay, unless a deny must be removed for a while", () => {
    for (const { seed, current, wanted } of runs) {
      const removed = planChanges(current, wanted).flatMap((step) =>
        step.kind === "remove" ? [step.sequence] : [],
      );
      const staying = current.filter(
        (rule) => rule.action === "permit" && wanted.some((one) => isSameRule(one, rule)),
      );
      expect(
        staying.filter(({ sequence }) => removed.includes(sequence)),
        `seed ${seed}`,
      ).toEqual([]);
      expect(new Set(removed).size, `seed ${seed}`).toBe(removed.length);
    }
  });

  it("does nothing when nothing changes", () => {
    expect(planChanges(base, base)).toEqual([]);
  });

  it("starts with the permits and ends with the deny", () => {
    expect(words(planChanges([], base))).toEqual(["+0", "+1", "+2", "+19"]);
  });

  it("adds a permit under the deny that stays", () => {
    const more = [
      ...base.slice(0, 3),
      { sequence: 3, action: "permit", protocol: "tcp", port: 80 } as const,
      ...base.slice(3),
    ];

    expect(words(planChanges(base, more))).toEqual(["+3"]);
    expect(words(planChanges(more, base))).toEqual(["-3"]);
  });

  it("removes the deny while the rule for ssh is replaced", () => {
    const wider = base.map((rule) => (rule.sequence === 1 ? { ...rule, source: "198.51.0.0/16" } : rule));

    expect(words(planChanges(base, wider))).toEqual(["-19", "-1", "+1", "+19"]);
  });

  it("replaces a rule under the deny when no shared traffic depends on it", () => {
    const other = base.map((rule) => (rule.sequence === 2 ? { ...rule, port: 8443 } : rule));

    expect(words(planChanges(base, other))).toEqual(["-2", "+2"]);
  });

  it("first removes a deny that locks everyone out", () => {
    const locked: readonly EdgeRule[] = [{ sequence: 0, action: "deny", protocol: "ipv4" }, ...base.slice(1)];

    expect(words(planChanges(locked, base))).toEqual(["-0", "+0"]);
  });

  it("removes every deny while a foreign rule exists", () => {
    const strange: readonly EdgeRule[] = byPlace([
      ...base,
      { sequence: 5, action: "permit", protocol: "tcp", foreign: "ports range 1-9" },
    ]);

    expect(words(planChanges(strange, base))).toEqual(["-19", "-5", "+19"]);
  });
});
