import { createHash } from "node:crypto";

import { describe, expect, it } from "vitest";

import type { Clock } from "../../../common/until.ts";
import { UNKNOWN } from "../../../provider/plugin/wire.ts";
import { connectOvh, escapePath, type OvhApi } from "../../../rehearsal/fake-plugins/ovh/client.ts";
import { createReverseType } from "../../../rehearsal/fake-plugins/ovh/reverse.ts";
import { createZoneRecordType } from "../../../rehearsal/fake-plugins/ovh/zone-record.ts";
import type { Properties } from "../../../rehearsal/fake-plugins/plugin.ts";
import { newCall } from "./new-call.ts";
import { startHttpDouble, type Answer, type HttpDouble, type Seen } from "./http-double.ts";

const KEYS = { applicationKey: "ak", applicationSecret: "as", consumerKey: "ck" };
const SIGNAL = new AbortController().signal;
// The double's clock is far from ours, so that a signature with our own time is refused.
const THEIR_TIME = 1_234_567_890;

interface Setting extends AsyncDisposable {
  readonly api: HttpDouble;
  readonly ovh: OvhApi;
  readonly waits: number[];

  /** Requests after those that confirm the credentials. */
  readonly calls: () => string[];
}

function isSigned(url: string, { method, path, headers, body }: Seen): boolean {
  const timestamp = Number(headers["x-ovh-timestamp"]);
  const text = [KEYS.applicationSecret, KEYS.consumerKey, method, `${url}${path}`, body, timestamp].join("+");
  return (
    headers["x-ovh-application"] === KEYS.applicationKey &&
    headers["x-ovh-consumer"] === KEYS.consumerKey &&
    headers["x-ovh-signature"] === `$1$${createHash("sha1").update(text).digest("hex")}` &&
    Math.abs(timestamp - THEIR_TIME) < 30
  );
}

async function start(answer: (request: Seen) => Answer): Promise<Setting> {
  const api: HttpDouble = await startHttpDouble((request): Answer => {
    if (request.path === "/1.0/auth/time") {
      return { json: THEIR_TIME };
    }
    if (!isSigned(api.url, request)) {
      return { status: 400, json: { message: "Invalid signature", class: "Client::BadRequest" } };
    }
    return request.path === "/1.0/auth/details" ? { json: {} } : answer(request);
  });
  const waits: number[] = [];
  const clock: Clock = {
    now: () => waits.reduce((sum, wait) => sum + wait, 0),
    wait: (milliseconds) => Promise.resolve(void waits.push(milliseconds)),
  };
  const ovh = await connectOvh({ config: { endpoint: `${api.url}/1.0`, ...KEYS }, signal: SIGNAL, clock });

  return {
    api,
    ovh,
    waits,
    calls: () => api.lines().slice(4),
    [Symbol.asyncDispose]: () => api[Symbol.asyncDispose](),
  };
}

const refuse = (status: number, message = "no"): Answer => ({ status, json: { message } });

describe("connectOvh", () => {
  it("reads the time and its own rights, once for each half of the official plugin", async () => {
    await using setting = await start(() => refuse(500));

    expect(setting.api.lines()).toEqual([
      "GET /1.0/auth/time",
      "GET /1.0/auth/details",
      "GET /1.0/auth/time",
      "GET /1.0/auth/details",
    ]);
  });

  it("fails when the API refuses the credentials", async () => {
    await using api = await startHttpDouble(({ path }) =>
      path === "/1.0/auth/time" ? { json: THEIR_TIME } : refuse(403, "This credential is not valid"),
    );

    await expect(
      connectOvh({ config: { endpoint: `${api.url}/1.0`, ...KEYS }, signal: SIGNAL }),
    ).rejects.toThrow(
      'OVH client seems to be misconfigured: "GET /auth/details: expected an answer, got 403 \\"This credential is not valid\\"; set technicia:ovhConsumerKey',
    );
  });

  it.each([
    [{ endpoint: "ovh-mars", ...KEYS }, /expected ovh-eu, .* got "ovh-mars"/],
    [{ endpoint: "http://127.0.0.1:1/1.0/", ...KEYS }, /without a trailing slash/],
    [{ endpoint: "ovh-eu" }, /expected keys of an OVH account, got none/],
    [{ endpoint: "ovh-eu", ...KEYS, clientId: "i", clientSecret: "s" }, /one way to log in, got two/],
    [{ endpoint: "ovh-eu", applicationKey: "ak" }, /expected keys of an OVH account, got none/],
    [
      { endpoint: "http://127.0.0.1:1/1.0", clientId: "i", clientSecret: "s" },
      /expected ovh-eu, .* with a service account/,
    ],
  ])("fails with %j", async (config, message) => {
    await expect(connectOvh({ config, signal: SIGNAL })).rejects.toThrow(message);
  });
});

describe("escapePath", () => {
  it("escapes the slash of a block and leaves an IPv6 address as it is", () => {
    expect(escapePath("2001:db8:113::10/128")).toBe("2001:db8:113::10%2F128");
  });
});

