import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";

import { openServer, type Server } from "../../../ops/server/connection.ts";
import { readPatches, renderUpgrade } from "../../../ops/server/patches.ts";
import { readBoot, rebootServer } from "../../../ops/maintenance/reboot.ts";
import { findReplaced, installUpgrades, readLists } from "../../../ops/maintenance/upgrade.ts";
import { startHost, type TestHost } from "../../support/host.ts";
import { until } from "../../support/until.ts";

/** A source of packages on the server itself, which calls itself the one of security updates. */
const SOURCE = `
rm -f /etc/apt/sources.list /etc/apt/sources.list.d/*
systemctl stop apt-daily.timer apt-daily-upgrade.timer
mkdir -p /srv/repo; cd /srv/repo
cat > /srv/build <<'END'
build() { # name, version, further control fields, postinst
  rm -rf "$1"; mkdir -p "$1/DEBIAN" "$1/etc" "$1/usr/bin"
  printf 'Package: %s\\nVersion: %s\\nArchitecture: all\\nMaintainer: Test <test@example.com>\\nDescription: test\\n%b' "$1" "$2" "$3" > "$1/DEBIAN/control"
  printf '#!/bin/sh\\nset -e\\n%s\\n' "$4" > "$1/DEBIAN/postinst"; chmod 755 "$1/DEBIAN/postinst"
  echo "version $2" > "$1/etc/$1.conf"; echo "/etc/$1.conf" > "$1/DEBIAN/conffiles"
  # Its own copy, which an upgrade replaces.
  cp /bin/sleep "$1/usr/bin/$1-sleep"
  dpkg-deb --build --root-owner-group "$1" "$1_$2.deb" >/dev/null
}
index() {
  apt-ftparchive packages . > Packages
  apt-ftparchive -o APT::FTPArchive::Release::Label=Debian-Security -o APT::FTPArchive::Release::Suite=stable-security \\
    -o APT::FTPArchive::Release::Version=12 release . > /srv/Release; mv /srv/Release .
}
END
. /srv/build
echo 'deb [trusted=yes] file:/srv/repo ./' > /etc/apt/sources.list
index
apt-get update -qq
cat > /etc/systemd/system/docker.service <<'END'
[Service]
ExecStart=/bin/sleep infinity
[Install]
WantedBy=multi-user.target
END
systemctl daemon-reload; systemctl enable --now docker.service
`;

let host: TestHost;
let server: Server;
let second: Server;
let said: string[];
const watching = () => ({
  say: (line: string) => void said.push(line),
  now: () => new Date(),
  retrySeconds: 0.5,
});

beforeAll(async () => {
  host = await startHost();
  await host.exec(SOURCE);
  const [type, key] = (await host.exec("cat /etc/ssh/ssh_host_ed25519_key.pub")).split(" ");
  const { address, port, user, privateKeyFile } = host;
  const ssh = { address, port, user, privateKeyFile, hostKey: `${type} ${key}` };
  [server, second] = [openServer({ ssh }), openServer({ ssh })];
});
beforeEach(() => {
  said = [];
});
afterAll(async () => {
  server.close();
  second.close();
  await host.stop();
});

/** Installs the first version of a package, and offers the second. */
async function offer(
  name: string,
  { fields = "", postinst = "" }: { readonly fields?: string; readonly postinst?: string } = {},
): Promise<void> {
  await host.exec(`cd /srv/repo; . /srv/build
rm -f *.deb
build ${name} 1.0 '' ''
dpkg --install ${name}_1.0.deb >/dev/null
build ${name} 2.0 '${fields}' '${postinst.replaceAll("'", "'\\''")}'
rm ${name}_1.0.deb; index`);
  await readLists(server, watching());
}

const versionOf = async (name: string): Promise<string> =>
  (await host.exec(`dpkg-query --show --showformat '\${db:Status-Abbrev}\${Version}' ${name}`)).trim();

