import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { checkRules } from "../../../../provider/ovh/firewall/resource.ts";
import type { EdgeRule } from "../../../../provider/ovh/firewall/rules.ts";
import type { Fault } from "../../../../rehearsal/fake-clouds/api/faults.ts";
import type { Firewall, FirewallRule } from "../../../../rehearsal/fake-clouds/ovh/state.ts";
import { type EdgeStack, HELD_MS, heldClock, startOvhAccount, type OvhAccount } from "../ovh-account.ts";

const IP = "203.0.113.10";
const RULES: readonly EdgeRule[] = [
  { sequence: 0, action: "permit", protocol: "tcp", tcpOption: "established" },
  { sequence: 1, action: "permit", protocol: "tcp", port: 22, source: "198.51.100.0/24" },
  { sequence: 2, action: "permit", protocol: "tcp", port: 443 },
  { sequence: 5, action: "permit", protocol: "udp", sourcePort: 53 },
  { sequence: 19, action: "deny", protocol: "ipv4" },
];
const WIDER = RULES.map((rule) => (rule.sequence === 1 ? { ...rule, source: "198.51.0.0/16" } : rule));

let account: OvhAccount;
let stack: EdgeStack;
beforeEach(async () => {
  account = await startOvhAccount();
  account.ovh.addServer("vps-2027-model2", { ipv4: IP });
  stack = account.edge();
});
afterEach(() => account.end());

const given = { ip: IP, rules: RULES };
const firewall = (): Firewall => {
  const [found] = account.ovh.state.firewalls;
  if (!found) throw new Error("there is no firewall");
  return found;
};
const held = (): readonly string[] =>
  [...firewall().rules]
    .sort((a, b) => a.sequence - b.sequence)
    .map(({ sequence, action, state }) => `${sequence} ${action} ${state}`);
const changes = (): readonly string[] =>
  account.ovh.calls
    .list("ovh")
    .filter(({ method }) => method !== "GET")
    .map(({ method, path, body }) => {
      const sequence = (body as { sequence?: number } | undefined)?.sequence;
      const last = path.split("/").at(-1);
      return method === "POST" && sequence !== undefined ? `POST rule ${sequence}` : `${method} ${last}`;
    });
const failure = async (act: Promise<unknown>): Promise<string> =>
  act.then(
    () => "nothing failed",
    (error: Error) => error.message,
  );
const alter = (sequence: number, change: Partial<FirewallRule>): void => {
  const rule = firewall().rules.find((one) => one.sequence === sequence);
  if (rule) Object.assign(rule, change);
};

