import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { loginOf, startHost, type TestHost } from "../../support/host.ts";
import { Plugin } from "../plugin-process.ts";

const FILE = "technicia:host:File";
const inputs = { path: "/srv/kept", content: "text\n" };

let host: TestHost;

beforeAll(async () => {
  host = await startHost();
});
afterAll(() => host.stop());

const connect = (serverId: string): Promise<Plugin> =>
  Plugin.start({
    ...loginOf(host),
    serverId,
  });

describe("a host whose serverId changes although it is the same", () => {
  it("keeps what was created on it again when the old resources are deleted", async () => {
    const [before, after] = [await connect("vps-1/0"), await connect("vps-1/7")];
    const old = await before.create(FILE, "file", inputs);
    const young = await after.create(FILE, "file", inputs);

    await before.delete(old);

    expect(await host.exec("cat /srv/kept")).toBe("text\n");
    expect(before.logs.map(({ message }) => message)).toContain(
      "left on the server, where it was created again for another installation",
    );
    await after.delete(young);
    expect((await host.tryExec("test -e /srv/kept")).code).toBe(1);
    await Promise.all([before.stop(), after.stop()]);
  });

  it("loses what is deleted on it by the connection that it belongs to", async () => {
    const plugin = await connect("vps-1/9");
    const made = await plugin.create(FILE, "file", inputs);

    await plugin.delete(made);

    expect((await host.tryExec("test -e /srv/kept")).code).toBe(1);
    await plugin.stop();
  });
});
