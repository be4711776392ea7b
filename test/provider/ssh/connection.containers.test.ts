import { spawnSync } from "node:child_process";
import { copyFileSync, writeFileSync } from "node:fs";
import { Socket } from "node:net";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";

import { Host } from "../../../provider/ssh/host.ts";
import { loginOf, startHost, type TestHost } from "../../support/host.ts";
import { until } from "../../support/until.ts";
import { Plugin, type Resource } from "../plugin-process.ts";

const FILE = "technicia:host:File";
const HOST_KEY = "technicia:host:HostKey";
const STATE = "technicia:host:State";

// systemd counts starts, and refuses the sixth within ten seconds; many tests in a row get there.
const restart = "systemctl reset-failed ssh.service; systemctl restart ssh.service";
const start = "systemctl reset-failed ssh.service; systemctl start ssh.service";

// What a test that failed has left would make every later one fail as well.
const repair = [
  "rm --force /run/nologin",
  "if test -e /usr/bin/sudo.off; then mv /usr/bin/sudo.off /usr/bin/sudo; fi",
  `if rm /etc/ssh/sshd_config.d/t.conf 2>/dev/null; then ${restart}; fi`,
  `systemctl --quiet is-active ssh.service || { ${start}; }`,
].join("\n");

let host: TestHost;
const plugins: Plugin[] = [];

beforeAll(async () => {
  host = await startHost();
});
afterAll(() => host.stop());
afterEach(async () => {
  await Promise.all(plugins.splice(0).map((plugin) => plugin.stop()));
  await host.exec(repair);
});

async function connect(
  settings: Record<string, string> = {},
  environment: Record<string, string> = {},
): Promise<Plugin> {
  const plugin = await Plugin.start(
    { ...loginOf(host), ...settings },
    { SSH_AUTH_SOCK: undefined, ...environment },
  );
  plugins.push(plugin);
  return plugin;
}

const createFile = (plugin: Plugin, path = "/srv/a"): Promise<Resource> =>
  plugin.create(FILE, "f", { path, content: "x" });
const logins = async (): Promise<number> =>
  Number(await host.exec("journalctl --unit ssh --no-pager | grep -c 'Accepted publickey' || true"));
const keyOf = async (plugin: Plugin): Promise<Resource> =>
  plugin.create(HOST_KEY, "k", { address: host.address, serverId: "one" });

