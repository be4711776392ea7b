import { createSocket } from "node:dgram";
import { createConnection } from "node:net";

import * as packet from "dns-packet";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { entryFrom, type NameZone, type ZoneEntry } from "../../../../rehearsal/fake-clouds/dns/answers.ts";
import { type DnsServer, startDns } from "../../../../rehearsal/fake-clouds/dns/server.ts";
import { withLength } from "../../../../rehearsal/fake-clouds/dns/upstream.ts";
import { reverseName } from "../../../../rehearsal/fake-clouds/dns/zones.ts";
import { ask, exchange, lines, type Transport } from "./client.ts";

const LONG = Array.from({ length: 40 }, (_, index) => [
  "TXT",
  "long",
  `a text of some length, number ${index}`,
]);
const RECORDS = [
  ["A", "", "203.0.113.10"],
  ["CAA", "", '0 issue "letsencrypt.org; validationmethods=http-01"'],
  ["CAA", "", '128 iodef "mailto:admin@example.org"'],
  ["A", "n8n", "203.0.113.10"],
  ["A", "n8n", "203.0.113.11"],
  ["AAAA", "n8n", "2001:db8:113::10"],
  ["TXT", "n8n", "v=spf1 -all"],
  ["MX", "", "10 mail.example.org."],
  ["SRV", "_sip._tcp", "1 2 5060 n8n.example.org."],
  ["CNAME", "alias", "n8n.example.org."],
  ["CNAME", "away", "host.elsewhere.test."],
  ["CNAME", "loop", "loop.example.org."],
  ["A", "deep.er", "203.0.113.12"],
  ["A", "*.wild", "203.0.113.13"],
  ...LONG,
] as const;

const zone: NameZone = {
  name: "example.org",
  serial: 7,
  nameServers: ["dns10.ovh.net", "ns10.ovh.net"],
  entries: RECORDS.flatMap(([type = "", label, content = ""]): ZoneEntry[] => {
    const name = label === "" ? "example.org" : `${label}.example.org`;
    const entry = entryFrom({ name, type, content, ttl: 300 });
    return entry ? [entry] : [];
  }),
};

let upstream: DnsServer;
let dns: DnsServer;

/** Only this test looks at a zone that changes. */
describe("a name server that keeps absences, as resolvers do", () => {
  it("goes on denying a record until the zone's minimum is over", async () => {
    let time = 0;
    let entries: readonly ZoneEntry[] = [];
    const keeping = await startDns({ zones: () => [{ ...zone, entries }], keepsAbsence: () => time });
    try {
      expect(await keeping.resolve("new.example.org")).toEqual([]);
      entries = ["A", "AAAA"].map(
        (type) =>
          entryFrom({
            ...{ name: "new.example.org", type, ttl: 60 },
            content: type === "A" ? "203.0.113.9" : "2001:db8::9",
          }) as ZoneEntry,
      );
      expect(await keeping.resolve("new.example.org")).toEqual([]);
      time = 60_000;
      expect(await keeping.resolve("new.example.org")).toEqual(["203.0.113.9", "2001:db8::9"]);
      entries = [];
      expect(await keeping.resolve("other.example.org")).toEqual([]);
    } finally {
      await keeping.close();
    }
  });
});

beforeEach(async () => {
  const elsewhere = {
    ...zone,
    name: "elsewhere.test",
    entries: [entryFrom({ name: "host.elsewhere.test", type: "A", content: "192.0.2.77", ttl: 60 })],
  };
  upstream = await startDns({ zones: () => [elsewhere as NameZone] });
  dns = await startDns({
    zones: () => [zone],
    names: { "registry-1.docker.io": ["198.51.100.5"] },
    upstream: { address: "127.0.0.1", port: upstream.port },
  });
});
afterEach(async () => {
  await dns.close();
  await upstream.close();
});

const asked = async (name: string, type: string) => lines((await ask(dns.port, name, type)).answers);

