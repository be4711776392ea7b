import { readFile } from "node:fs/promises";

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";

import { sshd } from "../../../infra/host-files.ts";
import { renderFirewall } from "../../../infra/host-firewall.ts";
import { loginOf, startHost, type TestHost } from "../../support/host.ts";
import { publicKey as strangersKey } from "../../support/fixtures.ts";
import { until } from "../../support/until.ts";
import { CallFailure, Plugin, type Resource } from "../plugin-process.ts";

const FILE = "technicia:host:File";
const STATE = "technicia:host:State";
const HOST_KEY = "technicia:host:HostKey";
const KEYS = "/home/debian/.ssh/authorized_keys";
const TABLE = "/etc/technicia/firewall.nft";

/** Long enough for a login, short enough to wait for. */
const guard = { seconds: 12 };

let host: TestHost;
let plugin: Plugin;
let ownKey: string;

beforeAll(async () => {
  host = await startHost();
  ownKey = (await readFile(`${host.privateKeyFile}.pub`, "utf8")).trim();
  await host.exec(
    "echo nameserver 127.0.0.11 > /etc/resolv.conf; apt-get update -q; apt-get install -yq --no-install-recommends nftables; mkdir /srv/before; " +
      `cp -a ${KEYS} /srv/before/keys`,
  );
});
afterAll(async () => {
  await plugin.stop();
  await host.stop();
});
beforeEach(async () => {
  plugin = await Plugin.renew(plugin, loginOf(host));
});
afterEach(async () => {
  await host.exec(
    `nft 'add table inet technicia; delete table inet technicia'; rm -f ${TABLE} /etc/ssh/sshd_config.d/10-technicia.conf; ` +
      `cp -a /srv/before/keys ${KEYS}; systemctl reload ssh.service`,
  );
});

const keys = (content: string): Record<string, unknown> => ({
  path: KEYS,
  content,
  owner: "debian",
  group: "debian",
  mode: "0600",
  guard,
});
const sshdFile = (content: string): Record<string, unknown> => ({
  path: "/etc/ssh/sshd_config.d/10-technicia.conf",
  content,
  validate: 'sshd -t -f "$FILE"',
  onChange: "systemctl reload ssh.service",
  guard,
});
const table = (v4: readonly string[]): Record<string, unknown> => ({
  path: TABLE,
  content: renderFirewall({ sshPorts: [22], adminCidrs: { v4, v6: [] } }),
  validate: 'nft --check --file "$FILE"',
  onChange: `nft --file ${TABLE}`,
  guard,
});

async function failureOf(work: Promise<unknown>): Promise<CallFailure> {
  const failure = await work.then(
    () => new Error("it succeeded"),
    (error: unknown) => error,
  );
  if (!(failure instanceof CallFailure)) throw failure;
  return failure;
}

/** What a guard leaves behind while it waits. */
const traces = (): Promise<string> =>
  host.exec(
    "ls -d /run/technicia-guard-* 2>/dev/null || true; systemctl list-units --all --plain --no-legend 'technicia-guard-*'",
  );

const create = (type: string, inputs: Record<string, unknown>): Promise<Resource> =>
  plugin.create(type, "guarded", inputs);

/** Whether a new process can log in. */
async function canLogIn(): Promise<boolean> {
  const another = await Plugin.start(loginOf(host));
  try {
    await another.create(STATE, "hello", {
      observe: "echo yes",
      desired: "yes",
      apply: "true",
      timeoutSeconds: 5,
    });
    return true;
  } catch (error) {
    if (error instanceof CallFailure) return false;
    throw error;
  } finally {
    await another.stop();
  }
}

describe("a guarded change that keeps the operator in", () => {
  it("stays, and leaves no timer", async () => {
    const rest = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f second\n";

    const made = await create(FILE, keys(`${ownKey}\n${rest}`));

    expect(await host.exec(`cat ${KEYS}`)).toBe(`${ownKey}\n${rest}`);
    expect(await traces()).toBe("");
    expect(plugin.logs.filter(({ message }) => /guard/.test(message))).toEqual([]);
    await plugin.delete(made);
    expect(await host.exec(`cat ${KEYS}`)).toBe(await host.exec("cat /srv/before/keys"));
  });

  it("stays when it is a firewall that admits the operator's network", async () => {
    const operator = `${host.address.replace(/\d+$/, "0")}/24`;

    await create(FILE, table([operator]));

    expect(await host.exec("nft list table inet technicia")).toContain(`saddr ${operator}`);
    expect(await canLogIn()).toBe(true);
    expect(await traces()).toBe("");
  });

  it("gives the result of the change unchanged", async () => {
    const made = await create(FILE, sshdFile(sshd([22], ["debian"])));

    expect(await plugin.read(made)).toEqual(made);
    expect((await plugin.diff(made, sshdFile(sshd([22], ["debian"])))).changes).toBe(false);
  });
});