describe("Host", () => {
  it("logs in once, however many resources use it at the same time", async () => {
    const plugin = await connect();
    const before = await logins();

    const files = await Promise.all(
      Array.from({ length: 40 }, (_, i) => createFile(plugin, `/srv/many/${i}`)),
    );
    await Promise.all(files.map((file) => plugin.read(file)));

    expect(await logins()).toBe(before + 1);
    expect(await host.exec("ls /srv/many | wc -l")).toBe("40\n");
  });

  it("sends short packets without waiting for more", async () => {
    const delays = vi.spyOn(Socket.prototype, "setNoDelay");
    const { address, port, user, privateKeyFile } = host;
    const direct = new Host({ address, port, user, privateKeyFile, hostKey: undefined });

    await direct.run({ purpose: "look", script: "true", signal: new AbortController().signal });

    expect(delays).toHaveBeenCalledWith(true);
    direct.close();
    delays.mockRestore();
  });

  it("works with a host that allows fewer sessions than most", async () => {
    await host.exec(`echo 'MaxSessions 2' > /etc/ssh/sshd_config.d/t.conf; ${restart}`);
    const plugin = await connect();

    const files = await Promise.all(
      Array.from({ length: 12 }, (_, i) => createFile(plugin, `/srv/few/${i}`)),
    );

    expect(files).toHaveLength(12);
    await host.exec(`rm /etc/ssh/sshd_config.d/t.conf; ${restart}`);
  });

  it("logs in again when the connection was lost between two commands", async () => {
    const plugin = await connect();
    const file = await createFile(plugin);
    await host.exec(`${restart}; pkill -f '^sshd: debian'`);

    expect(await plugin.read(file)).toEqual(file);
  });

  it("logs in again when the connection was lost unnoticed before a command", async () => {
    const plugin = await connect();
    const file = await createFile(plugin);
    const session = "sshd: debian";
    await host.exec(`pkill -STOP -f '^${session}'`);
    const reading = plugin.read(file);
    await until("the command has reached the host", async () => {
      return /^\s*[1-9]/m.test(await host.exec("ss -Htn state established sport = :22 | awk '{ print $1 }'"));
    });

    await host.exec(`pkill -KILL -f '^${session}'`);

    expect(await reading).toEqual(file);
  });

  it("reports that the connection was lost during a command", async () => {
    const plugin = await connect();
    const work = { observe: "cat /srv/done || true", desired: "x", apply: "touch /srv/begun; sleep 60" };
    const failing = plugin.create(STATE, "s", work).catch((error: unknown) => String(error));
    await until("the command runs", async () => (await host.tryExec("test -e /srv/begun")).code === 0);

    await host.exec("pkill -f '^sshd: debian'");

    expect(await failing).toMatch(
      /could not apply s on .*: the connection was lost meanwhile; how far it came is not known/,
    );
    await until(
      "the command was killed",
      async () => (await host.exec("pgrep -xc sleep || true")).trim() === "0",
    );
  });

  it("waits for a host that is booting, and reports it", async () => {
    await host.exec("systemctl stop ssh.socket ssh.service 2>/dev/null || systemctl stop ssh");
    const plugin = await connect();
    const creating = createFile(plugin);
    await until("the plugin waits for ssh", () =>
      plugin.logs.some(({ message }) => /waiting for ssh on .*: connection refused/.test(message)),
    );

    await host.exec(start);

    expect((await creating).id).toBe("/srv/a");
  });

  it("waits the full time for a host that is down only once, not for every resource", async () => {
    await host.exec("systemctl stop ssh.socket ssh.service 2>/dev/null || systemctl stop ssh");
    const plugin = await connect();
    const hasty = plugin.create(FILE, "f", { path: "/srv/a", content: "" }, { timeoutSeconds: 20 });
    await expect(hasty).rejects.toThrow(/refused/);

    const began = Date.now();
    await expect(createFile(plugin)).rejects.toThrow(/refused/);
    // The first one waits 60 s where nobody says how long.
    expect(Date.now() - began).toBeLessThan(45_000);

    await host.exec(start);
    expect((await createFile(plugin)).id).toBe("/srv/a");
  });

  it("waits for a host that answers but refuses logins until it has booted", async () => {
    await host.exec("touch /run/nologin");
    const plugin = await connect();
    const creating = createFile(plugin);
    await until("the plugin waits for ssh", () =>
      plugin.logs.some(({ message }) => message.startsWith("waiting for ssh on")),
    );

    await host.exec("rm /run/nologin");

    expect((await creating).id).toBe("/srv/a");
  });

  it("works as root", async () => {
    await host.exec(
      "install -d -m 700 /root/.ssh; install -m 600 /home/debian/.ssh/authorized_keys /root/.ssh/authorized_keys",
    );
    const plugin = await connect({ hostUser: "root" });

    expect((await createFile(plugin, "/srv/by-root")).id).toBe("/srv/by-root");
  });
});

describe("Host without a connection", () => {
  it("fails when nothing answers, with what to check", async () => {
    const plugin = await connect({ hostPort: "2" });
    const work = { observe: "true", desired: "x", apply: "true", timeoutSeconds: 1 };

    await expect(plugin.create(STATE, "s", work)).rejects.toThrow(
      `ssh ${host.address}:2: expected sshd to answer, got: connection refused (tried for 1 s); check that the host runs`,
    );
  });

  it("fails when the host name does not exist", async () => {
    const plugin = await connect({ hostAddress: "nowhere.invalid" });
    const work = { observe: "true", desired: "x", apply: "true", timeoutSeconds: 1 };

    await expect(plugin.create(STATE, "s", work)).rejects.toThrow(
      /^ssh nowhere.invalid:22: expected sshd to answer, got: (no such host name|getaddrinfo EAI_AGAIN)/,
    );
  });

  it("fails when another program than sshd answers", async () => {
    await host.exec(
      "(python3 -m http.server 8022 >/dev/null 2>&1 & echo $! > /srv/http); until (exec 3<>/dev/tcp/127.0.0.1/8022) 2>/dev/null; do sleep 0.05; done",
    );
    const plugin = await connect({ hostPort: "8022" });
    const work = { observe: "true", desired: "x", apply: "true", timeoutSeconds: 1 };

    await expect(plugin.create(STATE, "s", work)).rejects.toThrow(
      `ssh ${host.address}:8022: expected sshd to answer`,
    );
    await host.exec("kill $(cat /srv/http)");
  });

  it("stops waiting when it is cancelled", async () => {
    const plugin = await connect({ hostPort: "2" });
    const failing = createFile(plugin).catch((error: unknown) => String(error));
    await until("the plugin waits for ssh", () =>
      plugin.logs.some(({ message }) => message.startsWith("waiting for ssh")),
    );

    await plugin.cancel();

    expect(await failing).toBe("Error: cancelled");
  });
});

