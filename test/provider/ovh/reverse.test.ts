import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { clients } from "../../../provider/ovh/client.ts";
import { defineReverseName } from "../../../provider/ovh/reverse.ts";
import { type FakeOvh, startOvh } from "../../../rehearsal/fake-clouds/ovh/server.ts";
import { settingsOf } from "./fixtures.ts";
import { Stack } from "./stack.ts";

const NAME = "technicia.exemple.fr.";

let ovh: FakeOvh;
let ip: string;
let server: string;
/** Addresses that OVH's resolvers see. */
let seen: Record<string, readonly string[]>;
beforeEach(async () => {
  seen = {};
  ovh = await startOvh({ resolve: (name) => Promise.resolve(seen[name] ?? []) });
  ({ ipv4: ip, serviceName: server } = ovh.addServer());
});
afterEach(() => ovh.close());

function stackOf(waitMs: number) {
  const definition = defineReverseName({ clientOf: clients({ retryMs: 1 }), pace: { waitMs, everyMs: 1 } });
  return new Stack(definition, { settings: settingsOf(ovh.url), name: "dns-reverse-name" });
}

const posts = () => ovh.calls.lines("ovh").filter((line) => line.startsWith("POST"));

describe("ReverseName", () => {
  it("sets the name as soon as OVH sees it point here", async () => {
    const stack = stackOf(10_000);
    const running = stack.up({ ip, name: NAME });
    while (posts().length < 2) await new Promise((resolve) => setImmediate(resolve));
    seen[NAME] = [ip];

    expect(await running).toBe("created");
    expect(stack.outputs).toEqual({ accepted: NAME });
    expect(ovh.state.reverses).toEqual({ [ip]: NAME });
    expect(stack.said("warning")).toEqual([]);
    expect(await stack.refresh()).toBe(false);
    expect(await stack.up({ ip, name: NAME })).toBe("same");
  });

  it("warns and keeps the server's own name while OVH refuses, and asks again in the next update", async () => {
    const stack = stackOf(5);
    expect(await stack.up({ ip, name: NAME })).toBe("created");

    expect(stack.outputs).toEqual({ accepted: `${server}.` });
    expect(stack.said("warning")).toEqual([
      expect.stringMatching(
        `^reverse name of ${ip}: it stays ${server}\\., because OVH does not see ${NAME} yet \\(POST .* got 400 .*\\); ` +
          "nothing else depends on it: run pulumi up again in some hours, which asks again$",
      ),
    ]);
    expect(await stack.refresh()).toBe(true);

    seen[NAME] = [ip];
    expect(await stack.up({ ip, name: NAME })).toBe("updated");
    expect(stack.outputs).toEqual({ accepted: NAME });
    expect(await stack.refresh()).toBe(false);
  });

  it("keeps the name that was set before", async () => {
    ovh.state.reverses[ip] = "old.exemple.fr.";
    const stack = stackOf(5);
    await stack.up({ ip, name: NAME });

    expect(stack.outputs).toEqual({ accepted: "old.exemple.fr." });
  });

  it("sees that somebody has set the refused name meanwhile", async () => {
    const stack = stackOf(5);
    await stack.up({ ip, name: NAME });
    ovh.state.reverses[ip] = NAME;
    await stack.refresh();

    expect(stack.outputs).toEqual({ accepted: NAME });
    expect(await stack.up({ ip, name: NAME })).toBe("same");
  });

  it("asks for nothing when OVH has the name, and knows that in the preview", async () => {
    ovh.state.reverses[ip] = NAME;
    const stack = stackOf(5);

    expect(await stack.preview({ ip, name: NAME })).toEqual({ accepted: NAME });
    await stack.up({ ip, name: NAME });
    expect(posts()).toEqual([]);
  });

  it("leaves a name that somebody changes afterwards to the plugin that manages it", async () => {
    seen[NAME] = [ip];
    const stack = stackOf(5);
    await stack.up({ ip, name: NAME });
    ovh.state.reverses[ip] = "other.example.";

    expect(await stack.refresh()).toBe(false);
  });

  it("fails with everything else that OVH refuses", async () => {
    ovh.faults.add({ api: "ovh", method: "POST", path: "/reverse$", times: 0, status: 403 });

    await expect(stackOf(5).up({ ip, name: NAME })).rejects.toThrow("got 403");
  });
});