describe("ovh.ip.Reverse", () => {
  const INPUTS: Properties = {
    ip: "203.0.113.10/32",
    ReverseIp: "203.0.113.10",
    ReverseValue: "n8n.example.com.",
  };
  const ANSWER = { ipReverse: "203.0.113.10", reverse: "n8n.example.com." };
  const existing = { id: "203.0.113.10", state: INPUTS };

  it("posts the name and reads it back", async () => {
    await using setting = await start(() => ({ json: ANSWER }));

    const made = await createReverseType(setting.ovh).create(newCall(), INPUTS);

    expect(setting.calls()).toEqual([
      'POST /1.0/ip/203.0.113.10%2F32/reverse {"ipReverse":"203.0.113.10","reverse":"n8n.example.com."}',
      "GET /1.0/ip/203.0.113.10%2F32/reverse/203.0.113.10",
    ]);
    expect(setting.api.seen[4]?.headers["content-type"]).toBe("application/json;charset=utf-8");
    expect(made).toEqual({ id: "203.0.113.10", state: INPUTS });
  });

  it("waits as long as readinessTimeoutDuration until the API accepts the name", async () => {
    let posts = 0;
    await using setting = await start(({ method }) =>
      method === "POST" && ++posts < 4 ? refuse(400, "not yet") : { json: ANSWER },
    );

    await createReverseType(setting.ovh).create(newCall(), { ...INPUTS, readinessTimeoutDuration: "15s" });

    expect(setting.waits).toEqual([5_000, 5_000, 5_000]);
  });

  it("fails after a minute by default, and immediately on any other answer", async () => {
    await using never = await start(() => refuse(400, "not yet"));
    await using forbidden = await start(() => refuse(403, "not yours"));

    await expect(createReverseType(never.ovh).create(newCall(), INPUTS)).rejects.toThrow(
      /^Failed to create OVH IP Reverse: POST \/ip\/\S+: expected an answer, got 400 "not yet"/,
    );
    await expect(createReverseType(forbidden.ovh).create(newCall(), INPUTS)).rejects.toThrow(/got 403 /);

    expect(never.waits).toHaveLength(12);
    expect(forbidden.waits).toEqual([]);
  });

  it("reads drift, treats 404 as gone, and fails on anything else", async () => {
    await using changed = await start(() => ({ json: { ...ANSWER, reverse: "other.example.com." } }));
    await using gone = await start(() => refuse(404));
    await using broken = await start(() => refuse(500));

    const found = await createReverseType(changed.ovh).read(newCall(), existing, INPUTS);
    expect(found?.inputs).toEqual({ ...INPUTS, ReverseValue: "other.example.com." });
    await expect(createReverseType(gone.ovh).read(newCall(), existing, INPUTS)).resolves.toBeUndefined();
    await expect(createReverseType(broken.ovh).read(newCall(), existing, INPUTS)).rejects.toThrow(/got 500 /);
  });

  it("deletes a name, and accepts that it is already gone", async () => {
    await using there = await start(() => ({ json: null }));
    await using gone = await start(() => refuse(404));

    await createReverseType(there.ovh).delete(newCall(), existing);
    await createReverseType(gone.ovh).delete(newCall(), existing);

    expect(there.calls()).toEqual(["DELETE /1.0/ip/203.0.113.10%2F32/reverse/203.0.113.10"]);
  });

  it("is replaced by every change", async () => {
    await using setting = await start(() => refuse(500));
    const type = createReverseType(setting.ovh);

    expect(type.diff(existing, INPUTS)).toEqual([]);
    for (const change of [
      { ip: "192.0.2.1/32" },
      { ReverseIp: "192.0.2.1" },
      { ReverseValue: "x." },
      { ReverseValue: UNKNOWN },
    ]) {
      expect(type.diff(existing, { ...INPUTS, ...change })).toMatchObject([{ replace: true }]);
    }
    expect(type.check({ ...INPUTS, readinessTimeoutDuration: "soon" })).toMatchObject([
      { property: "readinessTimeoutDuration" },
    ]);
  });

  it("imports by block and address", async () => {
    await using setting = await start(() => ({ json: ANSWER }));

    const found = await createReverseType(setting.ovh).read(
      newCall(),
      { id: "203.0.113.10/32|203.0.113.10", state: {} },
      {},
    );

    expect(found).toMatchObject({ id: "203.0.113.10", inputs: INPUTS });
  });
});

