import { afterEach, describe, expect, it } from "vitest";

import {
  checkCloudflareToken,
  checkOvhKey,
  dangerousRights,
  neededRights,
} from "../../../../ops/checks/keys/cloud-keys.ts";
import { covers, type Right } from "../../../../provider/ovh/rights.ts";
import { type FakeCloudflare, startCloudflare } from "../../../../rehearsal/fake-clouds/cloudflare/server.ts";
import type { Permission } from "../../../../rehearsal/fake-clouds/cloudflare/auth.ts";
import { DEFAULT_CREDENTIAL, type FakeOvh, startOvh } from "../../../../rehearsal/fake-clouds/ovh/server.ts";
import { unaborted, outputsOf } from "../fixtures.ts";
import { environmentWith } from "../../../support/fixtures.ts";

const started: (FakeCloudflare | FakeOvh)[] = [];

afterEach(async () => {
  await Promise.all(started.splice(0).map((api) => api.close()));
});

describe("checkCloudflareToken", () => {
  const TOKEN = "t".repeat(40);
  const ZONE = { name: "exemple.fr", id: "0123456789abcdef0123456789abcdef" };
  const ask = async (
    { permissions, zones }: { permissions?: readonly Permission[]; zones?: readonly string[] },
    token = TOKEN,
  ) => {
    const cloudflare = await startCloudflare({
      zones: [ZONE, "autre.fr"],
      tokens: [{ token: TOKEN, ...(permissions && { permissions }), ...(zones && { zones }) }],
    });
    started.push(cloudflare);
    const { dns } = environmentWith({ "dns.cloudflareBaseUrl": cloudflare.url });
    const found = await checkCloudflareToken({ dns, token, fetch, signal: unaborted });
    expect(cloudflare.state.zones[0]!.records).toEqual([]);
    return found;
  };

  it("is ok with a token that may edit its one zone", async () => {
    const { key, access, quota } = await ask({ zones: ["exemple.fr"] });

    expect(key).toEqual({ outcome: "ok", detail: "zone exemple.fr lisible et modifiable" });
    expect(access).toEqual({ outcome: "ok", detail: "le jeton ne voit que exemple.fr" });
    expect(quota?.outcome).toMatch(/^(ok|not-checked)$/);
  });

  it("fails when the token may not edit", async () => {
    const { key } = await ask({ zones: ["exemple.fr"], permissions: ["dns:read", "zone:read"] });

    expect(key).toMatchObject({ outcome: "failed" });
    expect(key.detail).toContain("ne peut pas la modifier");
  });

  it("fails when the token reaches another zone", async () => {
    const { key, access } = await ask({});

    expect(key).toMatchObject({ outcome: "ok" });
    expect(access).toMatchObject({ outcome: "failed" });
    expect(access?.detail).toContain("voit aussi autre.fr");
  });

  it("fails with an unknown token", async () => {
    const { key, access } = await ask({}, "u".repeat(40));

    expect(key).toMatchObject({ outcome: "failed" });
    expect(access).toMatchObject({ outcome: "not-checked" });
  });
});

