/* eslint-disable
  @typescript-eslint/no-unsafe-assignment,
  @typescript-eslint/no-unsafe-member-access
  -- answers have every shape, and their shape is what is asserted here */
import { createHash } from "node:crypto";
import { request } from "node:http";

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { ManualClock } from "../../../../rehearsal/fake-clouds/clock.ts";
import {
  DEFAULT_CREDENTIAL,
  type FakeOvh,
  type OvhOptions,
  startOvh,
} from "../../../../rehearsal/fake-clouds/ovh/server.ts";
import { anonymously, ovhClient } from "./client.ts";

let ovh: FakeOvh;

async function start(options: OvhOptions = {}): Promise<ReturnType<typeof ovhClient>> {
  await ovh.close();
  ovh = await startOvh(options);
  return ovhClient(ovh.url);
}

beforeEach(async () => {
  ovh = await startOvh();
});
afterEach(() => ovh.close());

describe("authentication", () => {
  it("accepts a correct signature, below /1.0 and below /v1", async () => {
    const below = ovhClient(ovh.url.replace(/1\.0$/, "v1"));

    expect((await ovhClient(ovh.url)("GET", "/me")).status).toBe(200);
    expect((await below("GET", "/me")).body.ovhSubsidiary).toBe("FR");
  });

  it("marks every answer with a query id", async () => {
    const answered = await anonymously(`${ovh.url}/me`);

    expect(answered.headers.get("x-ovh-queryid")).toMatch(/^EU\.ext-1\.[0-9a-f]{8}\.\d+\.[0-9a-f]{32}$/);
  });

  it("fails when nothing is signed", async () => {
    const { status, body } = await anonymously(`${ovh.url}/me`);

    expect([status, body]).toEqual([401, { class: "Client::Unauthorized", message: "You must login first" }]);
  });

  it("fails when the application key is unknown", async () => {
    const call = ovhClient(ovh.url, { keys: { ...DEFAULT_CREDENTIAL, applicationKey: "nobody" } });
    const { status, body } = await call("GET", "/me");

    expect([status, body]).toEqual([
      403,
      { class: "Client::Forbidden", message: "This application key is invalid" },
    ]);
  });

  it("fails when the consumer key is unknown or has expired", async () => {
    const unknown = await ovhClient(ovh.url, { keys: { ...DEFAULT_CREDENTIAL, consumerKey: "nobody" } })(
      "GET",
      "/me",
    );
    const call = await start({ credentials: [{ ...DEFAULT_CREDENTIAL, status: "expired" }] });
    const expired = await call("GET", "/me");

    for (const { status, body } of [unknown, expired]) {
      expect(status).toBe(403);
      expect(body).toEqual({
        errorCode: "INVALID_CREDENTIAL",
        httpCode: "403 Forbidden",
        message: "This credential is not valid",
      });
    }
  });

  it("fails when the secret is wrong", async () => {
    const call = ovhClient(ovh.url, { keys: { ...DEFAULT_CREDENTIAL, applicationSecret: "wrong" } });
    const { status, body } = await call("GET", "/me");

    expect([status, body.errorCode]).toEqual([400, "INVALID_SIGNATURE"]);
  });

  it.each([
    ["body", { url: "/order/cart", sign: '{"ovhSubsidiary":"FR"}', send: '{"ovhSubsidiary":"DE"}' }],
    ["query", { url: "/me/order?date.from=2026-01-01", signedUrl: "/me/order", sign: "", send: "" }],
  ])("fails when the %s is not what was signed", async (_, sent) => {
    const method = sent.send ? "POST" : "GET";
    const timestamp = String(Math.floor(Date.now() / 1000));
    const url = `${ovh.url}${"signedUrl" in sent ? sent.signedUrl : sent.url}`;
    const { applicationSecret, consumerKey, applicationKey } = DEFAULT_CREDENTIAL;
    const signed = [applicationSecret, consumerKey, method, url, sent.sign, timestamp].join("+");
    const { status, body } = await anonymously(`${ovh.url}${sent.url}`, {
      method,
      headers: {
        "x-ovh-application": applicationKey,
        "x-ovh-consumer": consumerKey,
        "x-ovh-timestamp": timestamp,
        "x-ovh-signature": `$1$${createHash("sha1").update(signed).digest("hex")}`,
      },
      ...(sent.send && { body: sent.send }),
    });

    expect([status, body.errorCode]).toEqual([400, "INVALID_SIGNATURE"]);
  });

  it("fails when the timestamp is further off than the tolerance, going by OVH's clock", async () => {
    const call = await start({ clock: new ManualClock(), clockSkewSeconds: 3600 });

    expect((await call("GET", "/me", undefined, { offBy: 30 })).status).toBe(200);
    expect((await call("GET", "/me", undefined, { offBy: -30 })).status).toBe(200);
    const { status, body } = await call("GET", "/me", undefined, { offBy: 31 });
    expect([status, body.errorCode]).toEqual([400, "QUERY_TIME_OUT"]);
  });

  it("returns its own time without a signature", async () => {
    await start({ clock: new ManualClock(new Date("2026-01-05T09:00:00Z")), clockSkewSeconds: 100 });

    expect((await anonymously(`${ovh.url}/auth/time`)).body).toBe(Date.parse("2026-01-05T09:01:40Z") / 1000);
  });

  it("accepts a bearer token where one is configured, and no other", async () => {
    const bearer = { headers: { authorization: "Bearer token-of-a-service-account" } };
    expect((await anonymously(`${ovh.url}/me`, bearer)).status).toBe(403);
    await start({ credentials: [{ kind: "bearer", token: "token-of-a-service-account" }] });

    expect((await anonymously(`${ovh.url}/me`, bearer)).status).toBe(200);
    expect((await anonymously(`${ovh.url}/me`, { headers: { authorization: "Bearer other" } })).status).toBe(
      403,
    );
  });

  it("refuses routes that a credential was not granted, with or without %2F in the rule", async () => {
    const rules = [
      { method: "GET", path: "/vps/*" },
      { method: "GET", path: "/ip/203.0.113.10%2F32/*" },
      { method: "POST", path: "/ip/203.0.113.10/32/*" },
    ];
    const call = await start({ credentials: [{ ...DEFAULT_CREDENTIAL, rules }] });
    ovh.addServer();

    const refused = await call("GET", "/me");
    expect([refused.status, refused.body.errorCode]).toEqual([403, "NOT_GRANTED_CALL"]);
    expect((await call("PUT", "/vps/any", { displayName: "x" })).status).toBe(403);
    expect((await call("GET", "/ip/203.0.113.10%2F32/firewall")).status).toBe(200);
    expect(
      (await call("POST", "/ip/203.0.113.10%2F32/firewall", { ipOnFirewall: "203.0.113.10" })).status,
    ).toBe(200);
    expect((await call("GET", "/ip/203.0.113.11%2F32/firewall")).status).toBe(403);
  });

  it("returns what a credential may do", async () => {
    const rules = [{ method: "GET", path: "/auth/details" }];
    const call = await start({ credentials: [{ ...DEFAULT_CREDENTIAL, rules }] });
    const { body } = await call("GET", "/auth/details");

    expect(body).toMatchObject({ allowedRoutes: rules, method: "account", user: null, roles: [] });
  });
});