describe.each<Transport>(["udp", "tcp"])("the name server over %s", (transport) => {
  it("answers its zones with authority", async () => {
    const answer = await ask(dns.port, "n8n.example.org", "A", { transport });

    expect(lines(answer.answers)).toEqual([
      "n8n.example.org A 203.0.113.10",
      "n8n.example.org A 203.0.113.11",
    ]);
    expect(answer).toMatchObject({
      id: 4711,
      rcode: "NOERROR",
      flag_aa: true,
      flag_ra: true,
      flag_rd: true,
      flag_tc: false,
    });
  });

  it("asks the other resolver for all else and passes its answer on", async () => {
    const answer = await ask(dns.port, "host.elsewhere.test", "A", { transport });

    expect(lines(answer.answers)).toEqual(["host.elsewhere.test A 192.0.2.77"]);
    expect(answer.id).toBe(4711);
    expect((await ask(dns.port, "none.elsewhere.test", "A", { transport })).rcode).toBe("NXDOMAIN");
  });
});

describe("an answer", () => {
  it("does not depend on the case of the question, but keeps it", async () => {
    const answer = await ask(dns.port, "N8n.eXample.ORG", "AAAA");

    expect(lines(answer.answers)).toEqual(["N8n.eXample.ORG AAAA 2001:db8:113::10"]);
    expect(answer.questions?.[0]?.name).toBe("N8n.eXample.ORG");
  });

  it("distinguishes an unknown name from one without such records", async () => {
    const missing = await ask(dns.port, "none.example.org", "A");
    const empty = await ask(dns.port, "n8n.example.org", "CAA");
    const between = await ask(dns.port, "er.example.org", "A");

    expect([missing.rcode, empty.rcode, between.rcode]).toEqual(["NXDOMAIN", "NOERROR", "NOERROR"]);
    for (const answer of [missing, empty, between]) {
      expect(answer.answers).toEqual([]);
      expect(answer.authorities).toMatchObject([
        { type: "SOA", name: "example.org", ttl: 60, data: { serial: 7 } },
      ]);
      expect(answer.flag_aa).toBe(true);
    }
  });

  it("gives every kind of record", async () => {
    expect(await asked("example.org", "MX")).toEqual([
      'example.org MX {"preference":10,"exchange":"mail.example.org"}',
    ]);
    expect(await asked("_sip._tcp.example.org", "SRV")).toEqual([
      '_sip._tcp.example.org SRV {"priority":1,"weight":2,"port":5060,"target":"n8n.example.org"}',
    ]);
    expect(await asked("example.org", "NS")).toEqual([
      "example.org NS dns10.ovh.net",
      "example.org NS ns10.ovh.net",
    ]);
    expect(await asked("example.org", "SOA")).toHaveLength(1);
    const [text] = (await ask(dns.port, "n8n.example.org", "TXT")).answers ?? [];
    expect(String((text as packet.TxtAnswer).data)).toBe("v=spf1 -all");
  });

  it("gives a CA the CAA records it checks, with their critical flag", async () => {
    const { answers } = await ask(dns.port, "example.org", "CAA");

    expect(answers?.map((answer) => (answer as packet.CaaAnswer).data)).toMatchObject([
      { flags: 0, tag: "issue", value: "letsencrypt.org; validationmethods=http-01", issuerCritical: false },
      { flags: 128, tag: "iodef", value: "mailto:admin@example.org", issuerCritical: true },
    ]);
  });

  it("follows aliases, into other people's zones too, and out of a loop", async () => {
    expect(await asked("alias.example.org", "AAAA")).toEqual([
      "alias.example.org CNAME n8n.example.org",
      "n8n.example.org AAAA 2001:db8:113::10",
    ]);
    expect(await asked("away.example.org", "A")).toEqual([
      "away.example.org CNAME host.elsewhere.test",
      "host.elsewhere.test A 192.0.2.77",
    ]);
    expect(await asked("alias.example.org", "CNAME")).toEqual(["alias.example.org CNAME n8n.example.org"]);
    expect((await asked("loop.example.org", "A")).length).toBeGreaterThan(0);
  });

  it("stands for every name below a wildcard, and for none beside it", async () => {
    expect(await asked("any.wild.example.org", "A")).toEqual(["any.wild.example.org A 203.0.113.13"]);
    expect((await ask(dns.port, "any.other.example.org", "A")).rcode).toBe("NXDOMAIN");
  });

  it("gives static names their addresses and nothing else", async () => {
    expect(await asked("Registry-1.docker.io", "A")).toEqual(["Registry-1.docker.io A 198.51.100.5"]);
    expect(await ask(dns.port, "registry-1.docker.io", "AAAA")).toMatchObject({
      rcode: "NOERROR",
      answers: [],
    });
  });

  it("is truncated over UDP where it does not fit, and whole over TCP", async () => {
    const small = await ask(dns.port, "long.example.org", "TXT");
    expect([small.flag_tc, small.answers]).toEqual([true, []]);
    expect((await ask(dns.port, "long.example.org", "TXT", { udpPayloadSize: 4096 })).flag_tc).toBe(true);
    const whole = await ask(dns.port, "long.example.org", "TXT", { transport: "tcp" });
    expect([whole.flag_tc, whole.answers?.length]).toEqual([false, 40]);
  });

  it("carries EDNS only to those who speak it", async () => {
    const size = { udpPayloadSize: 4096 };

    expect((await ask(dns.port, "n8n.example.org", "A", size)).additionals).toMatchObject([{ type: "OPT" }]);
    expect((await ask(dns.port, "n8n.example.org", "A")).additionals).toEqual([]);
  });
});

