import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";

import { loginOf, startHost, type TestHost } from "../../support/host.ts";
import { until } from "../../support/until.ts";
import { CallFailure, Plugin, secret, type Resource } from "../plugin-process.ts";

const FILE = "technicia:host:File";
const CANARY = "canary-5b1f0c9e2d";

let host: TestHost;
let plugin: Plugin;

beforeAll(async () => {
  host = await startHost();
});
afterAll(async () => {
  await plugin.stop();
  await host.stop();
});
beforeEach(async () => {
  await host.exec("rm -rf /srv/t /tmp/runs; mkdir -p /srv/t");
  plugin = await Plugin.renew(plugin, loginOf(host));
});

const create = (inputs: Record<string, unknown>): Promise<Resource> =>
  plugin.create(FILE, "f", { path: "/srv/t/a", ...inputs });
const folder = async (): Promise<string> => (await host.exec("ls -A /srv/t")).trim();

describe("File", () => {
  it("writes the file with owner, group and mode, and creates missing folders", async () => {
    const file = await create({
      path: "/srv/t/new/folder/a",
      content: "hé\n",
      owner: "debian",
      group: "adm",
      mode: "640",
    });

    expect(
      await host.exec(
        "stat -c '%n %U %G %a' /srv/t/new /srv/t/new/folder /srv/t/new/folder/a; cat /srv/t/new/folder/a",
      ),
    ).toBe(
      "/srv/t/new root root 755\n/srv/t/new/folder root root 755\n/srv/t/new/folder/a debian adm 640\nhé\n",
    );
    expect(file.id).toBe("/srv/t/new/folder/a");
    expect(await plugin.read(file)).toEqual(file);
  });

  it("touches nothing else when the owner of the folder puts links into it meanwhile", async () => {
    await host.exec(`rm -f /tmp/enough; mkdir /srv/t/home; chown debian:debian /srv/t/home
echo precious > /srv/precious; chmod 0644 /srv/precious
nohup runuser -u debian -- bash -c 'until [ -e /tmp/enough ]; do for file in /srv/t/home/.technicia.*; do [ ! -e "$file" ] || ln -sfn /srv/precious "$file"; done; done' >/dev/null 2>&1 &`);
    const inputs = { path: "/srv/t/home/keys", owner: "debian", group: "debian", mode: "0600" };

    for (let turn = 0; turn < 5; turn += 1) {
      // Whoever owns the folder can keep us from writing there, and nothing more.
      await create({ ...inputs, content: `key ${turn}\n` }).catch(() => undefined);
    }

    await host.exec("touch /tmp/enough");
    expect(await host.exec("stat -c '%U %a' /srv/precious; cat /srv/precious")).toBe("root 644\nprecious\n");
  });

  it("writes an empty file for empty content", async () => {
    const file = await create({ content: "" });

    expect(await host.exec("stat -c %s /srv/t/a")).toBe("0\n");
    expect(await plugin.read(file)).toEqual(file);
  });

  it.each([
    ["content", "printf other > /srv/t/a", { content: "other" }],
    ["mode", "chmod 600 /srv/t/a", { mode: "0600" }],
    ["owner", "chown debian /srv/t/a", { owner: "debian" }],
    ["group", "chgrp adm /srv/t/a", { group: "adm" }],
  ])("shows a changed %s as drift, and an update repairs it", async (property, change, seen) => {
    const inputs = { path: "/srv/t/a", content: "x" };
    const file = await create(inputs);
    await host.exec(change);

    const drifted = await plugin.read(file);

    expect(drifted?.inputs).toEqual({ ...file.inputs, ...seen });
    expect((await plugin.diff(drifted ?? file, inputs)).detailed).toEqual({ [property]: "update" });
    const repaired = await plugin.update(drifted ?? file, inputs);
    expect(await plugin.read(repaired)).toEqual(file);
  });

  it("reads a removed file as gone", async () => {
    const file = await create({ content: "x" });
    await host.exec("rm /srv/t/a");

    expect(await plugin.read(file)).toBeUndefined();
  });

  it("replaces the file atomically", async () => {
    const [one, two] = ["1", "2"].map((digit) => `${digit.repeat(1_000_000)}\n`);
    let file = await create({ content: one });
    await host.exec(
      `(until [ -e /srv/t/stop ]; do cat /srv/t/a | tr -s 12 >> /srv/t/seen || echo missing >> /srv/t/seen; done) >/dev/null 2>&1 &`,
    );

    for (const content of [two, one, two, one]) {
      file = await plugin.update(file, { path: "/srv/t/a", content });
    }

    await host.exec("touch /srv/t/stop; until [ -s /srv/t/seen ]; do sleep 0.05; done");
    const seen = new Set((await host.exec("cat /srv/t/seen")).trim().split("\n"));
    expect([...seen].filter((line) => line !== "1" && line !== "2")).toEqual([]);
    expect(file.state["sha256"]).toBe((await host.exec("sha256sum < /srv/t/a")).split(" ")[0]);
  });

  it("accepts some megabytes of any text", async () => {
    const content = "line with 'quotes', $variables, \\ and 漢字\n".repeat(120_000);
    const file = await create({ content });

    expect(await host.exec("stat -c %s /srv/t/a")).toBe(`${Buffer.byteLength(content)}\n`);
    await host.exec("echo more >> /srv/t/a");
    expect((await plugin.read(file))?.inputs["content"]).toBe(`${content}more\n`);
  });
});