describe("EdgeFirewall", () => {
  it("is switched on after every rule is in force, and adds the deny last", async () => {
    Object.assign(account.ovh.delays, { ruleMs: 20, firewallMs: 20 });

    expect(await stack.up(given)).toBe("created");

    expect(changes()).toEqual([
      "POST firewall",
      "POST rule 0",
      "POST rule 1",
      "POST rule 2",
      "POST rule 5",
      "POST rule 19",
      `PUT ${IP}`,
    ]);
    expect(firewall()).toMatchObject({ enabled: true, state: "ok" });
    expect(held()).toEqual(["0 permit ok", "1 permit ok", "2 permit ok", "5 permit ok", "19 deny ok"]);
    expect(stack.saved).toMatchObject({ id: IP, isPartial: false, outputs: { state: "ok" } });
    expect(await stack.refresh()).toBe(false);
    expect(await stack.up(given)).toBe("same");
  });

  it("changes only what differs", async () => {
    await stack.up(given);
    account.ovh.calls.clear();

    await stack.up({ ip: IP, rules: RULES.filter(({ sequence }) => sequence !== 5) });

    expect(changes()).toEqual(["DELETE 5"]);
  });

  it("keeps ssh open while its rule is replaced", async () => {
    await stack.up(given);
    account.ovh.calls.clear();

    expect(await stack.up({ ip: IP, rules: WIDER })).toBe("updated");

    expect(changes()).toEqual(["DELETE 19", "DELETE 1", "POST rule 1", "POST rule 19"]);
    expect(await stack.refresh()).toBe(false);
  });

  it.each([
    ["switched off", () => Object.assign(firewall(), { enabled: false })],
    ["without its deny", () => firewall().rules.pop()],
    ["with another port", () => alter(2, { destinationPort: 8443 })],
    ["with another source", () => alter(1, { source: "192.0.2.0/24" })],
    [
      "with a rule more",
      () => firewall().rules.push({ ...firewall().rules[2], sequence: 7 } as FirewallRule),
    ],
    ["with a rule about fragments", () => alter(2, { fragments: true })],
    ["with another TCP option", () => alter(0, { tcpOption: "syn" })],
  ] as const)("shows that it is %s, and repairs it", async (_, tamper) => {
    await stack.up(given);
    tamper();

    expect(await stack.refresh()).toBe(true);
    expect(await stack.up(given)).toBe("updated");

    expect(firewall().enabled).toBe(true);
    expect(await stack.refresh()).toBe(false);
    expect(held()).toEqual(["0 permit ok", "1 permit ok", "2 permit ok", "5 permit ok", "19 deny ok"]);
  });

  it("is recreated when it is gone", async () => {
    await stack.up(given);
    account.ovh.state.firewalls.splice(0);

    expect(await stack.refresh()).toBe(true);
    expect(stack.saved).toBeUndefined();
    expect(await stack.up(given)).toBe("created");
  });

  it("adopts a firewall that somebody else created", async () => {
    await stack.up(given);
    const other = account.edge();

    expect(await other.up({ ip: IP, rules: WIDER })).toBe("created");

    expect(await other.refresh()).toBe(false);
    expect(account.ovh.state.firewalls).toHaveLength(1);
  });

  it("is imported by its address", async () => {
    await stack.up(given);
    const other = account.edge();

    expect(await other.import(IP)).toBe(true);

    expect(other.saved?.inputs).toEqual({ ...given, enabled: true });
    expect(await other.up(given)).toBe("same");
    expect(await account.edge().import("203.0.113.99")).toBe(false);
  });

  it("removes the denies first on deletion", async () => {
    await stack.up(given);
    account.ovh.calls.clear();

    await stack.destroy();

    expect(changes()).toEqual([
      "DELETE 19",
      `PUT ${IP}`,
      "DELETE 0",
      "DELETE 1",
      "DELETE 2",
      "DELETE 5",
      `DELETE ${IP}`,
    ]);
    expect(account.ovh.state.firewalls).toEqual([]);
    await stack.destroy();
  });

  it.each([400, 409] as const)(
    "goes on when a rule that it adds is there already (OVH says %i)",
    async (ruleConflictStatus) => {
      const own = await startOvhAccount({ ruleConflictStatus });
      own.ovh.addServer("vps-2027-model2", { ipv4: IP });
      // The list does not show yet what was added a moment ago.
      own.ovh.faults.add({ api: "ovh", method: "GET", path: "/rule$", status: 200, body: [] });
      await own.edge().up(given);
      own.ovh.faults.add({ api: "ovh", method: "GET", path: "/rule$", nth: 1, status: 200, body: [] });

      expect(await own.edge().up(given)).toBe("created");
      own.ovh.faults.add({ api: "ovh", method: "GET", path: "/rule$", nth: 1, status: 200, body: [] });
      expect(await failure(own.edge().up({ ip: IP, rules: WIDER }))).toMatch(
        /^firewall of 203\.0\.113\.10: expected place 1 to be free for 1: permit tcp port 22 from 198\.51\.0\.0\/16, got 1: permit tcp port 22 from 198\.51\.100\.0\/24; somebody else/,
      );
      await own.end();
    },
  );

  it("fails when the address is not of this account", async () => {
    expect(await failure(stack.up({ ip: "192.0.2.1", rules: RULES }))).toMatch(
      /^POST \/ip\/192\.0\.2\.1%2F32\/firewall: expected an answer, got 404 .*; check the name and that these keys belong to the account that owns it/,
    );
  });

  it("stops when it is cancelled, and continues later", async () => {
    await account.end();
    const clock = heldClock();
    account = await startOvhAccount({ clock });
    account.ovh.addServer("vps-2027-model2", { ipv4: IP });
    account.ovh.delays.ruleMs = HELD_MS;
    const cancel = new AbortController();
    const cancelled = account.edge({ signal: cancel.signal });
    const run = cancelled.up(given);
    while (cancelled.said("status").length === 0) await new Promise((resolve) => setImmediate(resolve));
    cancel.abort();

    expect(await failure(run)).toMatch(
      /^firewall of 203\.0\.113\.10: cancelled \(the firewall may be half changed; run pulumi up to continue\)$/,
    );
    account.ovh.delays.ruleMs = 0;
    await clock.release();
    const next = account.edge({ saved: cancelled.saved });
    expect(await next.up(given)).toBe("updated");
    expect(await next.refresh()).toBe(false);
  });
});

