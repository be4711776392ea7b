import { afterEach, describe, expect, it, vi } from "vitest";

import { UNKNOWN } from "../../../provider/plugin/wire.ts";
import { checkCloudflareConfig, openCloudflare } from "../../../rehearsal/fake-plugins/cloudflare/client.ts";
import { createDnsRecordType } from "../../../rehearsal/fake-plugins/cloudflare/dns-record.ts";
import type { Properties, ResourceType } from "../../../rehearsal/fake-plugins/plugin.ts";
import { newCall } from "./new-call.ts";
import { startHttpDouble, type Answer, type HttpDouble, type Seen } from "./http-double.ts";

const SIGNAL = new AbortController().signal;
const TOKEN = "t".repeat(40);
const RECORD = {
  id: "r1",
  name: "n8n.example.com",
  type: "A",
  content: "203.0.113.10",
  ttl: 300,
  proxied: false,
  proxiable: true,
  settings: {},
  meta: {},
  tags: [],
  created_on: "2026-01-01T00:00:00Z",
  modified_on: "2026-01-01T00:00:00Z",
};
const INPUTS: Properties = { zoneId: "z1", name: "n8n", type: "A", content: "203.0.113.10", ttl: 300 };
const STATE: Properties = { ...INPUTS, name: "n8n.example.com", proxied: false, settings: {}, tags: [] };

interface Setting extends AsyncDisposable {
  readonly api: HttpDouble;
  readonly records: ResourceType;
}

async function start(answer: (request: Seen) => Answer): Promise<Setting> {
  const api = await startHttpDouble(answer);
  const call = openCloudflare({ apiToken: TOKEN, baseUrl: `${api.url}/client/v4` }, SIGNAL);
  return {
    api,
    records: createDnsRecordType(call),
    [Symbol.asyncDispose]: () => api[Symbol.asyncDispose](),
  };
}

const succeed = (result: unknown): Answer => ({ json: { success: true, errors: [], messages: [], result } });
const fail = (status: number, headers: Record<string, string> = {}): Answer => ({
  status,
  headers,
  json: { success: false, errors: [{ code: 10000, message: "no" }], messages: [], result: null },
});

afterEach(() => {
  vi.unstubAllEnvs();
});