describe("ovh.domain.ZoneRecord", () => {
  const INPUTS: Properties = {
    zone: "example.com",
    subdomain: "n8n",
    fieldtype: "A",
    ttl: 300,
    target: "203.0.113.10",
  };
  const RECORD = {
    id: 7,
    zone: "example.com",
    subDomain: "n8n",
    fieldType: "A",
    ttl: 300,
    target: "203.0.113.10",
  };
  const existing = { id: "7", state: INPUTS };
  const answerWith = (record: unknown) => (): Answer => ({ json: record });

  it("posts the record, refreshes the zone and reads the record back", async () => {
    await using setting = await start(({ path }) => ({ json: path.endsWith("/refresh") ? null : RECORD }));

    const made = await createZoneRecordType(setting.ovh).create(newCall(), INPUTS);

    expect(setting.calls()).toEqual([
      'POST /1.0/domain/zone/example.com/record {"target":"203.0.113.10","ttl":300,"fieldType":"A","subDomain":"n8n"}',
      "POST /1.0/domain/zone/example.com/refresh",
      "GET /1.0/domain/zone/example.com/record/7",
    ]);
    expect(made).toEqual({ id: "7", state: INPUTS });
  });

  it("leaves an empty subdomain out and sends a time to live of 0 by default", async () => {
    await using setting = await start(answerWith({ ...RECORD, subDomain: "", ttl: 0 }));
    const inputs = { zone: "example.com", subdomain: "", fieldtype: "A", target: "203.0.113.10" };
    const type = createZoneRecordType(setting.ovh);

    const made = await type.create(newCall(), inputs);

    expect(setting.calls()[0]).toBe(
      'POST /1.0/domain/zone/example.com/record {"target":"203.0.113.10","ttl":0,"fieldType":"A"}',
    );
    expect(type.diff(made, inputs)).toEqual([]);
  });

  it("does not fail when the zone cannot be refreshed", async () => {
    await using setting = await start(({ path }) =>
      path.endsWith("/refresh") ? refuse(500) : { json: RECORD },
    );

    await expect(createZoneRecordType(setting.ovh).create(newCall(), INPUTS)).resolves.toMatchObject({
      id: "7",
    });
  });

  it("waits for a new record to appear", async () => {
    let reads = 0;
    await using setting = await start(({ method }) =>
      method === "GET" && ++reads < 4 ? refuse(404) : { json: RECORD },
    );

    await createZoneRecordType(setting.ovh).create(newCall(), INPUTS);

    expect(setting.waits).toEqual([500, 1_000, 2_000]);
  });

  it("looks for the new record when the API answers without an id", async () => {
    await using setting = await start(({ method, path }) => {
      if (path.endsWith("/record")) {
        return { json: method === "POST" ? { ...RECORD, id: 0 } : [5, 7, 9] };
      }
      return { json: path.endsWith("/9") ? { ...RECORD, id: 9, target: "192.0.2.1" } : RECORD };
    });

    await expect(createZoneRecordType(setting.ovh).create(newCall(), INPUTS)).resolves.toMatchObject({
      id: "7",
    });
  });

  it("updates other inputs in place and is replaced for another zone or type", async () => {
    await using setting = await start(answerWith({ ...RECORD, ttl: 600 }));
    const type = createZoneRecordType(setting.ovh);

    await expect(type.update(newCall(), existing, { ...INPUTS, ttl: 600 })).resolves.toMatchObject({
      ttl: 600,
    });

    expect(setting.calls()).toEqual([
      'PUT /1.0/domain/zone/example.com/record/7 {"target":"203.0.113.10","ttl":600,"subDomain":"n8n"}',
      "POST /1.0/domain/zone/example.com/refresh",
      "GET /1.0/domain/zone/example.com/record/7",
    ]);
    const changes = (change: Properties) => type.diff(existing, { ...INPUTS, ...change });
    expect(changes({ zone: "x.org" })).toMatchObject([{ replace: true }]);
    expect(changes({ fieldtype: "AAAA" })).toMatchObject([{ replace: true }]);
    expect(changes({ target: "192.0.2.1" })).toMatchObject([{ replace: false }]);
    expect(changes({ subdomain: "m" })).toMatchObject([{ replace: false }]);
  });

  it("ignores the quotes that the API adds to a text", async () => {
    await using setting = await start(answerWith({ ...RECORD, fieldType: "TXT", target: '"v=spf1 -all"' }));
    const inputs = { ...INPUTS, fieldtype: "TXT", target: "v=spf1 -all" };
    const type = createZoneRecordType(setting.ovh);

    const found = await type.read(newCall(), { id: "7", state: inputs }, inputs);

    expect(found?.inputs).toEqual(inputs);
    expect(type.diff(found!, inputs)).toEqual([]);
  });

  it("treats 404 as gone when it reads and when it deletes", async () => {
    await using setting = await start(() => refuse(404));
    const type = createZoneRecordType(setting.ovh);

    await expect(type.read(newCall(), existing, INPUTS)).resolves.toBeUndefined();
    await type.delete(newCall(), existing);

    expect(setting.calls()).toEqual([
      "GET /1.0/domain/zone/example.com/record/7",
      "DELETE /1.0/domain/zone/example.com/record/7",
    ]);
  });

  it("refreshes the zone after a deletion", async () => {
    await using setting = await start(answerWith(null));

    await createZoneRecordType(setting.ovh).delete(newCall(), existing);

    expect(setting.calls().at(-1)).toBe("POST /1.0/domain/zone/example.com/refresh");
  });

  it("fails with a time to live that the API refuses", async () => {
    await using setting = await start(() => refuse(500));

    expect(createZoneRecordType(setting.ovh).check({ ...INPUTS, ttl: 59 })).toEqual([
      { property: "ttl", reason: '"ttl" must be either equal to 0 or, greater than or equal to 60, got: 59' },
    ]);
  });
});
