import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { z } from "zod";

import { openStores, StoreRefused, StoreSilent, type Stores } from "../../../ops/monitoring/stores.ts";
import { startLocalServer, type LocalServer } from "../server/local-server.ts";
import { startStores, type DoubleStores } from "./double-stores.ts";

let double: DoubleStores;
let server: LocalServer;
let stores: Stores;

beforeEach(async () => {
  [double, server] = [await startStores(), await startLocalServer()];
  stores = openStores(server, double.addresses);
});
afterEach(async () => {
  await double[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

describe("a call of the monitoring's programs", () => {
  it.each([
    'a "quoted" word',
    String.raw`back\slash \n`,
    "two\nlines\tand é",
    "$(id) `id` ${HOME}",
    "@/etc/passwd",
  ])("brings %j there as it is, as a form and as JSON", async (text) => {
    double.give("metrics /form", {});
    await stores.ask({ store: "metrics", path: "/form", form: { query: text } });
    await stores.ask({ store: "metrics", path: "/form", json: { text } });

    expect(double.received[0]!.form).toEqual({ query: text });
    expect(JSON.parse(double.received[1]!.body)).toEqual({ text });
  });

  it("gives the text of an answer, whatever lines it has", async () => {
    double.give("logs /lines", "one\n\ntwo\n503\n");

    expect(await stores.ask({ store: "logs", path: "/lines" })).toBe("one\n\ntwo\n503\n");
  });

  it("does not take a store that does not answer for one that has nothing", async () => {
    double.down.add("alerts");
    const asked = stores.ask({ store: "alerts", path: "/api/v2/alerts" });

    await expect(asked).rejects.toThrow(StoreSilent);
    await expect(asked).rejects.toThrow(
      /^alerts on debian@203.0.113.10:22 does not answer \(Empty reply from server\); look at it there with docker service ps technicia-alerts$/,
    );
  });

  it("says why a query was refused", async () => {
    double.answers.set("metrics /bad", () => ({ status: 422, body: "unknown function foo()\nmore" }));
    const asked = stores.ask({ store: "metrics", path: "/bad?x=1" });

    await expect(asked).rejects.toThrow(StoreRefused);
    await expect(asked).rejects.toThrow("metrics /bad: it refuses with 422: unknown function foo()");
  });

  it("does not take an answer of another shape for an empty one", async () => {
    double.give("metrics /other", { data: null });
    const asked = stores.read({ store: "metrics", path: "/other" }, z.object({ data: z.array(z.string()) }));

    await expect(asked).rejects.toThrow(StoreRefused);
    await expect(asked).rejects.toThrow(
      "metrics /other: expected the answer of this version, got one with problems in data",
    );
  });

  it("asks several over one command, and gives each its own answer or failure", async () => {
    double.give("metrics /one", "1");
    double.answers.set("logs /two", () => ({ status: 400, body: "no" }));
    double.down.add("probes");
    const answers = await stores.askAll([
      { store: "metrics", path: "/one" },
      { store: "logs", path: "/two" },
      { store: "probes", path: "/three" },
      { store: "metrics", path: "/one" },
    ]);

    expect(answers).toEqual(["1", expect.any(StoreRefused), expect.any(StoreSilent), "1"]);
    expect(server.purposes).toEqual(["ask metrics, logs, probes of the monitoring"]);
  });
});