describe("a name server that cannot answer", () => {
  it("refuses what it does not know when there is nobody to ask", async () => {
    expect((await ask(upstream.port, "example.org", "A")).rcode).toBe("REFUSED");
  });

  it("says so when the other resolver is out of reach", async () => {
    await upstream.close();
    const answer = await ask(dns.port, "host.elsewhere.test", "A", { transport: "tcp" });
    upstream = await startDns({ zones: () => [] });

    expect(answer.rcode).toBe("SERVFAIL");
  });

  it("answers garbage with a format error, and survives it", async () => {
    const garbage = Buffer.alloc(16, 0x07);
    garbage[2] = 0;

    expect((await exchange(dns.port, garbage, "udp"))[3]).toBe(1);
    const socket = createSocket("udp4");
    socket.send(Buffer.from("x"), dns.port, "127.0.0.1", () => socket.close());
    expect(await asked("example.org", "A")).toHaveLength(1);
  });

  it("does not know other kinds of requests", async () => {
    const message = packet.encode({
      type: "query",
      id: 1,
      flags: 5 << 11,
      questions: [{ name: "example.org", type: "A" }],
    });

    expect(packet.decode(await exchange(dns.port, message, "udp"))).toMatchObject({ rcode: "NOTIMP" });
  });
});

describe("a TCP connection", () => {
  it("serves several questions, however they are cut into pieces", async () => {
    const question = (id: number): Buffer =>
      withLength(packet.encode({ type: "query", id, questions: [{ name: "example.org", type: "A" }] }));
    const both = Buffer.concat([question(1), question(2)]);
    const ids = await new Promise<number[]>((resolve) => {
      let received = Buffer.alloc(0);
      const seen: number[] = [];
      const socket = createConnection({ port: dns.port, host: "127.0.0.1", noDelay: true }, () => {
        socket.write(both.subarray(0, 5), () => socket.write(both.subarray(5)));
      });
      socket.on("data", (chunk) => {
        received = Buffer.concat([received, chunk]);
        while (received.length >= 2 && received.length >= 2 + received.readUInt16BE(0)) {
          const end = 2 + received.readUInt16BE(0);
          seen.push(packet.decode(received.subarray(2, end)).id ?? 0);
          received = received.subarray(end);
        }
        if (seen.length < 2) return;
        socket.destroy();
        resolve(seen);
      });
    });

    expect(ids.sort()).toEqual([1, 2]);
  });
});

describe("resolve", () => {
  it("gives both kinds of addresses, over aliases and from elsewhere", async () => {
    expect(await dns.resolve("n8n.example.org.")).toEqual([
      "203.0.113.10",
      "203.0.113.11",
      "2001:db8:113::10",
    ]);
    expect(await dns.resolve("away.example.org")).toEqual(["192.0.2.77"]);
    expect(await dns.resolve("none.example.org")).toEqual([]);
  });
});

describe("reverseName", () => {
  it.each([
    ["203.0.113.10", "10.113.0.203.in-addr.arpa"],
    ["2001:db8:113::10", `0.1.0.0.${"0.".repeat(16)}3.1.1.0.8.b.d.0.1.0.0.2.ip6.arpa`],
    ["::1", `1.${"0.".repeat(31)}ip6.arpa`],
  ])("of %s is what a PTR question asks for", (ip, name) => {
    expect(reverseName(ip)).toBe(name);
  });
});