describe("checkOvhKey", () => {
  const keys = {
    ovhApplicationKey: DEFAULT_CREDENTIAL.applicationKey,
    ovhApplicationSecret: DEFAULT_CREDENTIAL.applicationSecret,
    ovhConsumerKey: DEFAULT_CREDENTIAL.consumerKey,
  };
  const environment = environmentWith();
  const context = { environment, outputs: outputsOf(environment) };
  const grant = (rights: readonly Right[]) => [...rights, { method: "GET", path: "/auth/*" }];
  const ask = async (rules: readonly Right[] | undefined, given: Record<string, string> = keys) => {
    const ovh = await startOvh({ credentials: [{ ...DEFAULT_CREDENTIAL, ...(rules && { rules }) }] });
    started.push(ovh);
    return checkOvhKey({
      endpoint: ovh.url,
      secrets: given,
      rights: context,
      fetch,
      now: Date.now,
      signal: unaborted,
    });
  };
  const EXACT = [
    { method: "GET", path: "/me" },
    ...["GET", "PUT"].map((method) => ({ method, path: "/vps/vps-1a2b3c4d.vps.ovh.net" })),
    { method: "GET", path: "/vps/vps-1a2b3c4d.vps.ovh.net/*" },
    ...["GET", "POST", "PUT", "DELETE"].map((method) => ({ method, path: "/ip/*" })),
  ];

  it("is ok with the rights that the guide asks for", async () => {
    const { key, access } = await ask(grant(EXACT));

    expect(key).toMatchObject({ outcome: "ok" });
    expect(access).toMatchObject({ outcome: "ok" });
  });

  it("fails when a needed right is missing", async () => {
    const { key } = await ask(
      grant(EXACT.filter(({ method, path }) => method !== "DELETE" || path !== "/ip/*")),
    );

    expect(key.outcome).toBe("failed");
    expect(key.detail).toContain("il manque à la clé : DELETE /ip/203.0.113.10%2F32/firewall/203.0.113.10");
  });

  it.each([
    [{ method: "POST", path: "/*" }, "POST /vps/vps-1a2b3c4d.vps.ovh.net/terminate"],
    [{ method: "POST", path: "/vps/*" }, "POST /vps/vps-1a2b3c4d.vps.ovh.net/rebuild"],
    [{ method: "DELETE", path: "/vps/*" }, "DELETE /vps/vps-1a2b3c4d.vps.ovh.net"],
    [{ method: "POST", path: "/me/order/*/pay" }, "POST /me/order/1/pay"],
    [{ method: "GET", path: "/me/*" }, "GET /me/notification/email/history/1"],
  ])("fails when the key may also do %j", async (rule, told) => {
    const { key, access } = await ask(grant([...EXACT, rule]));

    expect(key).toMatchObject({ outcome: "ok" });
    expect(access?.outcome).toBe("failed");
    expect(access?.detail).toContain(told);
  });

  it("is not checked when OVH lists no rights", async () => {
    const { key, access } = await ask(undefined);

    expect([key.outcome, access?.outcome]).toEqual(["not-checked", "not-checked"]);
  });

  it("fails with a wrong secret", async () => {
    const { key, access } = await ask(undefined, { ...keys, ovhConsumerKey: "x".repeat(32) });

    expect(key.outcome).toBe("failed");
    expect(access?.outcome).toBe("not-checked");
  });
});

describe("checkOvhKey with a service account", () => {
  it("names ovhClientSecret when OVH refuses a token", async () => {
    const environment = environmentWith();
    const { key } = await checkOvhKey({
      endpoint: "ovh-eu",
      secrets: { ovhClientId: "client", ovhClientSecret: "wrong" },
      rights: { environment, outputs: outputsOf(environment) },
      fetch: () => Promise.resolve(Response.json({ error: "invalid_client" }, { status: 401 })),
      now: Date.now,
      signal: unaborted,
    });

    expect(key).toEqual({
      outcome: "failed",
      detail: "OVH refuse la clé (401) ; à remplacer : pulumi config set --secret technicia:ovhClientSecret",
    });
  });
});

describe("neededRights and dangerousRights", () => {
  const adopted = environmentWith();
  const order = environmentWith({
    "server.serviceName": undefined,
    "server.order": { subsidiary: "FR", maxMonthlyPriceEur: 15 },
  });
  const has = (rights: readonly Right[], line: string) =>
    rights.some(({ method, path }) => `${method} ${path}` === line);

  it("allow orders and installations only until the stack has a server", () => {
    const before = { environment: order, outputs: undefined };
    const after = { environment: order, outputs: outputsOf(order) };

    expect(has(neededRights(before), "POST /me/order/1/pay")).toBe(true);
    expect(has(dangerousRights(before), "POST /me/order/1/pay")).toBe(false);
    expect(has(neededRights(after), "POST /me/order/1/pay")).toBe(false);
    expect(has(dangerousRights(after), "POST /me/order/1/pay")).toBe(true);
    expect(has(dangerousRights(after), "POST /vps/vps-1a2b3c4d.vps.ovh.net/rebuild")).toBe(true);
    expect(
      has(
        dangerousRights({ environment: adopted, outputs: undefined }),
        "POST /vps/vps-1a2b3c4d.vps.ovh.net/rebuild",
      ),
    ).toBe(true);
  });

  it("have nothing in common", () => {
    for (const environment of [
      adopted,
      order,
      environmentWith({ "dns.provider": "ovh", "dns.zoneId": undefined }),
    ]) {
      for (const outputs of [undefined, outputsOf(environment)]) {
        const dangerous = dangerousRights({ environment, outputs });
        expect(
          neededRights({ environment, outputs }).filter((right) =>
            dangerous.some((other) => covers(other, right)),
          ),
        ).toEqual([]);
      }
    }
  });
});
