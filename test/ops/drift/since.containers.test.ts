import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { readSince, type Difference } from "../../../ops/drift/differences.ts";
import { openServer, type Server } from "../../../ops/server/connection.ts";
import { startHost, type TestHost } from "../../support/host.ts";
import { until } from "../../support/until.ts";

let host: TestHost;
let server: Server;

beforeAll(async () => {
  host = await startHost();
  const { address, port, user, privateKeyFile } = host;
  const hostKey = (await host.exec("cut -d ' ' -f 1,2 /etc/ssh/ssh_host_ed25519_key.pub")).trim();
  server = openServer({ ssh: { address, port, user, privateKeyFile, hostKey } });
});
afterAll(async () => {
  server.close();
  await host.stop();
});

const difference = ({
  type = "technicia:host:State",
  resource = "r",
  ...change
}: Partial<Difference> & { readonly type?: string }): Difference => ({
  ...{ layer: "host", urn: `urn:pulumi:test::technicia::${type}::${resource}`, resource },
  ...{ kind: "changed", what: "", expected: [], found: [], inputs: {}, ...change },
});
const file = (path: string, kind: "gone" | "changed" = "changed") =>
  difference({ type: "technicia:host:File", kind, inputs: { path } });
const extra = (what: string) => difference({ kind: "extra", what });

describe("readSince", () => {
  it("asks the host of everything in one call, each answer for its own", async () => {
    const began = Number(await host.exec("date +%s"));
    await host.exec(`
      mkdir -p /srv/kept; touch /srv/kept/gone; rm /srv/kept/gone
      touch --date 2020-01-01 /etc/cron.d/evil
      systemctl stop cron.service
      echo "2026-01-02 03:04:05 remove less:amd64 590-2 <none>" >> /var/log/dpkg.log
      setsid python3 -m http.server 4444 >/dev/null 2>&1 &
    `);
    await until("it listens", async () => (await host.exec("ss -lnt")).includes(":4444 "));
    const asked = [
      file("/srv/kept/gone", "gone"),
      extra("rule tcp dport 4444 counter accept in ip filter INPUT"),
      extra("cron entry /etc/cron.d/evil"),
      difference({ type: "technicia:host:Unit", inputs: { unit: "cron.service" } }),
      difference({ type: "technicia:host:Packages", expected: ["less"], inputs: { names: ["less"] } }),
      extra("listener tcp 0.0.0.0:4444 by python3.11"),
      extra("account mallory with the shell /bin/bash"),
      difference({ resource: "host-time-zone" }),
      file("/nowhere/at/all", "gone"),
    ];
    const times = await readSince(asked, server);
    const [gone, rule, cron, unit, less, listener, account, zone, nowhere] = times.map(
      (at) => at && at.getTime() / 1000,
    );

    for (const at of [gone, cron, unit, listener]) expect(at).toBeGreaterThanOrEqual(began - 1);
    expect(less).toBe(Date.parse("2026-01-02T03:04:05Z") / 1000);
    expect(account).toBeLessThanOrEqual(began);
    expect(zone).toBeLessThanOrEqual(began);
    expect([rule, nowhere]).toEqual([undefined, undefined]);
  });

  it("asks nothing where nothing can tell", async () => {
    const nobody: Server = {
      name: "",
      run: () => Promise.reject(new Error("asked")),
      logInForDocker: () => Promise.resolve(),
      close: () => undefined,
    };

    expect(await readSince([extra("rule accept in ip filter INPUT")], nobody)).toEqual([undefined]);
  });
});
