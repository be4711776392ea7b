import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { UserError } from "../../../common/user-error.ts";
import { type DnsZone, openDnsZone } from "../../../provider/dns/records.ts";
import {
  type FakeCloudflare,
  DEFAULT_TOKEN,
  startCloudflare,
} from "../../../rehearsal/fake-clouds/cloudflare/server.ts";
import { NoMachine } from "../../../rehearsal/fake-clouds/machine/machine.ts";
import { DEFAULT_CREDENTIAL, type FakeOvh, startOvh } from "../../../rehearsal/fake-clouds/ovh/server.ts";
import { ovhClient } from "../../rehearsal/fake-clouds/ovh/client.ts";
import { environmentWith } from "../../support/fixtures.ts";

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

function zoneAt(
  provider: "cloudflare" | "ovh",
  options: { readonly secrets?: Record<string, string>; readonly fetch?: typeof fetch } = {},
): DnsZone {
  const environment = environmentWith();
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
      ...options.secrets,
    },
    ...(options.fetch && { fetch: options.fetch }),
  });
}

/** Adds records without the zone under test. */
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

describe.each(["cloudflare", "ovh"] as const)("openDnsZone at %s", (provider) => {
  it("lists the records of one name, whoever created them", async () => {
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

  it("removes one record and leaves the others", async () => {
    await add(provider, [
      [NAME, "A", "198.51.100.7"],
      [NAME, "A", "198.51.100.9"],
    ]);
    const zone = zoneAt(provider);
    const extra = (await zone.list(NAME)).find(({ content }) => content === "198.51.100.9");
    await zone.remove(extra!);

    expect((await zone.list(NAME)).map(({ content }) => content)).toEqual(["198.51.100.7"]);
  });

  it("names what to check when the key is refused, and hides the key", async () => {
    const wrong = "w".repeat(40);
    const zone = zoneAt(provider, { secrets: { cloudflareApiToken: wrong, ovhConsumerKey: wrong } });
    const error = await zone.list(NAME).catch((caught: unknown) => caught as Error);

    expect(error).toBeInstanceOf(UserError);
    expect((error as Error).message).toMatch(/cloudflareApiToken|ovhConsumerKey|consumer/i);
    expect((error as Error).message).not.toContain(wrong);
  });

  it("keeps a bug of ours as it is", async () => {
    // Every real response has headers; without them the client throws, as it would with a bug.
    const broken = { ok: false, status: 500, text: () => Promise.resolve("") } as Response;
    const answer = () => Promise.resolve(broken);
    const error = await zoneAt(provider, { fetch: answer })
      .list(NAME)
      .catch((caught: unknown) => caught);

    expect(error).toBeInstanceOf(TypeError);
  });
});

describe("openDnsZone at cloudflare", () => {
  it("names the host when there is no answer", async () => {
    const refuse = () =>
      Promise.reject(
        new TypeError("fetch failed", {
          cause: Object.assign(new Error("connect"), { code: "ECONNREFUSED" }),
        }),
      );
    const error = await zoneAt("cloudflare", { fetch: refuse })
      .list(NAME)
      .catch((caught: unknown) => caught);

    expect(error).toBeInstanceOf(UserError);
    expect((error as Error).message).toBe(
      `Cloudflare: ${new URL(cloudflare.url).host} does not answer (ECONNREFUSED); check that this machine can reach it`,
    );
  });

  it("names the secret to set when there is no token", async () => {
    const zone = zoneAt("cloudflare", { secrets: { cloudflareApiToken: "" } });

    await expect(zone.list(NAME)).rejects.toThrow(
      "Cloudflare: cloudflareApiToken is not set; run pulumi config set --secret technicia:cloudflareApiToken",
    );
  });

  it("ignores the keys in Cloudflare's environment variables", async () => {
    vi.stubEnv("CLOUDFLARE_API_KEY", "somebody-elses-key");
    vi.stubEnv("CLOUDFLARE_EMAIL", "somebody@else.example");
    vi.stubEnv("CLOUDFLARE_BASE_URL", "https://else.example");
    const sent: Headers[] = [];
    const zone = zoneAt("cloudflare", {
      fetch: (input, init) => {
        sent.push(new Headers(init?.headers));
        return fetch(input, init);
      },
    });

    expect(await zone.list(NAME)).toEqual([]);
    expect(sent.map((headers) => headers.get("x-auth-key"))).toEqual([null]);
  });
});
