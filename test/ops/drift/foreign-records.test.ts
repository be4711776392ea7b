import { describe, expect, it } from "vitest";

import { describeForeignRecord, findForeignRecords } from "../../../ops/drift/foreign-records.ts";
import type { DnsRecord } from "../../../provider/dns/records.ts";
import { environmentWith } from "../../support/fixtures.ts";

const ZONE = "exemple.fr";
const DOMAIN = "technicia.exemple.fr";
const OURS = ["203.0.113.10", "2001:db8:113::10", '0 issue "letsencrypt.org"'];

interface Given {
  readonly records: readonly [name: string, type: string, content: string][];
  readonly domain?: string;
  readonly editorCidrs?: readonly string[];
  /** Whether our own records are there. */
  readonly ours?: boolean;
}

async function find({ records, domain = DOMAIN, editorCidrs = [], ours = true }: Given) {
  const environment = environmentWith({ domain, "services.gateway.editorCidrs": editorCidrs });
  const names = editorCidrs.length > 0 ? [domain, `n8n.${domain}`] : [domain];
  const own = names.flatMap((name) =>
    ["A", "AAAA", "CAA"].map((type, index) => ({ id: `${name} ${type}`, name, type, content: OURS[index]! })),
  );
  const all: DnsRecord[] = [
    ...(ours ? own : []),
    ...records.map(([name, type, content]) => ({ id: `foreign ${name} ${type}`, name, type, content })),
  ];
  const zone = {
    list: (name: string) => Promise.resolve(all.filter((record) => record.name === name)),
    remove: () => Promise.reject(new Error("nothing is to be deleted")),
  };
  const declared = new Set(own.map(({ id }) => id));
  const found = await findForeignRecords({ environment, declared }, zone);
  return found.map(({ name, type, remedy }) => `${remedy} ${name} ${type}`);
}

describe("a DNS record that nobody declared", () => {
  it.each([
    ["another address", "A", "203.0.113.66"],
    ["another IPv6 address", "AAAA", "2001:db8::66"],
    ["another name", "CNAME", "mallory.example"],
    ["another authority", "CAA", '0 issue "mallory.example"'],
    ["another authority for wildcards", "CAA", '128 issuewild "mallory.example"'],
  ])("is deleted where it gives our name %s", async (_, type, content) => {
    expect(await find({ records: [[DOMAIN, type, content]] })).toEqual([`delete ${DOMAIN} ${type}`]);
  });

  it.each([
    ["mail", "MX", "10 mail.exemple.fr"],
    ["mail's senders", "TXT", "v=spf1 -all"],
    ["a proof for a vendor", "TXT", "google-site-verification=abc"],
    ["a kind that only OVH has", "SPF", "v=spf1 -all"],
    ["another kind that only OVH has", "DKIM", "v=DKIM1; p=abc"],
    ["a third kind that only OVH has", "DMARC", "v=DMARC1; p=none"],
    ["a service", "SRV", "0 0 443 x.exemple.fr"],
    ["where to report a certificate", "CAA", '0 iodef "mailto:a@exemple.fr"'],
    ["a kind that nobody has heard of", "WALLET", "abc"],
  ])("is left alone where it is for %s, at our name as at the top of the zone", async (_, type, content) => {
    expect(await find({ records: [[DOMAIN, type, content]] })).toEqual([]);
    expect(await find({ records: [[ZONE, type, content]], domain: ZONE })).toEqual([]);
  });

  it.each(["HTTPS", "SVCB", "NS", "DS", "DNAME", "ALIAS"])(
    "is deleted only by somebody who agrees to that where it is %s",
    async (type) => {
      expect(await find({ records: [[DOMAIN, type, "x"]] })).toEqual([`ask ${DOMAIN} ${type}`]);
    },
  );

  it("is the zone's own where it names the zone's servers", async () => {
    expect(await find({ records: [[ZONE, "NS", "dns1.example"]], domain: ZONE })).toEqual([]);
    expect(await find({ records: [[ZONE, "NS", "dns1.example"]] })).toEqual([]);
  });

  it("is found above our name where it takes every name below", async () => {
    const domain = "a.b.exemple.fr";
    const records = [
      ["b.exemple.fr", "NS", "dns.mallory.example"],
      [ZONE, "DNAME", "mallory.example"],
      ["b.exemple.fr", "A", "203.0.113.66"],
    ] as const;

    expect(await find({ records: records.map(([...record]) => record), domain })).toEqual([
      "ask b.exemple.fr NS",
      `ask ${ZONE} DNAME`,
    ]);
  });

  it("is not ours at the editor's name while nobody may open the editor", async () => {
    const records: Given["records"] = [[`n8n.${DOMAIN}`, "A", "203.0.113.66"]];

    expect(await find({ records })).toEqual([]);
    expect(await find({ records, editorCidrs: ["198.51.100.0/24"] })).toEqual([`delete n8n.${DOMAIN} A`]);
  });

  it.each([[DOMAIN], [ZONE]])(
    "is a wildcard below %s only where it answers for a name of ours, and it is kept",
    async (above) => {
      const records: Given["records"] = [[`*.${above}`, "A", "203.0.113.66"]];
      const editorCidrs = ["198.51.100.0/24"];

      // A name that exists is never answered by a wildcard.
      expect(await find({ records, editorCidrs })).toEqual([]);
      expect(await find({ records, ours: false })).toEqual(above === ZONE ? [`leave *.${above} A`] : []);
      expect(await find({ records, editorCidrs, ours: false })).toEqual([`leave *.${above} A`]);
    },
  );

  it("changes no answer where it repeats one of ours, and is found where ours is gone", async () => {
    const records: Given["records"] = [[DOMAIN, "A", "203.0.113.10"]];

    expect(await find({ records })).toEqual([]);
    expect(await find({ records, ours: false })).toEqual([`delete ${DOMAIN} A`]);
  });

  it("says what a repair does, and what to type for what it does not", () => {
    const record = { id: "1", name: DOMAIN, type: "HTTPS", content: "1 . alpn=h2", changes: DOMAIN } as const;

    expect(describeForeignRecord({ ...record, remedy: "ask" }).repair).toContain("without --yes");
    expect(describeForeignRecord({ ...record, name: `*.${ZONE}`, remedy: "leave" })).toMatchObject({
      what: `HTTPS record that nobody declared, which answers for ${DOMAIN}`,
    });
  });
});