describe("sshd that moves to another port", () => {
  it("listens on both after the first deployment, and on the new one alone after the second", async () => {
    const key = await create(HOST_KEY, { address: host.address, port: 22, serverId: "one" });
    const both = await create(FILE, sshdFile(sshd([22, 2222], ["debian"])));
    const moved = await Plugin.start({
      ...loginOf(host),
      hostPort: "2222",
    });

    await moved.update(key, { ...key.inputs, port: 2222 });
    const only = await moved.update(both, sshdFile(sshd([2222], ["debian"])));

    expect(await host.exec("ss -Htln4 | awk '$4 ~ /^0/ { print $4 }'")).toBe("0.0.0.0:2222\n");
    // And not back in one step: the connection is on the new port.
    const back = await failureOf(moved.update(only, sshdFile(sshd([22], ["debian"]))));
    expect(back.message).toContain("The server restored /etc/ssh/sshd_config.d/10-technicia.conf");
    expect(await host.exec("ss -Htln4 | awk '$4 ~ /^0/ { print $4 }'")).toBe("0.0.0.0:2222\n");
    await moved.stop();
  });
});

describe("a guarded change that would lock the operator out", () => {
  it("is taken back when it removes the operator's key", async () => {
    const before = await host.exec(`stat -c '%a %U %G' ${KEYS}; cat ${KEYS}`);

    const { message, partial } = await failureOf(create(FILE, keys(`${strangersKey}\n`)));

    expect(message).toMatch(
      /^could not write \/home\/debian\/\.ssh\/authorized_keys: expected a new ssh connection to succeed after it, got: ssh debian@.*: the host refused the key /,
    );
    expect(message).toContain(`The server restored ${KEYS}; you log in as before.`);
    expect(partial).toBeUndefined();
    expect(await host.exec(`stat -c '%a %U %G' ${KEYS}; cat ${KEYS}`)).toBe(before);
    expect(await traces()).toBe("");
  });

  it("is taken back when sshd then refuses the operator's user", async () => {
    const { message } = await failureOf(create(FILE, sshdFile(sshd([22], ["somebody-else"]))));

    expect(message).toContain("The server restored /etc/ssh/sshd_config.d/10-technicia.conf");
    expect(await host.exec("ls /etc/ssh/sshd_config.d")).not.toContain("technicia");
    expect(await canLogIn()).toBe(true);
  });

  it("is taken back when sshd then listens on another port only", async () => {
    const { message } = await failureOf(create(FILE, sshdFile(sshd([2222], ["debian"]))));

    expect(message).toContain("connection refused");
    expect(await canLogIn()).toBe(true);
  });

  it("is taken back when the firewall then drops new connections, although the open one goes on", async () => {
    const started = Date.now();

    const { message } = await failureOf(create(FILE, table(["203.0.113.0/24"])));

    expect(Date.now() - started).toBeLessThan((guard.seconds + 5) * 1000);
    expect(message).toContain(
      `The server restored ${TABLE}, the loaded firewall (inet technicia); you log in as before.`,
    );
    expect((await host.tryExec("nft list table inet technicia")).code).not.toBe(0);
    expect(await canLogIn()).toBe(true);
    expect(await traces()).toBe("");
  });

  it("is taken back to the table that was loaded, not to the one in the file", async () => {
    const operator = `${host.address.replace(/\d+$/, "0")}/24`;
    const made = await create(FILE, table([operator]));
    await host.exec(`nft add rule inet technicia input tcp dport 22 ip saddr 192.0.2.9 accept`);
    const loaded = await host.exec("nft --stateless list table inet technicia");

    await failureOf(plugin.update(made, table(["203.0.113.0/24"])));

    expect(await host.exec("nft --stateless list table inet technicia")).toBe(loaded);
    expect(await host.exec(`cat ${TABLE}`)).toContain(operator);
  });

  it("is taken back by the server alone when the connection is lost with it", async () => {
    const failing = failureOf(
      create(STATE, {
        observe: "echo no",
        desired: "yes",
        apply:
          "nft 'table inet technicia { chain input { type filter hook input priority 0; policy drop; }; }'",
        guard,
      }),
    );
    await until(
      "nothing gets in",
      async () => (await host.tryExec("nft list table inet technicia")).code === 0,
    );

    await until(
      "it was taken back",
      async () => (await host.tryExec("nft list table inet technicia")).code !== 0,
    );

    expect(await canLogIn()).toBe(true);
    expect((await failing).message).toMatch(/could not apply guarded/);
    await until("no trace is left", async () => (await traces()) === "");
  });

  it("is taken back at once when the call is cancelled", async () => {
    const failing = failureOf(create(FILE, table(["203.0.113.0/24"])));
    await until(
      "the table is loaded",
      async () => (await host.tryExec("nft list table inet technicia")).code === 0,
    );

    const cancelled = Date.now();
    await plugin.cancel();

    expect((await failing).message).toContain("cancelled");
    await until(
      "it was taken back",
      async () => (await host.tryExec("nft list table inet technicia")).code !== 0,
    );
    expect(Date.now() - cancelled).toBeLessThan(8_000);
    expect((await host.tryExec(`test -e ${TABLE}`)).code).toBe(1);
    await until("no trace is left", async () => (await traces()) === "");
  });

  it("is taken back when the plugin is killed", async () => {
    const failing = create(FILE, table(["203.0.113.0/24"])).catch((error: unknown) => error);
    await until(
      "the table is loaded",
      async () => (await host.tryExec("nft list table inet technicia")).code === 0,
    );

    plugin.process.kill("SIGKILL");

    await failing;
    await until(
      "it was taken back",
      async () => (await host.tryExec("nft list table inet technicia")).code !== 0,
    );
    await until("no trace is left", async () => (await traces()) === "");
  });

  it("leaves the keys as they are when deleting them would leave none", async () => {
    await host.exec(`echo '${ownKey}' > ${KEYS}`);
    const made = await create(FILE, keys(`${ownKey}\n`));

    await plugin.delete(made);

    expect(await host.exec(`cat ${KEYS}`)).toBe(`${ownKey}\n`);
    expect(plugin.logs.map(({ message }) => message)).toContain(
      `${KEYS}: left as it is, because nobody could log in without it`,
    );
  });
});

