import { describe, expect, it } from "vitest";

import type { Fault } from "../../../rehearsal/fake-clouds/api/faults.ts";
import { adopted, ORDERED, settingsOf } from "./fixtures.ts";
import { startOvhAccount, type OvhAccount } from "./ovh-account.ts";

interface Kind {
  readonly name: string;
  readonly fault: Partial<Fault>;
  /** Whether it takes time, so that not every call that only reads is tried. */
  readonly isSlow?: boolean;
  /** What the first run must say, the call's method and path being put in. */
  readonly message: (method: string) => RegExp;
}

const start = (method: string): string => String.raw`^${method} \/\S+: expected an answer, got `;
const again = (method: string): string =>
  method === "GET" ? "run pulumi up again" : "the request may have succeeded; run pulumi up again";

const KINDS: readonly Kind[] = [
  {
    name: "401",
    fault: { status: 401, body: { class: "Client::Unauthorized", message: "You must login first" } },
    message: (method) =>
      new RegExp(
        `${start(method)}401 Client::Unauthorized "You must login first" \\(query .+\\); set the OVH keys of this stack`,
      ),
  },
  {
    name: "403",
    fault: {
      status: 403,
      body: {
        errorCode: "NOT_GRANTED_CALL",
        httpCode: "403 Forbidden",
        message: "This call has not been granted",
      },
    },
    message: (method) =>
      new RegExp(
        `${start(method)}403 NOT_GRANTED_CALL "This call has not been granted" .*; give the key the right ${method} \\/`,
      ),
  },
  {
    name: "409",
    fault: { status: 409, body: { class: "Client::Conflict", message: "Being updated" } },
    message: (method) =>
      new RegExp(
        `${start(method)}409 Client::Conflict "Being updated" .*; something else changed it at the same time; run pulumi up --refresh`,
      ),
  },
  {
    name: "429",
    fault: {
      status: 429,
      body: { class: "Client::TooManyRequests", message: "Slow down" },
      headers: { "retry-after": "0" },
    },
    message: (method) =>
      new RegExp(
        `${start(method)}429 .*; OVH limits the rate of requests; wait some minutes and run pulumi up again`,
      ),
  },
  {
    name: "500 after the effect",
    fault: { status: 500, perform: true, body: "<html>Bad gateway</html>" },
    message: (method) =>
      new RegExp(`${start(method)}500 "no JSON: Bad gateway" .*; OVH has a fault: ${again(method)}`),
  },
  {
    name: "no answer in time",
    fault: { delayMs: 100_000 },
    isSlow: true,
    message: (method) => new RegExp(`${start(method)}none within the time limit; ${again(method)}`),
  },
  {
    name: "a connection cut before the effect",
    fault: { cut: "before" },
    message: (method) => new RegExp(`${start(method)}a broken connection \\(.+\\); ${again(method)}`),
  },
  {
    name: "a connection cut after the effect",
    fault: { cut: "after" },
    message: (method) => new RegExp(`${start(method)}a broken connection \\(.+\\); ${again(method)}`),
  },
];

/** Calls of a whole order, as patterns over method and path. */
const ORDER_CALLS: readonly (readonly [string, string])[] = [
  ["GET", "^/order/catalog/public/vps"],
  ["GET", "^/vps/order/rule/datacenter"],
  ["GET", "^/auth/time$"],
  ["GET", "^/vps$"],
  ["GET", "^/me/order\\?"],
  ["GET", "^/order/cart\\?"],
  ["POST", "^/order/cart$"],
  ["POST", "/assign$"],
  ["POST", "/vps$"],
  ["GET", "/requiredConfiguration$"],
  ["POST", "/configuration$"],
  ["POST", "/vps/options$"],
  ["GET", "/checkout$"],
  ["GET", "^/me/payment/method\\?"],
  ["POST", "/checkout$"],
  ["GET", "^/me/order/\\d+/status$"],
  ["POST", "/pay$"],
  ["GET", "^/me/order/\\d+/details$"],
  ["GET", "/details/\\d+$"],
  ["GET", "/details/\\d+/extension$"],
  ["GET", "^/vps/vps-[^/]+$"],
  ["GET", "/serviceInfos$"],
  ["GET", "/images/current$"],
  ["GET", "/ips$"],
  ["GET", "/ips/[^/]+$"],
  ["PUT", "^/vps/vps-[^/]+$"],
  ["GET", "/tasks$"],
  ["GET", "/tasks/\\d+$"],
  ["GET", "/images/available$"],
  ["GET", "/images/available/[^/]+$"],
  ["POST", "/rebuild$"],
];

