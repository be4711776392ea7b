import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";

import { loginOf, startHost, type TestHost } from "../../support/host.ts";
import { until } from "../../support/until.ts";
import { Plugin } from "../plugin-process.ts";

const PACKAGES = "technicia:host:Packages";

/** A source of packages on the host itself, so that nothing depends on a mirror. */
const SOURCE = `
rm -f /etc/apt/sources.list /etc/apt/sources.list.d/*
mkdir -p /srv/repo; cd /srv/repo
build() { # name, further control fields, postinst
  mkdir -p "$1/DEBIAN"
  printf 'Package: %s\\nVersion: 1.0\\nArchitecture: all\\nMaintainer: Test <test@example.com>\\nDescription: test\\n%b' "$1" "$2" > "$1/DEBIAN/control"
  printf '#!/bin/sh\\nset -e\\n%s\\n' "$3" > "$1/DEBIAN/postinst"; chmod 755 "$1/DEBIAN/postinst"
  dpkg-deb --build --root-owner-group "$1" >/dev/null
}
build alpha '' 'echo alpha is set up'
build beta 'Recommends: gamma\\n' ''
build gamma '' ''
build sick '' 'echo no medicine >&2; exit 1'
build slow '' 'touch /srv/waiting; while ! test -e /srv/go; do sleep 0.1; done'
build provider 'Provides: virtual\\n' ''
build late '' ''
build late-too '' ''
build rival 'Conflicts: alpha\\n' ''
rm -f late.deb.off late-too.deb.off; mv late.deb late.deb.off; mv late-too.deb late-too.deb.off
index() { apt-ftparchive packages . > Packages; }
index
echo 'deb [trusted=yes] file:/srv/repo ./' > /etc/apt/sources.list
`;

let host: TestHost;
let plugin: Plugin;

beforeAll(async () => {
  host = await startHost();
  await host.exec(SOURCE);
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
    "dpkg --purge --force-all alpha beta gamma sick slow provider late late-too rival >/dev/null 2>&1; rm -f /srv/waiting /srv/go",
  );
});

const create = (...names: string[]) => plugin.create(PACKAGES, "p", { names });
const status = async (name: string): Promise<string> =>
  (
    await host.exec(`dpkg-query --show --showformat '\${db:Status-Abbrev}' ${name} 2>/dev/null || true`)
  ).trim();

describe("Packages", () => {
  it("installs what is missing, and nothing that is merely recommended", async () => {
    const packages = await create("beta", "alpha", "beta");

    expect(packages).toMatchObject({
      id: "alpha,beta",
      state: { names: ["alpha", "beta"], versions: { alpha: "1.0", beta: "1.0" } },
    });
    expect(await status("alpha")).toBe("ii");
    expect(await status("gamma")).not.toBe("ii");
    expect(await plugin.read(packages)).toEqual(packages);
    expect(plugin.logs).toContainEqual(
      expect.objectContaining({
        ephemeral: true,
        message: expect.stringContaining("Setting up alpha") as string,
      }),
    );
  });

  it("does not call apt where nothing is missing", async () => {
    await create("alpha");
    await host.exec("mv /usr/bin/apt-get /usr/bin/apt-get.off");

    const again = await create("alpha").finally(() => host.exec("mv /usr/bin/apt-get.off /usr/bin/apt-get"));

    expect(again.state["versions"]).toEqual({ alpha: "1.0" });
  });

  it("shows a removed package as drift, and an update installs it", async () => {
    const packages = await create("alpha", "beta");
    await host.exec("dpkg --remove beta");

    const drifted = await plugin.read(packages);

    expect(drifted?.inputs).toEqual({ names: ["alpha"] });
    expect((await plugin.diff(drifted ?? packages, { names: ["alpha", "beta"] })).detailed).toEqual({
      "names[1]": "add",
    });
    expect(
      (await plugin.update(drifted ?? packages, { names: ["alpha", "beta"] })).state["versions"],
    ).toEqual({ alpha: "1.0", beta: "1.0" });
  });

  it("reads the resource as gone when no package is left", async () => {
    const packages = await create("alpha");
    await host.exec("dpkg --purge alpha");

    expect(await plugin.read(packages)).toBeUndefined();
  });

  it("refreshes the package lists when they do not know a package", async () => {
    await create("alpha");
    await host.exec("cd /srv/repo; mv late.deb.off late.deb; apt-ftparchive packages . > Packages");

    const packages = await create("late");

    expect(packages.state["versions"]).toEqual({ late: "1.0" });
  });

  it("installs what only some releases have where the sources know it, and nowhere else", async () => {
    const inputs = { names: ["alpha"], namesIfKnown: ["late-too", "gamma"] };

    const packages = await plugin.create(PACKAGES, "p", inputs);

    expect(packages.state["versions"]).toEqual({ alpha: "1.0", gamma: "1.0" });
    expect((await plugin.read(packages))?.inputs).toEqual({
      names: ["alpha"],
      namesIfKnown: ["gamma", "late-too"],
    });
  });

  it("shows as drift that a package of some releases is gone, and an update installs it", async () => {
    const inputs = { names: ["alpha"], namesIfKnown: ["gamma"] };
    const packages = await plugin.create(PACKAGES, "p", inputs);
    await host.exec("dpkg --remove gamma");

    const drifted = await plugin.read(packages);

    expect(drifted?.inputs).toEqual({ names: ["alpha"], namesIfKnown: [] });
    expect((await plugin.update(drifted ?? packages, inputs)).state["versions"]).toEqual({
      alpha: "1.0",
      gamma: "1.0",
    });
  });

  it.each(["cloud-final", "apt-daily-upgrade"])("waits until %s.service has ended", async (unit) => {
    await host.exec(`cat > /run/systemd/system/${unit}.service <<'END'
[Service]
Type=oneshot
ExecStart=/bin/bash -c 'until [ -e /srv/go ]; do sleep 0.1; done'
END
systemctl daemon-reload; systemctl restart --no-block ${unit}.service`);
    const creating = create("alpha");

    await until("it waits", () =>
      plugin.logs.some(({ message }) =>
        message.includes(`waiting for the first boot or the daily upgrade to end: ${unit}.service`),
      ),
    );
    expect(await status("alpha")).not.toBe("ii");
    await host.exec("touch /srv/go");

    expect((await creating).state["versions"]).toEqual({ alpha: "1.0" });
    await host.exec(`rm /run/systemd/system/${unit}.service; systemctl daemon-reload`);
  });

  it("leaves the packages on deletion", async () => {
    await plugin.delete(await create("alpha"));

    expect(await status("alpha")).toBe("ii");
  });

  it("is imported by its names", async () => {
    await create("alpha");

    expect((await plugin.import(PACKAGES, "alpha, beta"))?.inputs).toEqual({ names: ["alpha"] });
    expect(await plugin.import(PACKAGES, "beta")).toBeUndefined();
    await expect(plugin.import(PACKAGES, "a b=1")).rejects.toThrow(
      'expected package names separated by commas, got "a b=1"',
    );
  });
});

