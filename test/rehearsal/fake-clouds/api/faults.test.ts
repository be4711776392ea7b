/* eslint-disable
  @typescript-eslint/no-unsafe-assignment,
  @typescript-eslint/no-unsafe-member-access
  -- answers have every shape, and their shape is what is asserted here */
import { setImmediate } from "node:timers/promises";

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { type FakeOvh, startOvh } from "../../../../rehearsal/fake-clouds/ovh/server.ts";
import { fillCart } from "../ovh/ordering.ts";
import { ovhClient } from "../ovh/client.ts";

let ovh: FakeOvh;
let call: ReturnType<typeof ovhClient>;

beforeEach(async () => {
  ovh = await startOvh();
  call = ovhClient(ovh.url);
});
afterEach(() => ovh.close());

const statuses = async (count: number): Promise<number[]> => {
  const seen: number[] = [];
  for (let made = 0; made < count; made += 1) seen.push((await call("GET", "/me")).status);
  return seen;
};

describe("an injected fault", () => {
  it("answers in the API's place for one call, with its body and headers", async () => {
    ovh.faults.add({
      ...{ api: "ovh", path: "^/me$", status: 429, headers: { "retry-after": "7" } },
      body: { class: "Client::TooManyRequests", message: "slow down" },
    });
    const { status, headers, body } = await call("GET", "/me");

    expect([status, headers.get("retry-after"), body.message]).toEqual([429, "7", "slow down"]);
    expect(headers.get("x-ovh-queryid")).not.toBeNull();
    expect(await statuses(1)).toEqual([200]);
  });

  it("starts at the nth call and lasts for the given number", async () => {
    ovh.faults.add({ api: "ovh", path: "^/me$", nth: 2, times: 2, status: 500 });

    expect(await statuses(5)).toEqual([200, 500, 500, 200, 200]);
  });

  it("lasts until it is cleared when it has no number of times", async () => {
    ovh.faults.add({ api: "ovh", path: "^/me$", times: 0, status: 503 });

    expect(await statuses(3)).toEqual([503, 503, 503]);
    ovh.faults.clear();
    expect(await statuses(1)).toEqual([200]);
  });

  it("meets only its own method, path and API", async () => {
    ovh.faults.add({ api: "ovh", method: "POST", path: "^/me$", status: 500 });
    ovh.faults.add({ api: "cloudflare", path: "^/me$", status: 500 });
    ovh.faults.add({ api: "ovh", path: "^/me/order\\?date", status: 500 });

    expect(await statuses(1)).toEqual([200]);
    expect((await call("GET", "/me/order")).status).toBe(200);
    expect((await call("GET", "/me/order?date.from=2026-01-01")).status).toBe(500);
  });

  it("cuts the connection before the call takes effect", async () => {
    const path = await fillCart(call);
    ovh.faults.add({ api: "ovh", path: "/checkout$", cut: "before" });

    await expect(call("POST", `${path}/checkout`)).rejects.toThrow("fetch failed");
    expect(ovh.state.orders).toHaveLength(1);
  });

  it("cuts the connection after the call took effect", async () => {
    const path = await fillCart(call);
    ovh.faults.add({ api: "ovh", path: "/checkout$", cut: "after" });

    await expect(call("POST", `${path}/checkout`)).rejects.toThrow("fetch failed");
    expect(ovh.state.orders).toHaveLength(2);
    expect(ovh.calls.list().at(-1)).toMatchObject({ method: "POST", status: 0, fault: "cut after" });
  });

  it('answers an error after the call took effect, when "perform" is set', async () => {
    const path = await fillCart(call);
    ovh.faults.add({
      api: "ovh",
      path: "/checkout$",
      status: 502,
      body: "<html>Bad Gateway</html>",
      perform: true,
    });

    await expect(call("POST", `${path}/checkout`)).rejects.toBeInstanceOf(SyntaxError);
    expect(ovh.state.orders).toHaveLength(2);
  });

  it("holds an answer back", async () => {
    ovh.faults.add({ api: "ovh", path: "^/me$", delayMs: 3_600_000 });
    let isAnswered = false;
    const waiting = call("GET", "/me").then(
      () => (isAnswered = true),
      (error: unknown) => error,
    );
    expect((await call("GET", "/vps")).status).toBe(200);
    await setImmediate();
    expect(isAnswered).toBe(false);

    await ovh.close();
    expect(await waiting).toBeInstanceOf(Error);
  });

  it("is refused when it does nothing", () => {
    expect(() => ovh.faults.add({ api: "ovh", path: "^/me$" })).toThrow(
      "expected one of status, cut or delayMs",
    );
  });
});

describe("the call log", () => {
  it("lists every call with its raw path and status, refused ones included", async () => {
    await call("GET", "/ip/192.0.2.1%2F32/firewall?state=ok");
    await fetch(`${ovh.url}/me`);

    expect(ovh.calls.lines()).toEqual(["GET /auth/time", "GET /ip/192.0.2.1%2F32/firewall", "GET /me"]);
    expect(ovh.calls.list().map(({ status, query }) => [status, query])).toEqual([
      [200, ""],
      [404, "state=ok"],
      [401, ""],
    ]);
    ovh.calls.clear();
    expect(ovh.calls.list()).toEqual([]);
  });

  it("contains no secrets, however deep", async () => {
    await call("POST", "/order/cart", {
      ovhSubsidiary: "FR",
      nested: [{ password: "p", token: "t", name: "n" }],
    });

    expect(ovh.calls.list().at(-1)?.body).toEqual({
      ovhSubsidiary: "FR",
      nested: [{ password: "[redacted]", token: "[redacted]", name: "n" }],
    });
  });
});