describe("File with a secret content", () => {
  it("marks the content as secret in everything it returns", async () => {
    const file = await create({ content: secret(CANARY), mode: "0600" });
    await host.exec("printf canary-changed > /srv/t/a");

    const drifted = await plugin.read(file);

    expect(file.state).toMatchObject({ content: secret(CANARY), sha256: secret(expect.any(String)) });
    expect(drifted?.inputs["content"]).toEqual(secret("canary-changed"));
    expect(drifted?.state["content"]).toEqual(secret("canary-changed"));
  });

  it("hides the content in errors and logs, even when a command prints it", async () => {
    const failing = create({
      content: secret(`key = ${CANARY}\n`),
      validate: 'cat "$FILE" >&2; echo "bad value ' + CANARY + '"; false',
    });

    const failure = await failing.catch((error: unknown) => error);

    expect(failure).toBeInstanceOf(CallFailure);
    expect(String(failure)).toContain("bad value [secret]");
    expect(JSON.stringify([String(failure), plugin.logs])).not.toContain(CANARY);
  });

  it("keeps an earlier private file secret when the new one is public", async () => {
    await host.exec(`printf ${CANARY} > /srv/t/a; chmod 600 /srv/t/a`);

    const file = await create({ content: "public" });

    expect(file.state["previous"]).toEqual(secret(expect.objectContaining({ mode: "0600" })));
  });
});

describe("File with validate", () => {
  it("tests the new file next to its place, with its owner and mode", async () => {
    await create({
      content: "good",
      mode: "0604",
      validate: `grep -q good "$FILE" && stat -c '%U %a' "$FILE" > /tmp/runs && dirname "$FILE" >> /tmp/runs`,
    });

    expect(await host.exec("cat /tmp/runs")).toBe("root 604\n/srv/t\n");
  });

  it("leaves the old file and no other when validate fails", async () => {
    const file = await create({ content: "old", onChange: "echo run >> /tmp/runs" });

    const failing = plugin.update(file, {
      path: "/srv/t/a",
      content: "new",
      validate: "echo unhappy >&2; exit 7",
      onChange: "echo run >> /tmp/runs",
    });

    await expect(failing).rejects.toThrow(
      "/srv/t/a: validate refused the new file, and nothing was changed; it printed:\n  unhappy",
    );
    expect(await host.exec("cat /srv/t/a /tmp/runs")).toBe("oldrun\n");
    expect(await folder()).toBe("a");
  });

  it("stops validate at its first failing command", async () => {
    await expect(create({ content: "x", validate: "false; true" })).rejects.toThrow("validate refused");
  });
});

