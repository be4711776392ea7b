import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { type DnsZone, openDnsZone } from "../../../ops/vendors/dns-records.ts";
import {
  type FakeCloudflare,
  DEFAULT_TOKEN,
  startCloudflare,
} from "../../../rehearsal/fake-clouds/cloudflare/server.ts";
import { NoMachine } from "../../../rehearsal/fake-clouds/machine/machine.ts";
import { DEFAULT_CREDENTIAL, type FakeOvh, startOvh } from "../../../rehearsal/fake-clouds/ovh/server.ts";
import { ovhClient } from "../../rehearsal/fake-clouds/ovh/client.ts";
import { validEnvironment } from "../../support/fixtures.ts";

const ZONE = "example.org";
const NAME = `test.${ZONE}`;

let cloudflare: FakeCloudflare;
let ovh: FakeOvh;

beforeEach(async () => {
  cloudflare = await startCloudflare({ zones: [ZONE] });
  ovh = await startOvh({ machine: new NoMachine(), zones: [ZONE] });
});
afterEach(async () => {
  await cloudflare.close();
  await ovh.close();
});

function zoneAt(provider: "cloudflare" | "ovh", secrets: Record<string, string> = {}): DnsZone {
  const environment = validEnvironment();
  return openDnsZone({
    environment: {
      ovh: { endpoint: ovh.url },
      dns: {
        ...environment.dns,
        provider,
        zone: ZONE,
        zoneId: cloudflare.state.zones[0]?.id ?? "",
        cloudflareBaseUrl: cloudflare.url,
      },
    },
    secrets: {
      cloudflareApiToken: DEFAULT_TOKEN.token,
      ovhApplicationKey: DEFAULT_CREDENTIAL.applicationKey,
      ovhApplicationSecret: DEFAULT_CREDENTIAL.applicationSecret,
      ovhConsumerKey: DEFAULT_CREDENTIAL.consumerKey,
      ...secrets,
    },
  });
}

/** Puts records there as somebody else would. */
async function add(provider: "cloudflare" | "ovh", records: readonly [string, string, string][]) {
  for (const [name, type, content] of records) {
    if (provider === "cloudflare") {
      const zoneId = cloudflare.state.zones[0]?.id ?? "";
      await fetch(`${cloudflare.url}/zones/${zoneId}/dns_records`, {
        method: "POST",
        headers: { authorization: `Bearer ${DEFAULT_TOKEN.token}`, "content-type": "application/json" },
        body: JSON.stringify({ name, type, content, ttl: 300 }),
      });
    } else {
      await ovhClient(ovh.url)("POST", `/domain/zone/${ZONE}/record`, {
        fieldType: type,
        subDomain: name.slice(0, -(ZONE.length + 1)),
        target: content,
        ttl: 300,
      });
    }
  }
}

describe.each(["cloudflare", "ovh"] as const)("the records at %s", (provider) => {
  it("are listed by name, whoever made them, and nothing of another name", async () => {
    await add(provider, [
      [NAME, "A", "198.51.100.7"],
      [NAME, "AAAA", "2001:db8::7"],
      [`other.${ZONE}`, "A", "198.51.100.8"],
    ]);
    const listed = await zoneAt(provider).list(NAME);

    expect(listed.map(({ name, type, content }) => [name, type, content]).sort()).toEqual([
      [NAME, "A", "198.51.100.7"],
      [NAME, "AAAA", "2001:db8::7"],
    ]);
  });

  it("are removed one by one", async () => {
    await add(provider, [
      [NAME, "A", "198.51.100.7"],
      [NAME, "A", "198.51.100.9"],
    ]);
    const zone = zoneAt(provider);
    const extra = (await zone.list(NAME)).find(({ content }) => content === "198.51.100.9");
    await zone.remove(extra!);

    expect((await zone.list(NAME)).map(({ content }) => content)).toEqual(["198.51.100.7"]);
  });

  it("say what to check when the key is refused, and never the key", async () => {
    const wrong = "w".repeat(40);
    const zone = zoneAt(provider, { cloudflareApiToken: wrong, ovhConsumerKey: wrong });
    const error = await zone.list(NAME).catch((caught: unknown) => caught as Error);

    expect(error).toMatchObject({ name: "UserError" });
    expect((error as Error).message).toMatch(/cloudflareApiToken|ovhConsumerKey|consumer/i);
    expect((error as Error).message).not.toContain(wrong);
  });
});
