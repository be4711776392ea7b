import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { NOTHING_EXTRA } from "../../common/nothing-extra.ts";
import { rebootServer } from "../../ops/maintenance/reboot.ts";
import { settle } from "../../ops/maintenance/settle.ts";
import { installUpgrades, readLists } from "../../ops/maintenance/upgrade.ts";
import { openServer } from "../../ops/server/connection.ts";
import { OFFER_NEWER_DOCKER } from "../support/newer-docker.ts";
import { SETS, startExtrasHost, type ExtrasHost } from "./extras-host.ts";

/** A package with everything that a tampering would have, too, in two versions: a maintenance installs the second. */
const UPGRADABLE = `
mkdir -p /srv/repo; cd /srv/repo
for version in 1.0 2.0; do
  rm -rf tool; mkdir -p tool/DEBIAN tool/etc/cron.d tool/etc/sudoers.d tool/usr/bin tool/usr/lib/systemd/system tool/etc/ours.d
  printf 'Package: tool\\nVersion: %s\\nArchitecture: all\\nMaintainer: Test <test@example.com>\\nDescription: test\\n' "$version" > tool/DEBIAN/control
  echo "# of tool $version" | tee tool/etc/cron.d/tool tool/etc/sudoers.d/tool tool/etc/ours.d/tool >/dev/null
  printf '/etc/cron.d/tool\\n/etc/sudoers.d/tool\\n/etc/ours.d/tool\\n' > tool/DEBIAN/conffiles
  cp /bin/sleep tool/usr/bin/tool; echo "$version" >> tool/usr/bin/tool
  printf '[Service]\\nExecStart=/usr/bin/tool 9\\n[Install]\\nWantedBy=multi-user.target\\n' > tool/usr/lib/systemd/system/tool.service
  printf '#!/bin/sh\\nset -e\\nchmod 4755 /usr/bin/tool\\nsystemctl daemon-reload\\nsystemctl enable --quiet tool.service\\n' > tool/DEBIAN/postinst
  chmod 755 tool/DEBIAN/postinst; chmod 440 tool/etc/sudoers.d/tool
  dpkg-deb --build --root-owner-group tool "tool_$version.deb" >/dev/null
done
dpkg --install tool_1.0.deb >/dev/null; rm tool_1.0.deb
# Somebody changed a file of the package, which is ours to change.
echo ours > /etc/ours.d/tool
apt-ftparchive packages . > Packages
echo 'deb [trusted=yes] file:/srv/repo ./' > /etc/apt/sources.list.d/tool.list
`;

let extras: ExtrasHost;

beforeAll(async () => {
  extras = await startExtrasHost();
  for (const set of SETS) await extras.apply(set);
});
afterAll(() => extras.host.stop());

describe("a server after a maintenance", () => {
  it("has no extras in any set: what an upgrade changed is no tampering", async () => {
    const { host, observed } = extras;
    await host.exec(UPGRADABLE);
    await host.exec(OFFER_NEWER_DOCKER);
    const [type, key] = (await host.exec("cat /etc/ssh/ssh_host_ed25519_key.pub")).split(" ");
    const server = openServer({ ssh: { ...host, hostKey: `${type} ${key}` } });
    const watching = { say: () => undefined, now: () => new Date() };
    await readLists(server, watching);
    await installUpgrades(server, watching);
    await settle(server, watching);
    await rebootServer(server, { ...watching, signal: new AbortController().signal });
    await settle(server, watching);
    server.close();
    await host.exec("rm /etc/apt/sources.list.d/{tool,newer}.list");

    expect(await host.exec("dpkg-query --show --showformat '${Version}' tool; cat /etc/ours.d/tool")).toBe(
      "2.0ours\n",
    );
    expect(await host.exec("dpkg-query --show docker.io")).toContain("+newer1");
    expect(await host.exec("docker ps --format '{{.Names}}' | sed 's/[.].*//' | sort")).toBe(
      "technicia-gateway\ntechnicia-tunnel\n",
    );
    for (const set of SETS) expect(await observed(set), set).toEqual([NOTHING_EXTRA]);
  });
});
