import { afterEach, describe, expect, it } from "vitest";

import type { Credentials } from "../../../provider/ovh/auth.ts";
import { credentialsOf, endpointUrl, OvhClient } from "../../../provider/ovh/client.ts";
import { OvhError } from "../../../provider/ovh/errors.ts";
import { type FakeOvh, type OvhOptions, startOvh } from "../../../rehearsal/fake-clouds/ovh/server.ts";
import { KEYS } from "./fixtures.ts";

const doubles: FakeOvh[] = [];
afterEach(async () => {
  await Promise.all(doubles.splice(0).map((double) => double.close()));
});

async function start(options?: OvhOptions): Promise<{ ovh: FakeOvh; client: OvhClient }> {
  const ovh = await startOvh(options);
  doubles.push(ovh);
  return { ovh, client: new OvhClient({ endpoint: ovh.url, credentials: credentialsOf(KEYS), retryMs: 1 }) };
}

const failure = async (act: Promise<unknown>): Promise<OvhError> => {
  const error: unknown = await act.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (error instanceof OvhError) return error;
  throw new Error(`expected an OvhError, got ${String(error)}`);
};

describe("OvhClient", () => {
  it("signs by OVH's clock, which it reads once", async () => {
    const { ovh, client } = await start({ clockSkewSeconds: 4_000 });
    await client.get("/me");
    await client.get("/vps");

    expect(ovh.calls.lines("ovh")).toEqual(["GET /auth/time", "GET /me", "GET /vps"]);
  });

  it("signs queries, escapes and bodies as they are sent", async () => {
    const { ovh, client } = await start();
    ovh.addServer("vps-2027-model2", { ipv4: "203.0.113.10" });

    await client.post("/ip/203.0.113.10%2F32/firewall", { ipOnFirewall: "203.0.113.10" });
    const orders = await client.get<number[]>("/me/order", {
      query: { "date.from": "2024-01-01T00:00:00+00:00" },
    });

    expect(ovh.state.firewalls).toHaveLength(1);
    expect(orders).toHaveLength(1);
  });

  it("calls newer versions of the API outside the base path", async () => {
    const { ovh, client } = await start();
    await client.get("/v1/vps/order/rule/datacenter", {
      isPublic: true,
      query: { ovhSubsidiary: "FR", planCode: "vps-2027-model2" },
    });

    expect(ovh.calls.list("ovh")).toMatchObject([{ status: 200 }]);
  });

  it("retries a GET after a fault or a lost answer, and no other call", async () => {
    const { ovh, client } = await start();
    await client.get("/me");
    for (const method of ["GET", "POST"]) {
      ovh.faults.add({ api: "ovh", method, path: "/order/cart", times: 1, status: 502 });
      ovh.faults.add({ api: "ovh", method, path: "/order/cart", nth: 2, times: 1, cut: "after" });
    }
    ovh.calls.clear();

    await client.get("/order/cart");
    const error = await failure(client.post("/order/cart", { ovhSubsidiary: "FR" }));

    expect(error).toMatchObject({ status: 502, maybeDone: true });
    expect(ovh.calls.list("ovh").map(({ method, status }) => `${method} ${status}`)).toEqual([
      "GET 502",
      "GET 0",
      "GET 200",
      "POST 502",
    ]);
  });

  it("retries any call after 429, and waits as long as OVH demands", async () => {
    const { ovh, client } = await start();
    await client.get("/me");
    ovh.faults.add({
      api: "ovh",
      method: "POST",
      path: "/order/cart",
      status: 429,
      headers: { "retry-after": "1" },
    });
    const before = Date.now();

    await client.post("/order/cart", { ovhSubsidiary: "FR" });

    expect(Date.now() - before).toBeGreaterThanOrEqual(950);
    expect(ovh.state.carts).toHaveLength(1);
  });

  it("gives up after four attempts", async () => {
    const { ovh, client } = await start();
    await client.get("/me");
    ovh.faults.add({ api: "ovh", path: "/vps", times: 0, status: 503 });
    ovh.calls.clear();

    await failure(client.get("/vps"));

    expect(ovh.calls.lines("ovh")).toHaveLength(4);
  });

  it("asks for OVH's clock four times at most, whatever needs it", async () => {
    const { ovh, client } = await start();
    ovh.faults.add({ api: "ovh", path: "/auth/time", times: 0, status: 503 });

    for (const act of [() => client.get("/vps"), () => client.post("/order/cart", {})]) {
      ovh.calls.clear();
      await failure(act());
      expect(ovh.calls.lines("ovh")).toEqual(Array(4).fill("GET /auth/time"));
    }
  });

  it("sends a request only once when attempts is 1", async () => {
    const { ovh } = await start();
    const client = new OvhClient({ endpoint: ovh.url, credentials: { kind: "none" }, attempts: 1 });
    ovh.faults.add({ api: "ovh", path: "/auth/time", times: 0, status: 503 });

    const error = await failure(client.get("/auth/time", { isPublic: true }));

    expect(error).toMatchObject({ status: 503 });
    expect(ovh.calls.lines("ovh")).toHaveLength(1);
  });

  it("says that a request without an answer may have succeeded", async () => {
    const { ovh, client } = await start();
    ovh.faults.add({ api: "ovh", method: "POST", path: "/order/cart", status: 502 });

    expect((await failure(client.post("/order/cart", {}))).message).toMatch(
      /; OVH has a fault: the request may have succeeded; run pulumi up again later \(https:\/\/status\.ovhcloud\.com\), it checks before repeating it$/,
    );
  });

  it("stops waiting when it is aborted", async () => {
    const { ovh, client } = await start();
    await client.get("/me");
    ovh.faults.add({ api: "ovh", path: "/vps", times: 0, delayMs: 100_000 });
    const stop = new AbortController();
    const waiting = client.get("/vps", { signal: stop.signal });
    setImmediate(() => stop.abort());

    await expect(waiting).rejects.toThrow("aborted");
  });

  it("classifies the errors of OVH", async () => {
    const { ovh, client } = await start();
    const { serviceName } = ovh.addServer("vps-2027-model2", { expired: true });

    expect(await failure(client.get("/vps/none"))).toMatchObject({ isGone: true, isExpired: false });
    expect(await failure(client.get(`/vps/${serviceName}`))).toMatchObject({
      isExpired: true,
      message: expect.stringMatching(
        /got 460 Client::ServiceExpired .*renew it in OVH's control panel$/,
      ) as string,
    });
    ovh.faults.add({
      api: "ovh",
      path: "/vps$",
      status: 400,
      body: { message: "A rule with sequence 1 already exists" },
    });
    expect(await failure(client.get("/vps"))).toMatchObject({ isConflict: true, isBusy: false });
    ovh.faults.add({ api: "ovh", path: "/vps$", status: 400, body: { message: "Invalid image" } });
    expect(await failure(client.get("/vps"))).toMatchObject({
      isConflict: false,
      isBusy: false,
      maybeDone: false,
    });
  });

  it("names the actions that a service account lacks", async () => {
    const { ovh, client } = await start();
    ovh.faults.add({
      api: "ovh",
      path: "/vps$",
      status: 403,
      body: {
        class: "Client::Forbidden",
        message: "User not granted for this request",
        details: { unauthorizedActionsByIAM: "vps:apiovh:get vps:apiovh:ips/get" },
      },
    });

    expect((await failure(client.get("/vps"))).message).toMatch(
      /; grant vps:apiovh:get, vps:apiovh:ips\/get in a policy of the user of the key \(OVH's control panel, Identity and access management, Policies\)$/,
    );
  });

  it("treats an answer that is not JSON as a broken connection", async () => {
    const { ovh, client } = await start();
    ovh.faults.add({ api: "ovh", path: "/vps$", times: 0, status: 200, body: "<html>maintenance</html>" });

    expect((await failure(client.get("/vps"))).message).toBe(
      "GET /vps: expected an answer, got a broken connection (the answer is no JSON); run pulumi up again once the API can be reached",
    );
  });
});

describe("OvhClient with a service account", () => {
  const TOKENS = "https://www.ovh.com/auth/oauth2/token";

  /** OVH's own addresses, served by the double and by a token service made here. */
  function redirected(ovh: FakeOvh, tokens: readonly object[]): { fetch: typeof fetch; asked: string[] } {
    const asked: string[] = [];
    const waiting = [...tokens];
    return {
      asked,
      fetch: (input, init) => {
        if (typeof input !== "string") throw new TypeError("expected a URL in a string");
        if (input !== TOKENS) return fetch(input.replace("https://eu.api.ovh.com/1.0", ovh.url), init);
        asked.push(String(init?.body as string));
        const token = waiting.shift() ?? { error: "invalid_client" };
        return Promise.resolve(Response.json(token, { status: "error" in token ? 401 : 200 }));
      },
    };
  }

  const account: Credentials = { kind: "account", clientId: "EU.1", clientSecret: "hush" };
  const withTokens = (ovh: FakeOvh, tokens: readonly object[]): { client: OvhClient; asked: string[] } => {
    const { fetch: other, asked } = redirected(ovh, tokens);
    return {
      client: new OvhClient({ endpoint: "ovh-eu", credentials: account, retryMs: 1, fetch: other }),
      asked,
    };
  };

  it("requests a token once and sends it with each call", async () => {
    const { ovh } = await start({ credentials: [{ kind: "bearer", token: "t1" }] });
    const { client, asked } = withTokens(ovh, [{ access_token: "t1", expires_in: 3600 }]);

    await client.get("/me");
    await client.get("/vps");

    expect(asked).toEqual(["grant_type=client_credentials&client_id=EU.1&client_secret=hush&scope=all"]);
    expect(ovh.calls.lines("ovh")).toEqual(["GET /me", "GET /vps"]);
  });

  it("requests another token when the first is about to expire", async () => {
    const { ovh } = await start({
      credentials: [
        { kind: "bearer", token: "t1" },
        { kind: "bearer", token: "t2" },
      ],
    });
    const { client, asked } = withTokens(ovh, [
      { access_token: "t1", expires_in: 30 },
      { access_token: "t2", expires_in: 3600 },
    ]);

    await client.get("/me");
    await client.get("/me");

    expect(asked).toHaveLength(2);
  });

  it("says what a refused service account needs, which is no key", async () => {
    const { ovh } = await start({ credentials: [{ kind: "bearer", token: "t1", rules: [] }] });
    const { client } = withTokens(ovh, [{ access_token: "t1", expires_in: 3600 }]);

    const { message } = await failure(client.get("/vps"));
    expect(message).toContain('got 403 NOT_GRANTED_CALL "This call has not been granted"');
    expect(message).toMatch(
      /; allow GET \/vps in a policy of the service account \(OVH's control panel, Identity and access management, Policies\)$/,
    );
  });

  it("fails for an unknown account without printing its secret", async () => {
    const { ovh } = await start();
    const { client } = withTokens(ovh, []);

    expect(await failure(client.get("/me"))).toMatchObject({
      status: 401,
      message:
        "ovh: expected a token for the service account, got 401 invalid_client; set technicia:ovhClientId and technicia:ovhClientSecret to those of a service account of this endpoint",
    });
  });

  it("fails at an endpoint without a known token service", async () => {
    const client = new OvhClient({ endpoint: "http://127.0.0.1:1/1.0", credentials: account });

    await expect(client.get("/me")).rejects.toThrow(
      'ovh.endpoint: expected ovh-eu, ovh-ca or ovh-us with a service account, got "http://127.0.0.1:1/1.0"; use an application key',
    );
  });
});

describe("credentialsOf", () => {
  const account = { ovhClientId: "EU.1", ovhClientSecret: "hush" };

  it("prefers the three keys to a service account", () => {
    expect(credentialsOf({ ...KEYS, ...account })).toEqual({
      kind: "keys",
      applicationKey: KEYS.ovhApplicationKey,
      applicationSecret: KEYS.ovhApplicationSecret,
      consumerKey: KEYS.ovhConsumerKey,
    });
  });

  it("takes the service account when one of the three keys is missing", () => {
    expect(credentialsOf({ ...KEYS, ovhConsumerKey: "", ...account })).toEqual({
      kind: "account",
      clientId: "EU.1",
      clientSecret: "hush",
    });
  });

  it("returns none for an incomplete account", () => {
    expect(credentialsOf({ ovhClientId: "EU.1" })).toEqual({ kind: "none" });
  });
});

describe("endpointUrl", () => {
  it("knows OVH's endpoints by name", () => {
    expect(["ovh-eu", "ovh-ca", "ovh-us"].map(endpointUrl)).toEqual([
      "https://eu.api.ovh.com/1.0",
      "https://ca.api.ovh.com/1.0",
      "https://api.us.ovhcloud.com/1.0",
    ]);
  });

  it.each([
    ...[
      "http://127.0.0.1:8080/1.0",
      "http://localhost/1.0",
      "http://[::1]:1/1.0",
      "http://198.51.100.53:8080/1.0",
    ],
    ...["http://[2001:db8:51::53]/1.0", "https://api.example.org/1.0"],
  ])("takes %s, where keys are safe", (endpoint) => {
    expect(endpointUrl(endpoint)).toBe(endpoint);
  });

  it.each([
    ...["ovh-de", "http://127.0.0.1:8080/1.0/", "api.ovh.com"],
    // Keys would be sent in clear.
    ...[
      "http://eu.api.ovh.com/1.0",
      "http://8.8.8.8/1.0",
      "http://127.0.0.1.example.org/1.0",
      "http://[2001:db9::1]/1.0",
    ],
  ])("fails for %s", (endpoint) => {
    expect(() => endpointUrl(endpoint)).toThrow(
      `ovh.endpoint: expected ovh-eu, ovh-ca, ovh-us or a URL with https and without a trailing slash, got "${endpoint}"; correct technicia:ovh.endpoint`,
    );
  });
});
