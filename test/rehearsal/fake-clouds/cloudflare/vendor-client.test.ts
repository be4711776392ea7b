import Cloudflare, { APIError, AuthenticationError, NotFoundError, PermissionDeniedError } from "cloudflare";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

import {
  type FakeCloudflare,
  DEFAULT_TOKEN,
  startCloudflare,
} from "../../../../rehearsal/fake-clouds/cloudflare/server.ts";

let cloudflare: FakeCloudflare;
let client: Cloudflare;
let zoneId: string;

function clientWith(apiToken: string): Cloudflare {
  return new Cloudflare({ apiToken, baseURL: cloudflare.url, maxRetries: 0 });
}

beforeEach(async () => {
  cloudflare = await startCloudflare({ zones: ["example.org", "other.net"] });
  client = clientWith(DEFAULT_TOKEN.token);
  zoneId = cloudflare.state.zones[0]?.id ?? "";
});
afterEach(() => cloudflare.close());

describe("Cloudflare's own client", () => {
  const record = { name: "n8n.example.org", type: "A", content: "203.0.113.10", ttl: 300 } as const;

  it("finds a zone by name and reads all pages", async () => {
    const names: string[] = [];
    for await (const zone of client.zones.list({ per_page: 1 })) names.push(zone.name);
    const [found] = (await client.zones.list({ name: "example.org" })).result;

    expect(names).toEqual(["example.org", "other.net"]);
    expect(found?.id).toBe(zoneId);
    expect((await client.zones.get({ zone_id: zoneId })).status).toBe("active");
  });

  it("creates, lists, updates and deletes a record", async () => {
    const made = await client.dns.records.create({ zone_id: zoneId, ...record });
    const listed = await client.dns.records.list({ zone_id: zoneId, type: "A" });
    const updated = await client.dns.records.update(made.id, {
      zone_id: zoneId,
      ...record,
      content: "203.0.113.11",
    });
    const edited = await client.dns.records.edit(made.id, { zone_id: zoneId, ...record, ttl: 60 });
    const deleted = await client.dns.records.delete(made.id, { zone_id: zoneId });

    expect(listed.result.map(({ id }) => id)).toEqual([made.id]);
    expect([updated.content, edited.ttl, deleted.id]).toEqual(["203.0.113.11", 60, made.id]);
    await expect(client.dns.records.get(made.id, { zone_id: zoneId })).rejects.toBeInstanceOf(NotFoundError);
  });

  it("understands the refusals", async () => {
    await client.dns.records.create({ zone_id: zoneId, ...record });
    const error: unknown = await client.dns.records
      .create({ zone_id: zoneId, ...record })
      .catch((e: unknown) => e);

    expect(error).toBeInstanceOf(APIError);
    expect((error as APIError).errors).toMatchObject([
      { code: 81058, message: "An identical record already exists." },
    ]);
    const refused: unknown = await clientWith("x".repeat(40))
      .zones.list()
      .catch((e: unknown) => e);
    expect(refused).toBeInstanceOf(PermissionDeniedError);
    expect(refused).not.toBeInstanceOf(AuthenticationError);
  });

  it("retries after a 429 at the time that the answer names", async () => {
    cloudflare.faults.add({
      api: "cloudflare",
      path: "^/zones",
      status: 429,
      headers: { "retry-after-ms": "1" },
    });
    const patient = new Cloudflare({ apiToken: DEFAULT_TOKEN.token, baseURL: cloudflare.url, maxRetries: 1 });

    expect((await patient.zones.list()).result).toHaveLength(2);
    expect(cloudflare.calls.list("cloudflare").map(({ status }) => status)).toEqual([429, 200]);
  });
});
