import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { sshdAnswers } from "../../../../provider/ovh/firewall/guard.ts";
import type { EdgeRule } from "../../../../provider/ovh/firewall/rules.ts";
import { type OvhAccount, startOvhAccount } from "../ovh-account.ts";

const IP = "203.0.113.10";
const OPERATOR = "198.51.100.7";
const rules = (source: string): readonly EdgeRule[] => [
  { sequence: 0, action: "permit", protocol: "tcp", tcpOption: "established" },
  { sequence: 1, action: "permit", protocol: "tcp", port: 22, source },
  { sequence: 19, action: "deny", protocol: "ipv4" },
];

let account: OvhAccount;
let service: Server;
let seen: string;
let addressService: string;

beforeEach(async () => {
  account = await startOvhAccount();
  account.ovh.addServer("vps-2027-model2", { ipv4: IP });
  seen = `fl=1\nip=${OPERATOR}\nts=1\n`;
  service = createServer((_request, response) => response.end(seen)).listen(0, "127.0.0.1");
  await new Promise((resolve) => service.once("listening", resolve));
  addressService = `http://127.0.0.1:${(service.address() as AddressInfo).port}/`;
  vi.stubEnv("CI", "");
});
afterEach(async () => {
  vi.unstubAllEnvs();
  service.close();
  await account.end();
});

const inputs = (source: string, ip = addressService) => ({
  ip: IP,
  rules: rules(source),
  guard: { sshPort: 22, seconds: 5, addressService: ip },
});

/** What the fake firewall does with a new connection of the operator. */
const admits = (): boolean => {
  const [firewall] = account.ovh.state.firewalls;
  if (firewall?.enabled !== true) return true;
  return firewall.rules.some(({ source }) => source === "198.51.100.0/24");
};
const answers = () => Promise.resolve(admits());
const held = () =>
  [...(account.ovh.state.firewalls[0]?.rules ?? [])]
    .map(({ sequence, source }) => `${sequence} ${source ?? "any"}`)
    .sort();

describe("a guarded change of the edge firewall", () => {
  it("stays when the operator gets in afterwards", async () => {
    const stack = account.edge({ answers });

    expect(await stack.up(inputs("198.51.100.0/24"))).toBe("created");

    expect(account.ovh.state.firewalls[0]).toMatchObject({ enabled: true });
    expect(stack.said("warning")).toEqual([]);
  });

  it("is put back when the operator does not", async () => {
    const stack = account.edge({ answers });
    await stack.up(inputs("198.51.100.0/24"));
    const before = held();

    await expect(stack.up(inputs("192.0.2.0/24"))).rejects.toThrow(
      "expected sshd on port 22 to answer a new connection with the new rules, got no answer within 5 s; the rules that were there before were put back",
    );

    expect(held()).toEqual(before);
    expect(admits()).toBe(true);
    expect(stack.saved).toMatchObject({ isPartial: false, inputs: { rules: rules("198.51.100.0/24") } });
  });

  it("is put back when it is cancelled in the middle", async () => {
    const cancelled = new AbortController();
    await account.edge({ answers }).up(inputs("198.51.100.0/24"));
    const stack = account.edge({
      signal: cancelled.signal,
      answers() {
        if (!admits()) cancelled.abort(new Error("cancelled"));
        return cancelled.signal.aborted
          ? Promise.reject(cancelled.signal.reason as Error)
          : Promise.resolve(true);
      },
    });
    stack.saved = { id: IP, inputs: inputs("198.51.100.0/24"), outputs: { state: "ok" }, isPartial: false };

    await expect(stack.up(inputs("192.0.2.0/24"))).rejects.toThrow(
      `firewall of ${IP}: cancelled; the rules that were there before were put back`,
    );

    expect(admits()).toBe(true);
  });

  it("is made with a warning when sshd did not answer before it either", async () => {
    const stack = account.edge({ answers: () => Promise.resolve(false) });

    await stack.up(inputs("198.51.100.0/24"));

    expect(stack.said("warning")).toEqual([
      `firewall of ${IP}: whether it lets you in could not be tried, because no sshd answered on port 22 before it either`,
    ]);
  });

  it("says where to correct the rules when those before cannot be put back", async () => {
    const stack = account.edge({ answers });
    await stack.up(inputs("198.51.100.0/24"));
    const failing = account.edge({
      answers: async () => {
        if (admits()) return true;
        await account.ovh.close();
        return false;
      },
    });
    failing.saved = stack.saved;

    await expect(failing.up(inputs("192.0.2.0/24"))).rejects.toThrow(`those before could not be put back: `);
  });
});

describe("the preview of a first edge firewall", () => {
  it("refuses rules that do not hold the operator's address, before anything is changed", async () => {
    const stack = account.edge({ answers });

    await expect(stack.preview(inputs("192.0.2.0/24"))).rejects.toThrow(
      `technicia:ssh.adminCidrs.v4: expected a range that holds ${OPERATOR}, the address that ${addressService} sees you come from, ` +
        'got 192.0.2.0/24; add "198.51.100.7/32", or set technicia:ssh.addressService to none',
    );
    await expect(stack.up(inputs("192.0.2.0/24"))).rejects.toThrow("expected a range that holds");
    expect(account.ovh.state.firewalls).toEqual([]);
  });

  it.each([`${OPERATOR}\n`, `{"ip": "${OPERATOR}"}`])(
    "understands a service that answers %j",
    async (text) => {
      seen = text;

      await expect(account.edge({ answers }).preview(inputs("192.0.2.0/24"))).rejects.toThrow(OPERATOR);
    },
  );

  it.each([
    ["nobody answers", "http://127.0.0.1:1/", "http://127.0.0.1:1/: expected an answer within 5 s, got: "],
    ["it was switched off", "none", "technicia:ssh.addressService is none"],
  ])("says that nothing was compared when %s", async (_why, ip, reason) => {
    const stack = account.edge({ answers });

    await stack.preview(inputs("192.0.2.0/24", ip));

    expect(stack.said("warning").join()).toContain(reason);
    expect(stack.said("warning").join()).toContain("make sure yourself that 192.0.2.0/24 holds it");
  });

  it.each(["no address here", "2001:db8::7"])(
    "says that nothing was compared when the answer is %j",
    async (text) => {
      seen = text;
      const stack = account.edge({ answers });

      await stack.preview(inputs("192.0.2.0/24"));

      expect(stack.said("warning")).toHaveLength(1);
    },
  );

  it("only warns in the preview of a CI, whose deployment then refuses", async () => {
    vi.stubEnv("CI", "true");
    const stack = account.edge({ answers });

    await stack.preview(inputs("192.0.2.0/24"));

    expect(stack.said("warning").join()).toContain(
      "because this is a CI (otherwise: technicia:ssh.adminCidrs.v4",
    );
    await expect(stack.up(inputs("192.0.2.0/24"))).rejects.toThrow("expected a range that holds");
  });

  it("does not ask for an existing firewall, whose server knows better", async () => {
    const stack = account.edge({ answers });
    await stack.up(inputs("198.51.100.0/24"));

    expect(await stack.preview(inputs("192.0.2.0/24"))).toEqual({ state: "ok" });
  });
});

describe("sshdAnswers", () => {
  const signal = new AbortController().signal;

  it("is false when nobody listens, or somebody who is no sshd", async () => {
    const port = (service.address() as AddressInfo).port;

    expect(await sshdAnswers({ address: "127.0.0.1", port: 1 }, { seconds: 1, signal })).toBe(false);
    expect(await sshdAnswers({ address: "127.0.0.1", port }, { seconds: 1, signal })).toBe(false);
  });
});