describe("Packages that cannot be installed", () => {
  it("fails when the sources do not have one", async () => {
    await expect(create("alpha", "unheard-of")).rejects.toThrow(
      /^names: expected packages that the host's sources have, got unheard-of; check the spelling, and the sources of debian@/,
    );
  });

  it("removes no other package, and says which would have to go", async () => {
    await create("rival");

    await expect(create("alpha")).rejects.toThrow(
      /^names: expected packages that fit beside those of debian@.*, got ones that would remove rival; remove those yourself with sudo apt-get remove rival, then retry$/,
    );
    expect(await status("rival")).toBe("ii");
  });

  it("fails with the unit of a first boot that does not end", async () => {
    await host.exec(`cat > /run/systemd/system/cloud-config.service <<'END'
[Service]
Type=oneshot
ExecStart=/bin/sleep infinity
END
systemctl daemon-reload; systemctl restart --no-block cloud-config.service`);

    const failing = plugin.create(PACKAGES, "p", { names: ["alpha"] }, { timeoutSeconds: 8 });

    await expect(failing).rejects.toThrow(
      /^debian@.*: expected its first boot and its daily upgrade to end within 4 s, got cloud-config.service still at work; look at journalctl/,
    );
    await host.exec(
      "systemctl stop cloud-config.service; rm /run/systemd/system/cloud-config.service; systemctl daemon-reload",
    );
  });

  it("fails when a package is only virtual", async () => {
    await expect(create("virtual")).rejects.toThrow(/virtual/);
  });

  it("fails with the output of a package that cannot be configured", async () => {
    await expect(create("sick")).rejects.toThrow(
      /could not install the packages sick on debian@.*: exit code 100; it printed:\n[\s\S]*no medicine/,
    );
  });

  it("fails when the sources cannot be reached, and says which", async () => {
    await host.exec(
      "mv /etc/apt/sources.list /srv/sources.list; echo 'deb http://127.0.0.1:1/debian stable main' > /etc/apt/sources.list",
    );

    await expect(create("unheard-of")).rejects.toThrow(
      /^apt on debian@.*: expected its package sources to answer, got "[^"]*127\.0\.0\.1:1[^"]*"; check the server's name servers/,
    );
    await host.exec("mv /srv/sources.list /etc/apt/sources.list; apt-get update");
  });

  it("fails with the holder of the lock when apt stays locked", async () => {
    await host.exec(`python3 -c 'import fcntl, time
lock = open("/var/lib/dpkg/lock-frontend", "w"); fcntl.lockf(lock, fcntl.LOCK_EX); open("/srv/waiting", "w").close(); time.sleep(600)' >/dev/null 2>&1 &
echo $! > /srv/holder; until [ -e /srv/waiting ]; do sleep 0.05; done`);

    const failing = plugin.create(PACKAGES, "p", { names: ["alpha"] }, { timeoutSeconds: 8 });

    await expect(failing).rejects.toThrow(
      /^apt on debian@.* has been locked by process \d+ \(python3\) for 4 s; wait until it ends/,
    );
    await host.exec("kill $(cat /srv/holder)");
    expect((await create("alpha")).state["versions"]).toEqual({ alpha: "1.0" });
  });
});

describe("an installation that was broken off", () => {
  it("finishes an interrupted installation first", async () => {
    const failing = create("slow").catch((error: unknown) => String(error));
    await until(
      "the package sets itself up",
      async () => (await host.tryExec("test -e /srv/waiting")).code === 0,
    );
    await plugin.cancel();
    expect(await failing).toMatch(/cancelled; it was killed there/);
    expect(await status("slow")).not.toBe("ii");
    await host.exec("touch /srv/go");

    const later = await Plugin.start(loginOf(host));
    const packages = await later.create(PACKAGES, "p", { names: ["alpha"] }).finally(() => later.stop());

    expect(packages.state["versions"]).toEqual({ alpha: "1.0" });
    expect(await status("slow")).toBe("ii");
  });
});
