import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import * as pulumi from "@pulumi/pulumi";

import { namesComeIntoView } from "../../infra/visible-names.ts";
import { entryFrom, type ZoneEntry } from "../../rehearsal/fake-clouds/dns/answers.ts";
import { type DnsServer, startDns } from "../../rehearsal/fake-clouds/dns/server.ts";
import { register } from "../support/engine.ts";

const NAME = "technicia.exemple.fr";
let entries: readonly ZoneEntry[];
let questions: number;
let dns: DnsServer;
beforeEach(async () => {
  entries = [];
  questions = 0;
  dns = await startDns({
    zones: () => {
      questions += 1;
      return [{ name: "exemple.fr", serial: 1, nameServers: ["ns.exemple.fr"], entries }];
    },
  });
});
afterEach(() => dns.close());

function publish(type: string, content: string): void {
  const entry = entryFrom({ name: NAME, type, content, ttl: 60 });
  if (entry) entries = [...entries, entry];
}

/** Runs the hook as the engine does after it created a record; gives the warnings. */
async function run(record: { type: string; content: string }, { limitMs = 10_000, port = dns.port } = {}) {
  const warned = vi.spyOn(pulumi.log, "warn").mockResolvedValue();
  const servers = [`127.0.0.1:${port}`];
  const { result } = await register(() =>
    namesComeIntoView({ zone: "exemple.fr", servers, limitMs, everyMs: 5 }),
  );
  await result.callback({
    urn: "urn",
    id: "1",
    name: "dns-technicia-a",
    type: "cloudflare:index/dnsRecord:DnsRecord",
    newInputs: { zoneId: "0", name: NAME, ...record },
  });
  const messages = warned.mock.calls.map(([message]) => message);
  warned.mockRestore();
  return messages;
}

describe("namesComeIntoView", () => {
  it("ends when the zone's name servers answer with the record", async () => {
    const running = run({ type: "A", content: "203.0.113.10" });
    while (questions < 3) await new Promise((resolve) => setImmediate(resolve));
    publish("A", "203.0.113.10");

    expect(await running).toEqual([]);
  });

  it("does not take another address for it, whatever its spelling", async () => {
    publish("AAAA", "2001:db8::9");
    const running = run({ type: "AAAA", content: "2001:db8:0::10" });
    while (questions < 3) await new Promise((resolve) => setImmediate(resolve));
    publish("AAAA", "2001:db8::10");

    expect(await running).toEqual([]);
  });

  it("goes on with a warning when they still deny it after the limit", async () => {
    expect(await run({ type: "A", content: "203.0.113.10" }, { limitMs: 20 })).toEqual([
      `dns: the name servers of exemple.fr do not answer ${NAME} with 203.0.113.10 yet; what needs the name may fail now and works later`,
    ]);
  });

  it("goes on when they cannot be asked from here", async () => {
    const { port } = dns;
    await dns.close();

    expect(await run({ type: "A", content: "203.0.113.10" }, { port })).toEqual([]);
    dns = await startDns({ zones: () => [] });
  });

  it("asks nothing about other records", async () => {
    expect(await run({ type: "TXT", content: "hello" })).toEqual([]);
    expect(questions).toBe(0);
  });
});
