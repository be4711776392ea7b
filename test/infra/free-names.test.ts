import { describe, expect, it } from "vitest";

import { namesStayFree } from "../../infra/free-names.ts";
import type { DnsRecord } from "../../provider/dns/records.ts";
import { register, UNKNOWN } from "../support/engine.ts";

const NAME = "technicia.exemple.fr";
const record = (type: string, content: string, more: Partial<DnsRecord> = {}): DnsRecord => ({
  id: `${type} ${content}`,
  name: NAME,
  type,
  content,
  ...more,
});

interface Case {
  readonly present: readonly DnsRecord[];
  readonly type?: string;
  readonly content?: unknown;
  readonly name?: string;
  readonly preview?: boolean;
  readonly ours?: ReadonlySet<string>;
}

/** Runs the hook as the engine does before it creates a record; gives what was removed. */
async function run({ present, type = "A", content = "203.0.113.10", name = NAME, preview, ours }: Case) {
  const removed: string[] = [];
  const { result } = await register(
    () =>
      namesStayFree({
        zone: "exemple.fr",
        panel: "in the panel",
        ...(ours === undefined ? {} : { ours }),
        records: {
          list: (wanted) => Promise.resolve(present.map((one) => ({ ...one, name: wanted }))),
          remove: ({ id }, options) => {
            removed.push(`${id}, ${options?.publish ? "published" : "not published"}`);
            return Promise.resolve();
          },
        },
      }),
    { preview: preview === true },
  );
  const inputs =
    type === "CAA"
      ? { zoneId: "0", name, type, data: { flags: 0, tag: "issue", value: content } }
      : { zoneId: "0", name, type, content };
  await result.callback({
    urn: "urn",
    id: "",
    name: "dns-technicia-a",
    type: "cloudflare:index/dnsRecord:DnsRecord",
    newInputs: inputs,
  });
  return removed;
}

describe("a name of ours", () => {
  it.each([
    ["an old server's address", [record("A", "203.0.113.4")], "A 203.0.113.4"],
    ["an IPv6 address, where ours is IPv4 only", [record("AAAA", "2001:db8::4")], "AAAA 2001:db8::4"],
    ["an alias", [record("CNAME", "parking.example")], "CNAME parking.example"],
    ["a proxied record", [record("A", "203.0.113.10", { proxied: true })], "A 203.0.113.10 (proxied)"],
    ["a delegation", [record("NS", "ns.other.example")], "NS ns.other.example"],
    ["hints for browsers", [record("HTTPS", "1 . ipv4hint=203.0.113.4")], "HTTPS 1 . ipv4hint=203.0.113.4"],
    [
      "ours and another address, which would take turns",
      [record("A", "203.0.113.10"), record("A", "203.0.113.4"), record("CNAME", "b.example")],
      "A 203.0.113.4 and CNAME b.example",
    ],
  ])("is refused when it has %s, in the preview and in the update", async (_what, present, found) => {
    for (const preview of [true, false]) {
      await expect(run({ present, preview })).rejects.toThrow(
        `dns: expected no records of ${NAME} besides ours, got ${found}; if nothing uses them, delete them in the panel, ` +
          "or choose another name with pulumi config set technicia:domain <name>",
      );
    }
  });

  it("is refused in the preview of an order, which does not know the address yet", async () => {
    const unknown = { present: [record("A", "203.0.113.10")], preview: true };
    await expect(run({ ...unknown, content: UNKNOWN })).rejects.toThrow("got A 203.0.113.10");
  });

  it("may lead to other servers of ours, but not through the vendor, and not to others", async () => {
    const ours = new Set(["203.0.113.10", "203.0.113.12"]);
    const present = [record("A", "203.0.113.12")];

    expect(await run({ present, ours })).toEqual([]);
    for (const foreign of [record("A", "203.0.113.12", { proxied: true }), record("A", "203.0.113.13")]) {
      await expect(run({ present: [...present, foreign], ours })).rejects.toThrow(
        `besides ours, got A ${foreign.content}`,
      );
    }
  });

  it("may have mail, text, other authorities, and the zone's own name servers", async () => {
    const present = ["MX", "TXT", "CAA", "SRV"].map((type) => record(type, "something"));

    expect(await run({ present })).toEqual([]);
    expect(await run({ present, type: "CAA", content: "letsencrypt.org" })).toEqual([]);
    expect(await run({ present: [record("NS", "ada.ns.cloudflare.com")], name: "exemple.fr" })).toEqual([]);
  });

  it("gives up a record that is exactly ours, without publishing its absence", async () => {
    expect(await run({ present: [record("A", "203.0.113.10")] })).toEqual(["A 203.0.113.10, not published"]);
    const caa = record("CAA", '0 issue "letsencrypt.org"');
    expect(await run({ present: [caa], type: "CAA", content: "letsencrypt.org" })).toEqual([
      `${caa.id}, not published`,
    ]);
  });

  it("keeps it in a preview", async () => {
    expect(await run({ present: [record("A", "203.0.113.10")], preview: true })).toEqual([]);
  });
});