describe("EdgeFirewall while OVH fails", () => {
  const CALLS = [
    ["GET", `/firewall/${IP}$`],
    ["POST", "/firewall$"],
    ["GET", "/rule$"],
    ["POST", "/rule$"],
    ["GET", "/rule/\\d+$"],
    ["DELETE", "/rule/\\d+$"],
    ["PUT", `/firewall/${IP}$`],
  ] as const;
  const KINDS: readonly (readonly [string, Partial<Fault>, string])[] = [
    ["401", { status: 401, body: { message: "You must login first" } }, "set the OVH keys of this stack"],
    ["403", { status: 403, body: { message: "no" } }, "give the key the right "],
    ["429", { status: 429, headers: { "retry-after": "0" } }, "OVH limits the rate of requests"],
    ["500 after the effect", { status: 500, perform: true }, "OVH has a fault"],
    ["no answer in time", { delayMs: 100_000 }, "none within the time limit"],
    ["a cut before the effect", { cut: "before" }, "a broken connection"],
    ["a cut after the effect", { cut: "after" }, "a broken connection"],
  ];

  it.each(KINDS)(
    "says what to do at %s of any call, and converges on the next run",
    async (name, fault, words) => {
      for (const [method, path] of CALLS) {
        const own = await startOvhAccount();
        own.ovh.addServer("vps-2027-model2", { ipv4: IP });
        const timeoutMs = name === "no answer in time" ? 250 : 5_000;
        let saved;
        if (method === "DELETE") {
          const first = own.edge();
          await first.up(given);
          saved = first.saved;
        }
        own.ovh.faults.add({ api: "ovh", method, path, times: 0, ...fault });
        const wanted = { ip: IP, rules: method === "DELETE" ? WIDER : RULES };
        const unlucky = own.edge({ timeoutMs, saved });

        const message = await failure(unlucky.up(wanted));

        expect(message, `${method} ${path}`).toContain(words);
        expect(message.startsWith(`${method} /ip/`), message).toBe(true);
        expect(unlucky.saved).toMatchObject({ id: IP, isPartial: true });
        own.ovh.faults.clear();
        const next = own.edge({ saved: unlucky.saved });
        expect(await next.up(wanted)).toBe("updated");
        expect(await next.refresh(), `${method} ${path}`).toBe(false);
        await own.end();
      }
    },
  );
});

describe("rules of an EdgeFirewall", () => {
  const without = (sequence: number): readonly EdgeRule[] =>
    RULES.filter((rule) => rule.sequence !== sequence);
  const plus = (rule: EdgeRule): readonly EdgeRule[] => [...RULES, rule];

  it("pass when they are valid", () => {
    expect(checkRules(RULES)).toEqual([]);
  });

  it.each([
    [
      "without a deny",
      without(19),
      "rules: expected a last rule that denies ipv4 from anywhere, got 5: permit udp source port 53; without it OVH lets everything through",
    ],
    [
      "without any rule",
      [],
      "rules: expected a last rule that denies ipv4 from anywhere, got no rule; without it OVH lets everything through",
    ],
    [
      "without answers",
      without(0),
      "rules: expected a rule that permits tcp established from anywhere, got none; the firewall keeps no state, so the server would not receive the answers to its own requests",
    ],
    [
      "with a place taken twice",
      plus({ sequence: 2, action: "permit", protocol: "icmp" }),
      "rules: expected each sequence once, got 2 again; renumber the rules",
    ],
    [
      "with a port of icmp",
      plus({ sequence: 6, action: "permit", protocol: "icmp", port: 1 }),
      "rules[5]: expected tcp or udp with a port, got icmp; remove the port or change the protocol",
    ],
    [
      "with a TCP option of udp",
      plus({ sequence: 6, action: "permit", protocol: "udp", tcpOption: "established" }),
      "rules[5].tcpOption: expected it with tcp only, got udp; remove it",
    ],
  ] as const)("fail %s", (_, rules, message) => {
    expect(checkRules(rules)).toContain(message);
  });

  it.each([
    [{ sequence: 20 }, "a whole number from 0 to 19; renumber the rules"],
    [{ port: 0 }, "a port from 1 to 65535"],
    [
      { source: "198.51.100.5/24" },
      "an IPv4 network such as 198.51.100.0/24, without bits beyond its length",
    ],
    [{ source: "2001:db8::/32" }, "an IPv4 network such as 198.51.100.0/24"],
    [{ action: "drop" }, "permit or deny"],
    [{ protocol: "sctp" }, "one of ah, esp, gre, icmp, ipv4, tcp, udp"],
    [{ tcpOption: "syn" }, "established or nothing"],
  ])("fail with %j", (change, message) => {
    const rules = RULES.map((rule) => (rule.sequence === 2 ? { ...rule, ...change } : rule));

    expect(() => stack.check({ ip: IP, rules })).toThrow(message);
  });

  it("fail when they are more than 20", () => {
    const many = Array.from({ length: 21 }, () => RULES[2]);

    expect(() => stack.check({ ip: IP, rules: many })).toThrow("at most 20 rules; OVH takes no more");
  });

  it("are sorted, and an address becomes a network", () => {
    const rules = [...RULES]
      .reverse()
      .map((rule) => (rule.sequence === 1 ? { ...rule, source: "198.51.100.7" } : rule));

    expect(stack.check({ ip: IP, rules }).rules.map(({ sequence, source }) => [sequence, source])).toEqual([
      [0, undefined],
      [1, "198.51.100.7/32"],
      [2, undefined],
      [5, undefined],
      [19, undefined],
    ]);
  });
});