describe("credentials", () => {
  const other = (): string => join(host.privateKeyFile, "..", "other");

  function keygen(path: string, passphrase: string): void {
    expect(spawnSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", passphrase, "-f", path]).status).toBe(0);
  }

  it("fails with the name of the key when the host does not accept it", async () => {
    keygen(other(), "");
    const plugin = await connect({ hostPrivateKeyFile: other() });

    await expect(createFile(plugin)).rejects.toThrow(
      new RegExp(
        `^ssh debian@${host.address}:22: the host refused the key ${other()} \\(SHA256:.{43}\\); put that key into ~debian/.ssh/authorized_keys`,
      ),
    );
  });

  it("fails when there is no such key file", async () => {
    const plugin = await connect({ hostPrivateKeyFile: "~/no/such/key" });

    await expect(createFile(plugin)).rejects.toThrow(
      /^hostPrivateKeyFile: expected a readable private key, got \/.*\/no\/such\/key \(ENOENT\)/,
    );
  });

  it("fails when the file is not a private key", async () => {
    writeFileSync(`${other()}.txt`, "not a key");
    const plugin = await connect({ hostPrivateKeyFile: `${other()}.txt` });
    const halves = await connect({ hostPrivateKeyFile: `${host.privateKeyFile}.pub` });

    await expect(createFile(plugin)).rejects.toThrow("hostPrivateKeyFile: expected a private key, got");
    await expect(createFile(halves)).rejects.toThrow("name the file without .pub");
  });

  describe("with a key that has a passphrase", () => {
    const encrypted = (): string => join(host.privateKeyFile, "..", "encrypted");
    let agent: { readonly socket: string; readonly pid: string };

    beforeAll(() => {
      copyFileSync(host.privateKeyFile, encrypted());
      expect(
        spawnSync("ssh-keygen", ["-q", "-p", "-P", "", "-N", "correct horse", "-f", encrypted()]).status,
      ).toBe(0);
      const { stdout } = spawnSync("ssh-agent", ["-s"], { encoding: "utf8" });
      agent = {
        socket: /SSH_AUTH_SOCK=([^;]+)/.exec(stdout)?.[1] ?? "",
        pid: /SSH_AGENT_PID=(\d+)/.exec(stdout)?.[1] ?? "",
      };
    });
    afterAll(() => {
      process.kill(Number(agent.pid));
    });

    it("fails when no agent runs", async () => {
      const plugin = await connect({ hostPrivateKeyFile: encrypted() });

      await expect(createFile(plugin)).rejects.toThrow(
        `${encrypted()} has a passphrase, and no ssh agent runs (SSH_AUTH_SOCK is not set)`,
      );
    });

    it("fails when the agent does not hold it", async () => {
      const plugin = await connect({ hostPrivateKeyFile: encrypted() }, { SSH_AUTH_SOCK: agent.socket });

      await expect(createFile(plugin)).rejects.toThrow(
        `and the ssh agent does not hold it; add it with: ssh-add ${encrypted()}`,
      );
    });

    it("uses the agent that holds it, however many other keys that holds", async () => {
      const env = { ...process.env, SSH_AUTH_SOCK: agent.socket };
      for (const key of ["1", "2", "3", "4", "5", "6", "7"].map((n) => `${other()}${n}`)) {
        keygen(key, "");
        expect(spawnSync("ssh-add", ["-q", key], { env }).status).toBe(0);
      }
      expect(spawnSync("ssh-add", ["-q", host.privateKeyFile], { env }).status).toBe(0);
      const plugin = await connect({ hostPrivateKeyFile: encrypted() }, { SSH_AUTH_SOCK: agent.socket });

      expect((await createFile(plugin)).id).toBe("/srv/a");
    });
  });

  it("fails when the user may not sudo", async () => {
    await host.exec(
      "id plain >/dev/null 2>&1 || useradd --create-home --shell /bin/bash plain; install -d -o plain -m 700 /home/plain/.ssh; install -o plain -m 600 /home/debian/.ssh/authorized_keys /home/plain/.ssh/authorized_keys",
    );
    const plugin = await connect({ hostUser: "plain" });

    await expect(createFile(plugin)).rejects.toThrow(
      /could not write \/srv\/a on plain@.*: sudo refused; give plain the right to sudo without a password \(NOPASSWD: ALL\), or log in as root/,
    );
  });

  it("fails when there is no sudo", async () => {
    await host.exec("mv /usr/bin/sudo /usr/bin/sudo.off");
    const plugin = await connect();

    await expect(createFile(plugin)).rejects.toThrow("there is no sudo; install it, or log in as root");
    await host.exec("mv /usr/bin/sudo.off /usr/bin/sudo");
  });
});

describe("HostKey", () => {
  it("records the key that the host answers with, and prints it once", async () => {
    const plugin = await connect();

    const key = await keyOf(plugin);

    const [type, blob] = (await host.exec("cat /etc/ssh/ssh_host_ed25519_key.pub")).split(" ");
    const shown = (await host.exec("ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub")).split(" ")[1];
    expect(key.state).toMatchObject({ hostKey: `${type ?? ""} ${blob ?? ""}`, fingerprint: shown });
    expect(plugin.logs).toContainEqual(
      expect.objectContaining({
        severity: "info",
        ephemeral: false,
        message: expect.stringContaining(shown ?? "?") as string,
      }),
    );
    expect(await plugin.read(key)).toEqual(key);
    await plugin.delete(key);
  });

  it("is imported by address and server id", async () => {
    const plugin = await connect();
    const key = await keyOf(plugin);

    const imported = await plugin.import(HOST_KEY, `${host.address}:22/one`);

    expect(imported).toMatchObject({
      inputs: { address: host.address, port: 22, serverId: "one" },
      state: key.state,
    });
    await expect(plugin.import(HOST_KEY, "somewhere")).rejects.toThrow(
      "expected an id such as 203.0.113.10:22/<serverId>",
    );
  });

  it("is replaced with the server, and updated with its address", async () => {
    const plugin = await connect();
    const key = await keyOf(plugin);

    expect((await plugin.diff(key, { ...key.inputs, serverId: "two" })).replaces).toEqual(["serverId"]);
    expect((await plugin.diff(key, { ...key.inputs, address: "x" })).replaces).toEqual([]);
  });
});

describe("HostKey in a preview", () => {
  const preview = (plugin: Plugin, inputs: Record<string, unknown>): Promise<Resource> =>
    plugin.create(
      HOST_KEY,
      "k",
      { address: host.address, port: 22, serverId: "one", ...inputs },
      { preview: true },
    );
  const printOf = async (kind: string): Promise<string> =>
    (await host.exec(`ssh-keygen -lf /etc/ssh/ssh_host_${kind}_key.pub`)).split(" ")[1] ?? "?";
  const stranger = `SHA256:${"A".repeat(43)}`;
  const told = (plugin: Plugin): string => plugin.logs.map(({ message }) => message).join("\n");

  it("prints the key that will be trusted", async () => {
    const plugin = await connect();

    await preview(plugin, {});

    expect(told(plugin)).toContain(
      `host key: ${host.address}:22 answers with ${await printOf("ed25519")} (ssh-ed25519), which will be trusted from the first contact on`,
    );
  });

  it("says that only the first contact will tell when nobody answers yet", async () => {
    const plugin = await connect();

    await preview(plugin, { port: 9 });

    expect(told(plugin)).toContain(
      `host key: ${host.address}:9 does not answer yet; whichever key answers first will be trusted; to require one, set technicia:ssh.hostKey`,
    );
  });

  it.each(["ed25519", "ecdsa", "rsa"])(
    "accepts the expected fingerprint of the host's %s key",
    async (kind) => {
      const plugin = await connect();
      const expected = await printOf(kind);

      await preview(plugin, { expected });
      const key = await plugin.create(HOST_KEY, "k", {
        address: host.address,
        port: 22,
        serverId: "one",
        expected,
      });

      expect(key.state["fingerprint"]).toBe(expected);
      expect(await plugin.read(key)).toEqual(key);
    },
  );

  it("refuses a host without the expected key, as does the creation", async () => {
    const plugin = await connect();

    await expect(preview(plugin, { expected: stranger })).rejects.toThrow(
      `technicia:ssh.hostKey: expected the host key ${stranger} at ${host.address}:22, got ${await printOf("ed25519")}; another machine answers there`,
    );
    await expect(
      plugin.create(HOST_KEY, "k", { address: host.address, port: 22, serverId: "one", expected: stranger }),
    ).rejects.toThrow("technicia:ssh.hostKey: expected the host key");
  });

  it("refuses an expected fingerprint that is set later and belongs to no key of the host", async () => {
    const plugin = await connect();
    const key = await keyOf(plugin);

    await expect(
      plugin.update(key, { ...key.inputs, expected: stranger }, { preview: true }),
    ).rejects.toThrow("technicia:ssh.hostKey: expected the host key");
  });

  it("refuses a port on which nobody answers", async () => {
    const plugin = await connect();
    const key = await keyOf(plugin);

    await expect(plugin.update(key, { ...key.inputs, port: 9 }, { preview: true })).rejects.toThrow(
      "technicia:ssh.port: expected a port on which sshd answers, got 9, where nobody does; set technicia:ssh.nextPort to 9",
    );
  });
});

describe("host with another key than the pinned one", () => {
  let key: Resource;
  let pinned: Record<string, string>;
  let file: Resource;

  beforeAll(async () => {
    const plugin = await connect();
    key = await keyOf(plugin);
    pinned = { hostKey: String(key.state["hostKey"]) };
    const trusted = await connect(pinned);
    file = await createFile(trusted);
    expect(trusted.logs.filter(({ severity }) => severity === "warning")).toEqual([]);
    await host.exec(
      `rm /etc/ssh/ssh_host_ed25519_key*; ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key; ${restart}`,
    );
  });

  const fingerprintNow = async (): Promise<string> =>
    (await host.exec("ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub")).split(" ")[1] ?? "";

  it("is refused with both fingerprints and how to accept the new key", async () => {
    const plugin = await connect(pinned);
    const now = await fingerprintNow();

    const failure = await plugin.read(file).catch((error: unknown) => String(error));

    expect(failure).toContain(
      `expected the host key ${String(key.state["fingerprint"])}, got ${now}; another machine answers there`,
    );
    expect(failure).toContain("npm run resume -- <stack> --reinstalled");
  });

  it("is refused when it has no key of the pinned type", async () => {
    await host.exec(
      `printf 'HostKey /etc/ssh/ssh_host_rsa_key\\n' > /etc/ssh/sshd_config.d/t.conf; ${restart}`,
    );
    const plugin = await connect(pinned);
    const rsa = (await host.exec("ssh-keygen -lf /etc/ssh/ssh_host_rsa_key.pub")).split(" ")[1] ?? "?";

    await expect(plugin.read(file)).rejects.toThrow(`got ${rsa}`);
    await host.exec(`rm /etc/ssh/sshd_config.d/t.conf; ${restart}`);
  });

  it("makes the refresh of its HostKey fail", async () => {
    const plugin = await connect();
    const now = await fingerprintNow();

    await expect(plugin.read(key)).rejects.toThrow(`got ${now}`);
  });

  it("loses nothing when a resource is deleted, and a warning is logged", async () => {
    const plugin = await connect(pinned);

    await plugin.delete(file);

    expect(plugin.logs).toContainEqual(
      expect.objectContaining({
        severity: "warning",
        message: expect.stringContaining("nothing was removed") as string,
      }),
    );
    expect(await host.exec("cat /srv/a")).toBe("x");
  });
});