describe("File with onChange", () => {
  const picky = `cat /srv/t/a >> /tmp/runs; ! grep -q bad /srv/t/a`;

  it("restores the earlier file and runs onChange again when it fails", async () => {
    const file = await create({ content: "good\n", onChange: picky });

    await expect(
      plugin.update(file, { path: "/srv/t/a", content: "bad\n", onChange: picky }),
    ).rejects.toThrow(
      "/srv/t/a: onChange failed with the new file; the earlier one was restored and onChange succeeded with it",
    );

    expect(await host.exec("cat /tmp/runs /srv/t/a")).toBe("good\nbad\ngood\ngood\n");
    expect(await folder()).toBe("a");
  });

  it("leaves no file when onChange fails on creation", async () => {
    await expect(
      create({ content: "bad", onChange: "grep -q good /srv/t/a || [ ! -e /srv/t/a ]" }),
    ).rejects.toThrow("the earlier one was restored");

    expect(await folder()).toBe("");
  });

  it("reports that onChange fails with the earlier file, too", async () => {
    await expect(create({ content: "x", onChange: "echo broken >&2; false" })).rejects.toThrow(
      /onChange failed with it too, so what it acts on may not work now; it printed:\n {2}broken/,
    );
  });

  it("restores the earlier file when the call is cancelled during onChange", async () => {
    const file = await create({ content: "old" });
    const updating = plugin.update(file, {
      path: "/srv/t/a",
      content: "new",
      onChange: "touch /tmp/runs; sleep 1000",
    });
    const failure = updating.catch((error: unknown) => String(error));
    await until("onChange runs", async () => (await host.tryExec("test -e /tmp/runs")).code === 0);

    await plugin.cancel();

    expect(await failure).toMatch(
      /cancelled; it was killed there; it printed:\n[\s\S]*the earlier file was put back/,
    );
    expect(await host.exec("cat /srv/t/a")).toBe("old");
    expect(await folder()).toBe("a");
  });
});

describe("File, deleted", () => {
  it("restores the earlier file with its owner and mode", async () => {
    await host.exec("printf '\\x00\\xff before' > /srv/t/a; chown debian:adm /srv/t/a; chmod 640 /srv/t/a");
    const file = await create({ content: "ours", onChange: "cat /srv/t/a >> /tmp/runs" });
    const updated = await plugin.update(file, {
      path: "/srv/t/a",
      content: "ours too",
      onChange: "cat /srv/t/a >> /tmp/runs",
    });

    await plugin.delete((await plugin.read(updated)) ?? updated);

    expect(await host.exec("stat -c '%U %G %a' /srv/t/a; od -An -c /srv/t/a; cat -v /tmp/runs")).toBe(
      "debian adm 640\n  \\0 377       b   e   f   o   r   e\noursours too^@M-^? before",
    );
  });

  it("removes the file when there was none before, or the same", async () => {
    const file = await create({ content: "ours" });
    await plugin.delete(file);
    expect(await folder()).toBe("");

    await host.exec("printf ours > /srv/t/a");
    await plugin.delete(await create({ content: "ours" }));
    expect(await folder()).toBe("");
  });

  it("deletes the file and warns when onChange fails", async () => {
    const file = await create({
      content: "x",
      onChange: "test -e /srv/t/a || { echo no service >&2; false; }",
    });

    await plugin.delete(file);

    expect(await folder()).toBe("");
    expect(
      plugin.logs.filter(({ severity }) => severity === "warning").map(({ message }) => message),
    ).toContainEqual(
      expect.stringMatching(
        /\/srv\/t\/a was removed; onChange failed afterwards with exit code 1 and said:\nno service/,
      ),
    );
  });
});

describe("File, imported", () => {
  it("reads a file by its path, and marks a private one as secret", async () => {
    await host.exec("printf open > /srv/t/a; printf closed > /srv/t/b; chmod 600 /srv/t/b");

    expect((await plugin.import(FILE, "/srv/t/a"))?.inputs).toEqual({
      path: "/srv/t/a",
      content: "open",
      owner: "root",
      group: "root",
      mode: "0644",
    });
    expect((await plugin.import(FILE, "/srv/t/b"))?.inputs).toMatchObject({
      content: secret("closed"),
      mode: "0600",
    });
    expect(await plugin.import(FILE, "/srv/t/none")).toBeUndefined();
  });
});