describe("the preview of a guarded change of the firewall", () => {
  const admitting = (v4: readonly string[]): Record<string, unknown> => ({
    ...table(v4),
    guard: { ...guard, admits: v4 },
  });

  it("refuses networks without the address that the server sees the operator come from", async () => {
    const operator = host.address.replace(/\d+$/, "1");
    const made = await create(FILE, admitting([`${operator}/32`]));

    await expect(plugin.update(made, admitting(["203.0.113.0/24"]), { preview: true })).rejects.toThrow(
      `technicia:ssh.adminCidrs: expected a range that holds ${operator}, the address that the server sees you come from, got 203.0.113.0/24; add "${operator}/32"`,
    );
    await plugin.update(made, admitting([`${operator}/32`, "203.0.113.0/24"]), { preview: true });
  });

  describe("of a server that no longer answers", () => {
    const preview = async (environment: Readonly<Record<string, string>>): Promise<readonly string[]> => {
      const made = await create(FILE, admitting([`${host.address.replace(/\d+$/, "0")}/24`]));
      const elsewhere = await Plugin.start(
        {
          ...loginOf(host),
          hostPort: "9",
        },
        environment,
      );
      try {
        await elsewhere.update(made, admitting(["203.0.113.0/24"]), { preview: true });
        return elsewhere.logs.map(({ message }) => message);
      } finally {
        await elsewhere.stop();
      }
    };

    it("says how to get back in", async () => {
      await expect(preview({})).rejects.toThrow("docs/runbook.md");
    });

    it("only warns in a CI, which may have no way to the server", async () => {
      expect(await preview({ CI: "true" })).toContainEqual(expect.stringContaining("docs/runbook.md"));
    });
  });
});

describe("a guarded change that fails by itself", () => {
  it("keeps its own failure, and nothing is left of it", async () => {
    const before = await host.exec("ls /etc/ssh/sshd_config.d");

    const refused = await failureOf(create(FILE, sshdFile("NoSuchSetting yes\n")));
    const failed = await failureOf(
      create(FILE, { ...sshdFile(sshd([22], ["debian"])), onChange: "echo no >&2; false" }),
    );

    expect(refused.message).toContain("validate refused the new file, and nothing was changed");
    expect(failed.message).toContain("onChange failed with the new file; the earlier one was restored");
    expect(await host.exec("ls /etc/ssh/sshd_config.d")).toBe(before);
    expect(await traces()).toBe("");
  });

  it("restores what a script had half done", async () => {
    const apply = `echo '${strangersKey}' > ${KEYS}; exit 3`;

    const { message } = await failureOf(create(STATE, { observe: "echo no", desired: "yes", apply, guard }));

    expect(message).toContain("exit code 3");
    expect(message).toContain(`restored ${KEYS}`);
    expect(await host.exec(`cat ${KEYS}`)).toContain(ownKey);
  });
});