function callsFor({ isSlow = false }: Kind): typeof ORDER_CALLS {
  return ORDER_CALLS.filter(([method], index) => !isSlow || method !== "GET" || index % 6 === 0);
}

const COUNTS = { orders: 1, payments: 1, rebuilds: 1 };

function counts(account: OvhAccount): object {
  const orders = account.ovh.state.orders.filter(({ vps }) => vps);
  const tasks = account.ovh.state.servers.flatMap((server) => server.tasks);
  return {
    orders: orders.length,
    payments: orders.reduce((sum, { payments }) => sum + payments, 0),
    rebuilds: tasks.filter(({ type }) => type === "reinstallVm").length,
  };
}

describe("Vps while OVH fails", () => {
  it.each(KINDS)(
    "is bought once all the same, and says what to do, at $name of any call",
    { timeout: 300_000 },
    async (kind) => {
      for (const [method, path] of callsFor(kind)) {
        const account = await startOvhAccount();
        const stack = account.vps({ timeoutMs: kind.isSlow ? 400 : 5_000 });
        account.ovh.faults.add({ api: "ovh", method, path, times: 0, ...kind.fault });

        const message = await stack.up(ORDERED).then(
          () => "nothing failed",
          (error: Error) => error.message,
        );

        expect(`${message}`, `${method} ${path}`).toMatch(kind.message(method));
        expect(message).not.toMatch(/rehearsal-(application-secret|consumer-key)/);
        account.ovh.faults.clear();
        const next = account.vps({ saved: stack.saved });
        await next.up(ORDERED);
        expect(counts(account), `${method} ${path}`).toEqual(COUNTS);
        expect(await next.refresh(), `${method} ${path}`).toBe(false);
        await account.end();
      }
    },
  );

  it("survives faults that OVH fixes by itself", async () => {
    const account = await startOvhAccount();
    account.ovh.faults.add({ api: "ovh", method: "GET", path: ".", nth: 5, times: 2, status: 503 });
    account.ovh.faults.add({ api: "ovh", method: "GET", path: ".", nth: 20, times: 2, cut: "after" });
    account.ovh.faults.add({
      api: "ovh",
      method: "POST",
      path: ".",
      times: 2,
      status: 429,
      headers: { "retry-after": "0" },
    });
    const stack = account.vps();

    expect(await stack.up(ORDERED)).toBe("created");

    expect(counts(account)).toEqual(COUNTS);
    expect(account.ovh.calls.list("ovh").filter(({ fault }) => fault)).toHaveLength(6);
    await account.end();
  });

  it("waits for the tasks that delay an installation", async () => {
    const account = await startOvhAccount();
    account.ovh.faults.add({
      api: "ovh",
      method: "POST",
      path: "/rebuild$",
      times: 2,
      status: 400,
      body: {
        class: "Client::BadRequest",
        message: "Action not available while there are running tasks on the VPS",
      },
    });

    expect(await account.vps().up(ORDERED)).toBe("created");

    expect(counts(account)).toEqual(COUNTS);
    await account.end();
  });

  it("names the wrong keys", async () => {
    const account = await startOvhAccount();
    const { serviceName } = account.ovh.addServer("vps-2027-model2");
    const settings = settingsOf(account.ovh.url);
    const failure = (wrong: object): Promise<string> =>
      account
        .vps({ settings: { ...settings, ...wrong } })
        .up(adopted(serviceName))
        .then(
          () => "nothing failed",
          (error: Error) => error.message,
        );

    expect(await failure({ ovhApplicationKey: "other" })).toMatch(
      /"This application key is invalid".*; set technicia:ovhApplicationKey to/,
    );
    expect(await failure({ ovhApplicationSecret: "other" })).toMatch(
      /INVALID_SIGNATURE.*; set technicia:ovhApplicationSecret to/,
    );
    expect(await failure({ ovhConsumerKey: "other" })).toMatch(
      /INVALID_CREDENTIAL.*; set technicia:ovhConsumerKey to a valid one/,
    );
    await account.end();
  });
});