describe("File, with something else in its place", () => {
  it.each([
    ["a link", "ln -sf /etc/hostname /srv/t/a", "a symbolic link to /etc/hostname"],
    ["a link to nothing", "ln -sf /srv/t/none /srv/t/a", "a symbolic link to /srv/t/none"],
    ["a link to itself", "ln -sf a /srv/t/a", "a symbolic link to a"],
    ["a file too large to be read", "truncate --size 20M /srv/t/a", "a file of 20971520 bytes"],
  ])("reads %s as a difference, and replaces it, not what it leads to", async (_, make, named) => {
    const before = await host.exec("cat /etc/hostname");
    const inputs = { path: "/srv/t/a", content: "ours\n" };
    const file = await create(inputs);
    await host.exec(make);

    const read = await plugin.read(file);
    expect(read?.inputs).toMatchObject({ replacedBy: named });
    expect((await plugin.diff(read!, inputs)).changes).toBe(true);
    await plugin.update(read!, inputs);
    expect(await host.exec("stat --format '%F %U %a' /srv/t/a; cat /srv/t/a /etc/hostname")).toBe(
      `regular file root 644\nours\n${before}`,
    );
    expect((await plugin.read(file))?.inputs).not.toHaveProperty("replacedBy");
  });

  it("reads a folder as a difference, and says how to move it away instead of removing what is in it", async () => {
    const inputs = { path: "/srv/t/a", content: "ours" };
    const file = await create(inputs);
    await host.exec("rm /srv/t/a; mkdir /srv/t/a");

    expect((await plugin.read(file))?.inputs).toMatchObject({ replacedBy: "a directory" });
    await expect(plugin.update(file, inputs)).rejects.toThrow("sudo mv /srv/t/a /srv/t/a.old");
  });

  it("puts the link back when onChange fails with the file", async () => {
    const inputs = { path: "/srv/t/a", content: "ours" };
    const file = await create(inputs);
    await host.exec("ln -sf /srv/t/none /srv/t/a");

    await expect(plugin.update(file, { ...inputs, onChange: "false" })).rejects.toThrow("onChange failed");
    expect(await host.exec("readlink /srv/t/a; ls -A /srv/t")).toBe("/srv/t/none\na\n");
  });
});

describe("File, impossible", () => {
  it.each([
    ["a symbolic link", "ln -s /etc/hostname /srv/t/a", "a symbolic link to /etc/hostname"],
    ["a directory", "mkdir /srv/t/a", "a directory"],
  ])("refuses to replace %s that was there before it", async (_, make, named) => {
    await host.exec(make);
    const refused = `/srv/t/a: expected a regular file or nothing there, got ${named}; move it away`;

    await expect(create({ content: "x" })).rejects.toThrow(refused);
    await expect(plugin.import(FILE, "/srv/t/a")).rejects.toThrow(refused);
  });

  it("fails when the owner does not exist, and leaves nothing behind", async () => {
    await expect(create({ content: "x", owner: "nobody-at-all" })).rejects.toThrow(
      /invalid user: .nobody-at-all:root./,
    );
    expect(await folder()).toBe("");
  });

  it("fails when a folder above it is a file", async () => {
    await host.exec("touch /srv/t/a");

    await expect(create({ path: "/srv/t/a/b", content: "x" })).rejects.toThrow("could not write /srv/t/a/b");
  });

  it("fails when the disk is full, with the old file whole", async () => {
    await host.exec(
      "mkdir -p /srv/small; mountpoint -q /srv/small || mount -t tmpfs -o size=64k tmpfs /srv/small",
    );
    const file = await create({ path: "/srv/small/a", content: "old" });

    const failing = plugin.update(file, { path: "/srv/small/a", content: "x".repeat(1_000_000) });

    await expect(failing).rejects.toThrow(
      /could not write \/srv\/small\/a on debian@.*: the disk of the host is full \(exit code 1\); make room there/,
    );
    expect(await host.exec("cat /srv/small/a; ls -A /srv/small")).toBe("olda\n");
  });
});