describe("a maintenance of a server", () => {
  it("installs a security update that the daily upgrade left, and keeps what was changed on the server", async () => {
    await offer("tiny");
    await host.exec("echo ours > /etc/tiny.conf; touch /var/lib/apt/periodic/unattended-upgrades-stamp");

    const patches = await readPatches(server);
    expect(patches.security.map(renderUpgrade)).toEqual(["tiny 1.0 → 2.0"]);
    expect(patches).toMatchObject({ broken: undefined, stale: undefined, reboot: undefined });

    await installUpgrades(server, watching());

    expect(await versionOf("tiny")).toBe("ii 2.0");
    expect(await host.exec("cat /etc/tiny.conf")).toBe("ours\n");
    expect(await readPatches(server)).toMatchObject({ security: [], upgrades: [] });
  });

  it("leaves alone what is held, and what would remove another package", async () => {
    await offer("pinned");
    await host.exec("apt-mark hold pinned");
    expect((await readPatches(server)).kept).toMatchObject([{ package: "pinned", kept: "held" }]);
    await installUpgrades(server, watching());
    expect(await versionOf("pinned")).toBe("hi 1.0");

    await offer("rival", { fields: "Conflicts: tiny\\n" });
    expect((await readPatches(server)).kept).toMatchObject([{ package: "rival", kept: "removal" }]);
    await installUpgrades(server, watching());
    expect(await versionOf("rival")).toBe("ii 1.0");
    expect(await versionOf("tiny")).toBe("ii 2.0");
  });

  it("goes on when the connection is lost, and another command waits for its end", async () => {
    await offer("slow", { postinst: "touch /srv/waiting; while ! test -e /srv/go; do sleep 0.1; done" });
    const first = installUpgrades(server, watching());
    await until("the upgrade has begun", async () => (await host.tryExec("test -e /srv/waiting")).code === 0);

    await host.exec("pkill --full 'sshd: debian'");
    const other = readLists(second, watching());
    await until("it is told what goes on", () => Promise.resolve(said.some((line) => line.includes("slow"))));
    expect(await versionOf("slow")).toBe("iF 2.0");
    await host.exec("touch /srv/go");

    await Promise.all([first, other]);
    expect(await versionOf("slow")).toBe("ii 2.0");
    expect(said).toContain("the upgrade of an earlier command has ended");
  });

  it("says that it was cut off, and finishes the next time what was interrupted", async () => {
    await host.exec("rm -f /srv/waiting /srv/go");
    await offer("cut", { postinst: "touch /srv/waiting; while ! test -e /srv/go; do sleep 0.1; done" });
    const first = installUpgrades(server, watching());
    const failure = expect(first).rejects.toThrow("it was cut off, perhaps by a reboot of the server");
    await until("the upgrade has begun", async () => (await host.tryExec("test -e /srv/waiting")).code === 0);

    await host.exec("systemctl kill --signal KILL technicia-maintenance.service");
    await failure;
    expect((await readPatches(server)).broken).toBe("an installation was interrupted");

    await host.exec("touch /srv/go");
    await installUpgrades(server, watching());
    expect(await versionOf("cut")).toBe("ii 2.0");
    expect((await readPatches(server)).broken).toBeUndefined();
  });

  it("starts Docker again when a package fails that has stopped it, and says what failed", async () => {
    await offer("sick", {
      postinst: "systemctl stop docker.service; test -e /srv/medicine || { echo no medicine >&2; exit 1; }",
    });

    await expect(installUpgrades(server, watching())).rejects.toThrow(/exit code 100.*no medicine/s);
    expect(await host.exec("systemctl is-active docker.service")).toBe("active\n");

    await host.exec("touch /srv/medicine");
    await installUpgrades(server, watching());
    expect(await versionOf("sick")).toBe("ii 2.0");
    expect(await host.exec("systemctl is-active docker.service")).toBe("active\n");
  });

  it("waits for another apt", async () => {
    await offer("patient");
    await host.exec(
      'setsid flock --exclusive /srv/held bash -c \'python3 -c "import fcntl,os,time\nf=open(\\"/var/lib/dpkg/lock-frontend\\",\\"w\\"); fcntl.lockf(f,fcntl.LOCK_EX); open(\\"/srv/locked\\",\\"w\\")\nwhile not os.path.exists(\\"/srv/unlock\\"): time.sleep(0.1)"\' >/dev/null 2>&1 &',
    );
    await until("apt is locked", async () => (await host.tryExec("test -e /srv/locked")).code === 0);
    const installing = installUpgrades(server, watching());
    await until(
      "it waits",
      async () =>
        (await host.tryExec("grep --quiet 'Waiting for cache lock' /run/technicia-maintenance/log")).code ===
        0,
    );
    await host.exec("touch /srv/unlock");

    await installing;
    expect(await versionOf("patient")).toBe("ii 2.0");
  });

  it("finds what still runs as before its upgrade, until the server is rebooted", async () => {
    await offer("daemon");
    await host.exec(`cat > /etc/systemd/system/daemon.service <<'END'
[Service]
ExecStart=/usr/bin/daemon-sleep infinity
[Install]
WantedBy=multi-user.target
END
systemctl daemon-reload; systemctl enable --now daemon.service`);
    expect(await findReplaced(server)).toBeUndefined();

    await installUpgrades(server, watching());
    expect(await findReplaced(server)).toBe("replaced while they ran: daemon-sleep");

    const before = await readBoot(server);
    await host.exec("touch /run/reboot-required");
    expect((await readPatches(server)).reboot).toBe("an upgrade asks for it");

    const after = await rebootServer(server, { ...watching(), signal: new AbortController().signal });

    expect(after.id).not.toBe(before.id);
    expect(await readBoot(second)).toEqual(after);
    expect((await readPatches(server)).reboot).toBeUndefined();
    expect(await findReplaced(server)).toBeUndefined();
    expect(await host.exec("systemctl is-active docker.service daemon.service")).toBe("active\nactive\n");
  });
});
