import { spawnSync } from "node:child_process";
import { mkdtempSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { until } from "../../support/until.ts";
import { CallFailure, Plugin, secret, unknown, type Resource } from "../plugin-process.ts";

const FILE = "technicia:host:File";
const STATE = "technicia:host:State";

let plugin: Plugin;
beforeAll(async () => {
  plugin = await Plugin.start({});
});
afterAll(() => plugin.stop());

function fileOf(inputs: Record<string, unknown>): Resource {
  return { type: FILE, name: "f", id: "/etc/a", inputs, state: { ...inputs, sha256: "0" } };
}

describe("CheckConfig", () => {
  it("accepts a host and a cloud, and the version that the engine adds", async () => {
    const settings = { hostAddress: "203.0.113.10", hostPort: "22", ovhEndpoint: "ovh-eu", version: "1.0.0" };

    expect(await plugin.checkConfig(settings)).toEqual([]);
  });

  it("fails when arguments are wrong, all at once, without showing what is secret", async () => {
    const settings = {
      hostAddress: "ssh://x",
      hostPort: "0",
      ovhApplicationSecret: 7,
      hots: "x",
      hostKey: "AAAA",
    };

    const problems = await plugin.checkConfig(settings);

    expect(problems).toEqual([
      expect.stringMatching(/^hots: unknown property; known are hostAddress/),
      'hostAddress: expected a host name or an IP address, without scheme, user or port, got "ssh://x"',
      'hostPort: expected a port between 1 and 65535, in digits, got "0"',
      'hostKey: expected a public key such as ssh-ed25519 AAAA…, got "AAAA"',
      "ovhApplicationSecret: expected a string, got a secret value",
    ]);
  });

  it("accepts unknown arguments", async () => {
    expect(await plugin.checkConfig({ hostAddress: unknown, hostKey: unknown })).toEqual([]);
  });
});

describe("DiffConfig", () => {
  it("replaces for another serverId, and not for another key or address", async () => {
    const olds = { serverId: "a", hostKey: "k", hostAddress: "x" };

    expect(await plugin.diffConfig(olds, { ...olds, serverId: "b" })).toMatchObject({
      replaces: ["serverId"],
      detailed: { serverId: "update_replace" },
    });
    expect(await plugin.diffConfig(olds, { ...olds, hostKey: "l", hostAddress: "y" })).toMatchObject({
      changes: true,
      replaces: [],
      detailed: { hostKey: "update", hostAddress: "update" },
    });
    expect(await plugin.diffConfig(olds, olds)).toMatchObject({ changes: false, detailed: {} });
  });
});

describe("Check", () => {
  it("adds defaults and normal forms, and keeps secrets secret", async () => {
    const { inputs, problems } = await plugin.check(FILE, {
      path: "/etc/a",
      content: secret("x"),
      mode: "600",
    });

    expect(problems).toEqual([]);
    expect(inputs).toEqual({
      path: "/etc/a",
      content: secret("x"),
      mode: "0600",
      owner: "root",
      group: "root",
    });
  });

  it("accepts unknown inputs", async () => {
    const { inputs, problems } = await plugin.check(STATE, {
      observe: "x",
      desired: unknown,
      apply: "y",
      secrets: { A: unknown },
    });

    expect(problems).toEqual([]);
    expect(inputs).toMatchObject({ desired: unknown, timeoutSeconds: 120 });
  });

  it.each([
    [
      FILE,
      { path: "etc/a", content: "" },
      'path: expected an absolute path to a file, without // . or .. in it, got "etc/a"',
    ],
    [
      FILE,
      { path: "/a/../b", content: "" },
      'path: expected an absolute path to a file, without // . or .. in it, got "/a/../b"',
    ],
    [
      FILE,
      { path: "/a", content: secret("a\0b") },
      "content: expected text without NUL characters, got a secret value",
    ],
    [
      FILE,
      { path: "/a", content: "", mode: "rw-" },
      'mode: expected permissions in octal, such as "0644", got "rw-"',
    ],
    [
      "technicia:host:Packages",
      { names: ["nginx=1.2"] },
      'names[0]: expected the name of a Debian package, without version, got "nginx=1.2"',
    ],
    ["technicia:host:Packages", { names: [] }, "names: expected at least one package, got []"],
    [
      "technicia:host:Unit",
      { unit: "nginx", enabled: true, active: true },
      'unit: expected a full unit name, such as nginx.service, got "nginx"',
    ],
    [
      STATE,
      { observe: "x", desired: " ", apply: "y" },
      'desired: expected text that observe prints, got " "; nothing means that the state is not there',
    ],
    [
      STATE,
      { observe: "x", desired: "d", apply: "y", variables: { PATH: "z" } },
      'variables.PATH: expected a name that bash does not use itself, got "PATH"',
    ],
    [
      STATE,
      { observe: "x", desired: "d", apply: "y", variables: { A: "1" }, secrets: secret({ A: "2" }) },
      "secrets.A: expected a name of its own, got one that variables has too; keep one of them",
    ],
    [
      "technicia:host:HostKey",
      { address: "x", port: 0, serverId: "a" },
      "port: expected a port between 1 and 65535, got 0",
    ],
  ])("fails when %s is given %j", async (type, inputs, problem) => {
    expect((await plugin.check(type, inputs)).problems).toEqual([problem]);
  });

  it("fails for an unknown resource type", async () => {
    await expect(plugin.check("technicia:host:Fiel", {})).rejects.toThrow(
      "technicia:host:Fiel: unknown resource type",
    );
  });
});

describe("Diff", () => {
  const inputs = { path: "/etc/a", content: "x", mode: "0644", owner: "root", group: "root" };

  it("finds nothing where nothing changed", async () => {
    expect(await plugin.diff(fileOf(inputs), { path: "/etc/a", content: "x" })).toMatchObject({
      changes: false,
      detailed: {},
    });
  });

  it("distinguishes updates from replacements", async () => {
    expect(await plugin.diff(fileOf(inputs), { path: "/etc/b", content: "y", onChange: "true" })).toEqual({
      changes: true,
      replaces: ["path"],
      deleteBeforeReplace: false,
      detailed: { path: "update_replace", content: "update", onChange: "add" },
    });
  });

  it("compares the values of secrets", async () => {
    const resource = fileOf({ ...inputs, content: secret("x") });

    expect(await plugin.diff(resource, { path: "/etc/a", content: secret("x") })).toMatchObject({
      changes: false,
    });
    expect(await plugin.diff(resource, { path: "/etc/a", content: secret("y") })).toMatchObject({
      detailed: { content: "update" },
    });
  });

  it("treats an unknown value as a change", async () => {
    expect(await plugin.diff(fileOf(inputs), { path: "/etc/a", content: unknown })).toMatchObject({
      detailed: { content: "update" },
    });
  });
});

describe("a preview", () => {
  it("connects to no host, and marks unknown outputs", async () => {
    const { state } = await plugin.create(
      FILE,
      "f",
      { path: "/etc/a", content: secret("x") },
      { preview: true },
    );

    expect(state).toMatchObject({
      path: "/etc/a",
      content: secret("x"),
      sha256: secret("2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"),
      previous: unknown,
    });
  });

  it("keeps the outputs of a resource that is only updated", async () => {
    const inputs = { unit: "a.service", enabled: true, active: true };
    const outputs = { loadState: "loaded", previous: { enablement: "disabled", active: false } };
    const resource = {
      type: "technicia:host:Unit",
      name: "u",
      id: "a.service",
      inputs,
      state: { ...inputs, ...outputs },
    };

    const { state } = await plugin.update(resource, { ...inputs, active: false }, { preview: true });

    expect(state).toEqual({ ...inputs, active: false, ...outputs });
  });
});

describe("a connection without a host", () => {
  it("fails when a resource needs one", async () => {
    await expect(plugin.create(FILE, "f", { path: "/a", content: "" })).rejects.toThrow(
      "hostAddress: expected a host name or an IP address, got nothing; set it on the Connection of this resource",
    );
  });
});

describe("Cancel", () => {
  it("refuses further calls", async () => {
    const own = await Plugin.start({});
    await own.cancel();

    await expect(own.create(FILE, "f", { path: "/a", content: "" })).rejects.toThrow(CallFailure);
    await own.stop();
  });
});

describe("pulumi-resource-technicia", () => {
  const executable = join(import.meta.dirname, "../../../provider/pulumi-resource-technicia");

  it("finds its project through links and from any folder", async () => {
    const folder = mkdtempSync(join(tmpdir(), "technicia-link-"));
    symlinkSync(executable, join(folder, "first"));
    symlinkSync("first", join(folder, "pulumi-resource-technicia"));

    const linked = await Plugin.start({}, {}, join(folder, "pulumi-resource-technicia"));

    expect(await linked.checkConfig({})).toEqual([]);
    await linked.stop();
  });

  it.each(["SIGINT", "SIGTERM"] as const)(
    "ends at once on %s, with which engines end their plugins",
    async (signal) => {
      const own = await Plugin.start({});

      own.process.kill(signal);

      await until("it has ended", () => own.process.exitCode !== null, 3_000);
      expect(own.process.exitCode).toBe(0);
      await own.stop();
    },
  );

  it("ends when the engine that started it is gone", async () => {
    // The shell stands for the engine: it dies while the plugin runs.
    const port = join(mkdtempSync(join(tmpdir(), "technicia-port-")), "port");
    const script = `"$1" 127.0.0.1:1 >"$2" 2>&1 & echo $!; until [ -s "$2" ]; do sleep 0.05; done`;
    const { stdout } = spawnSync("bash", ["-c", script, "bash", executable, port], { encoding: "utf8" });
    const pid = Number(stdout);

    await until("the plugin has ended", () => {
      try {
        process.kill(pid, 0);
        return false;
      } catch {
        return true;
      }
    });
  });
});