describe("cloudflare.DnsRecord", () => {
  it("posts the fields that are set and keeps the name as the program wrote it", async () => {
    await using setting = await start(() => succeed(RECORD));

    const made = await setting.records.create(newCall(), { ...INPUTS, comment: "ours" });

    const { method, path, headers, body } = setting.api.seen[0]!;
    expect(`${method} ${path}`).toBe("POST /client/v4/zones/z1/dns_records");
    expect(headers.authorization).toBe(`Bearer ${TOKEN}`);
    expect(JSON.parse(body)).toEqual({
      name: "n8n",
      type: "A",
      content: "203.0.113.10",
      ttl: 300,
      proxied: false,
      comment: "ours",
    });
    expect(made.id).toBe("r1");
    expect(made.state).toMatchObject({
      name: "n8n",
      proxied: false,
      modifiedOn: RECORD.modified_on,
      meta: "{}",
      tags: [],
    });
  });

  it("posts a CAA record by its parts", async () => {
    const data = { flags: 0, tag: "issue", value: "letsencrypt.org" };
    const content = '0 issue "letsencrypt.org"';
    await using setting = await start(() => succeed({ ...RECORD, type: "CAA", content, data }));
    const inputs = { zoneId: "z1", name: "n8n.example.com", type: "CAA", ttl: 300, data };

    const made = await setting.records.create(newCall(), inputs);

    expect(JSON.parse(setting.api.seen[0]!.body)).toEqual({
      name: inputs.name,
      type: "CAA",
      ttl: 300,
      proxied: false,
      data,
    });
    expect(made.state.content).toBe(content);
    expect(setting.records.diff(made, inputs)).toEqual([]);
  });

  it("calls nothing in a preview and marks as unknown what only the API knows", async () => {
    await using setting = await start(() => fail(500));

    const { state } = await setting.records.create(newCall({ preview: true }), INPUTS);

    expect(state).toMatchObject({
      content: "203.0.113.10",
      proxied: false,
      createdOn: UNKNOWN,
      meta: UNKNOWN,
    });
    expect(setting.api.seen).toEqual([]);
  });

  it("fails on creation when a proxied record has a time to live of its own", async () => {
    await using setting = await start(() => succeed(RECORD));

    await expect(setting.records.create(newCall(), { ...INPUTS, proxied: true })).rejects.toThrow(
      "ttl must be set to 1 when `proxied` is true",
    );
    expect(setting.api.seen).toEqual([]);
  });

  it("reads drift into the inputs, but not another spelling of the name", async () => {
    await using setting = await start(() => succeed({ ...RECORD, content: "198.51.100.9" }));

    const found = await setting.records.read(newCall(), { id: "r1", state: STATE }, INPUTS);

    expect(setting.api.lines()).toEqual(["GET /client/v4/zones/z1/dns_records/r1"]);
    expect(found?.inputs).toEqual({ ...INPUTS, content: "198.51.100.9" });
    expect(found?.state).toMatchObject({ name: "n8n.example.com", content: "198.51.100.9", zoneId: "z1" });
    expect(setting.records.diff(found!, INPUTS)).toEqual([
      { property: "content", kind: "update", replace: false },
    ]);
  });

  it("treats a missing record as gone", async () => {
    await using setting = await start(() => fail(404));

    await expect(
      setting.records.read(newCall(), { id: "r1", state: STATE }, INPUTS),
    ).resolves.toBeUndefined();
  });

  it("imports by zone and record", async () => {
    await using setting = await start(() => succeed(RECORD));

    const found = await setting.records.read(newCall(), { id: "z1/r1", state: {} }, {});

    expect(setting.api.lines()).toEqual(["GET /client/v4/zones/z1/dns_records/r1"]);
    expect(found?.id).toBe("r1");
    expect(found?.inputs).toMatchObject({ zoneId: "z1", name: "n8n.example.com", type: "A", ttl: 300 });
  });

  it("puts the whole record on update, and removes a comment that is no longer given", async () => {
    await using setting = await start(() => succeed(RECORD));
    const existing = { id: "r1", state: { ...STATE, comment: "old" } };

    await setting.records.update(newCall(), existing, { ...INPUTS, ttl: 600 });

    const { method, path, body } = setting.api.seen[0]!;
    expect(`${method} ${path}`).toBe("PUT /client/v4/zones/z1/dns_records/r1");
    expect(JSON.parse(body)).toEqual({
      name: "n8n",
      type: "A",
      content: "203.0.113.10",
      ttl: 600,
      proxied: false,
      comment: null,
      settings: {},
      tags: [],
    });
  });

  it("fails to delete a record that is already gone", async () => {
    await using setting = await start(() => fail(404));

    await expect(setting.records.delete(newCall(), { id: "r1", state: STATE })).rejects.toThrow(
      /^DELETE \/zones\/z1\/dns_records\/r1: 404 \{.*"code":10000,"message":"no"/,
    );
  });

  it("is replaced for another zone or type only", async () => {
    await using setting = await start(() => fail(500));
    const changes = (change: Properties) =>
      setting.records.diff({ id: "r1", state: STATE }, { ...INPUTS, ...change });

    expect(changes({})).toEqual([]);
    expect(changes({ zoneId: "z2" })).toEqual([{ property: "zoneId", kind: "update", replace: true }]);
    expect(changes({ type: "AAAA" })).toEqual([{ property: "type", kind: "update", replace: true }]);
    for (const change of [
      { name: "m" },
      { ttl: 60 },
      { content: "192.0.2.1" },
      { proxied: true },
      { comment: "x" },
    ]) {
      expect(changes(change)).toMatchObject([{ property: Object.keys(change)[0], replace: false }]);
    }
    expect(changes({ content: UNKNOWN })).toMatchObject([{ property: "content" }]);
  });

  it("refuses missing and unknown inputs", async () => {
    await using setting = await start(() => fail(500));

    expect(setting.records.check({ ...INPUTS, ttl: null, value: "x" })).toEqual([
      { property: "value", reason: "the rehearsal's plugin does not have this input" },
      { property: "ttl", reason: "missing required property" },
    ]);
  });
});

describe("openCloudflare", () => {
  it("retries as often as the answers ask for", async () => {
    let calls = 0;
    await using setting = await start(() =>
      ++calls < 11 ? fail(503, { "retry-after-ms": "1" }) : succeed(RECORD),
    );

    const found = await setting.records.read(newCall(), { id: "r1", state: STATE }, INPUTS);

    expect(found?.id).toBe("r1");
    expect(setting.api.seen).toHaveLength(11);
  });

  it("gives up after eleven attempts", async () => {
    await using setting = await start(() => fail(500, { "retry-after-ms": "1" }));

    await expect(setting.records.delete(newCall(), { id: "r1", state: STATE })).rejects.toThrow(": 500 {");
    expect(setting.api.seen).toHaveLength(11);
  });

  it.each([400, 401, 403])("fails immediately on %i", async (status) => {
    await using setting = await start(() => fail(status));

    await expect(setting.records.delete(newCall(), { id: "r1", state: STATE })).rejects.toThrow(
      `: ${status} {`,
    );
    expect(setting.api.seen).toHaveLength(1);
  });

  it("takes token and address from the environment when the provider has none", async () => {
    await using api = await startHttpDouble(() => succeed(RECORD));
    vi.stubEnv("CLOUDFLARE_API_TOKEN", "short");
    vi.stubEnv("CLOUDFLARE_BASE_URL", `${api.url}/client/v4`);

    await openCloudflare({}, SIGNAL)("get", "/zones");

    expect(api.seen[0]?.headers.authorization).toBe("Bearer short");
  });

  it("fails without credentials", async () => {
    const call = openCloudflare({ baseUrl: "http://127.0.0.1:1/client/v4" }, SIGNAL);

    await expect(call("get", "/zones")).rejects.toThrow("cloudflare: credentials are missing");
  });
});

describe("checkCloudflareConfig", () => {
  it("refuses a token of another shape, unless it is unknown", () => {
    expect(checkCloudflareConfig({ apiToken: TOKEN })).toEqual([]);
    expect(checkCloudflareConfig({ apiToken: UNKNOWN })).toEqual([]);
    expect(checkCloudflareConfig({})).toEqual([]);
    for (const apiToken of ["t".repeat(39), "t".repeat(81), `${"t".repeat(40)}!`]) {
      const failures = checkCloudflareConfig({ apiToken });
      expect(failures).toMatchObject([{ property: "" }]);
      expect(JSON.stringify(failures)).not.toContain(apiToken);
    }
  });
});