describe("routing", () => {
  it("takes %2F as part of a segment, and a bare slash as a separator", async () => {
    const call = ovhClient(ovh.url);
    ovh.addServer();

    expect((await call("GET", "/ip/203.0.113.10%2F32/firewall")).body).toEqual([]);
    const { status, body } = await call("GET", "/ip/203.0.113.10/32/firewall");
    expect([status, body.message]).toEqual([404, "Got an invalid (or empty) URL"]);
  });

  it("knows nothing outside the API's base path", async () => {
    expect((await anonymously(`${new URL(ovh.url).origin}/2.0/me`)).status).toBe(404);
    expect((await anonymously(`${new URL(ovh.url).origin}/me`)).status).toBe(404);
  });

  it("distinguishes a wrong method from an unknown path", async () => {
    expect((await ovhClient(ovh.url)("PATCH", "/me")).status).toBe(405);
  });

  it("refuses a path that is no valid escape", async () => {
    const status = await new Promise((resolve, reject) => {
      const { hostname, port } = new URL(ovh.url);
      const sent = request({ hostname, port, path: "/1.0/vps/%zz" }, (response) =>
        resolve(response.statusCode),
      );
      sent.on("error", reject);
      sent.end();
    });

    expect(status).toBe(404);
  });
});

describe("request bodies", () => {
  it("fails when a parameter is not described", async () => {
    const { status, body } = await ovhClient(ovh.url)("POST", "/order/cart", {
      ovhSubsidiary: "FR",
      colour: "red",
    });

    expect(status).toBe(400);
    expect(body.message).toBe("Received not described parameters: (colour) when calling POST /order/cart");
  });

  it("fails when a required parameter is missing or of another type", async () => {
    const call = ovhClient(ovh.url);

    expect((await call("POST", "/order/cart", {})).body.message).toBe(
      "[ovhSubsidiary] Missing required parameter",
    );
    expect((await call("POST", "/order/cart", { ovhSubsidiary: 3 })).body.message).toBe(
      "[ovhSubsidiary] Given data (3) is not valid for type string",
    );
  });

  it("fails when the body is no JSON object", async () => {
    const answered = await anonymously(`${ovh.url}/order/cart`, { method: "POST", body: "{" });

    expect([answered.status, answered.body.message]).toEqual([400, "Invalid JSON received"]);
  });
});
