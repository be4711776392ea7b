/** A check and a repair with the real engine, our own provider and a real host; Cloudflare is a double. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { checkDrift, type World } from "../../../ops/drift/check.ts";
import type { DriftReport } from "../../../ops/drift/report.ts";
import { repairDrift, type RepairWorld } from "../../../ops/drift/repair.ts";
import { readHistory } from "../../../ops/server/records.ts";
import { openServer } from "../../../ops/server/connection.ts";
import { startCloudflare, type FakeCloudflare } from "../../../rehearsal/fake-clouds/cloudflare/server.ts";
import { prepareEngine, type Engine } from "../../../rehearsal/engine/prepare.ts";
import { startHost, type TestHost } from "../../support/host.ts";
import { TOKEN, ZONE_ID } from "./world.ts";
import { deployTrial, recorded, repairOf, ROOT, type Trial } from "./trial-stack.ts";

const TIMEOUT = { timeout: 600_000 };

let home: string;
let engine: Engine;
let host: TestHost;
let cloudflare: FakeCloudflare;
let trial: Trial;
let world: RepairWorld;

/** Ours, and what stands in for programs that the host does not have. */
const FILES = [
  "/etc/motd",
  "/etc/ssh/sshd_config.d/10-technicia.conf",
  ...["/usr/bin/jq", "/usr/bin/nft", "/usr/local/bin/curl"],
];

const program = ({ address, privateKeyFile }: TestHost, motd = "as deployed", zone = "Europe/Paris") =>
  recorded(
    `
  import * as technicia from "${ROOT}/provider/resources.ts";
  import { HostExtras } from "${ROOT}/infra/host-extras.ts";
  import { sshd } from "${ROOT}/infra/host-files.ts";`,
    `
  const key = new technicia.HostKey("host-key", { address: "${address}", port: 22, serverId: "disk" }, { provider: new technicia.Connection("cloud", {}) });
  const host = new technicia.Connection("host-connection", {
    hostAddress: "${address}", hostPort: "22", hostUser: "debian", hostPrivateKeyFile: "${privateKeyFile}", hostKey: key.hostKey, serverId: "disk",
  });
  const on = { provider: host };
  const settings = new technicia.File("host-sshd", { path: "/etc/ssh/sshd_config.d/10-technicia.conf", content: sshd([22], ["debian"]), onChange: "systemctl reload ssh.service" }, on);
  new technicia.File("host-motd", { path: "/etc/motd", content: "${motd}\\n" }, on);
  new technicia.Unit("host-upgrades-timer", { unit: "apt-daily.timer", enabled: true, active: true }, on);
  const fragile = new technicia.State("host-fragile", { observe: "test ! -e /run/fragile-fails; echo well", desired: "well", apply: "true" }, on);
  new technicia.State("host-time-zone", { observe: "timedatectl show --property Timezone --value", desired: "${zone}", apply: "test ! -e /run/zone-stays; timedatectl set-timezone ${zone}" }, on);
  new HostExtras("extra", { host, ssh: { user: "debian", ports: [22], admins: [], adminCidrs: { v4: [] } }, files: ${JSON.stringify(FILES)}, containers: ["none"], services: ["none"], networks: ["none"], volumes: ["none"] }, { dependsOn: [settings, fragile] });`,
  );

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), "technicia-home-"));
  [engine, host, cloudflare] = await Promise.all([
    prepareEngine({ progress: () => undefined, home }),
    startHost(),
    startCloudflare({ zones: [{ name: "exemple.fr", id: ZONE_ID }], tokens: [{ token: TOKEN }] }),
  ]);
  // Without Docker and nftables there is nothing of them to compare: their sets have tests of their own.
  await host.exec(
    "printf '#!/bin/sh\\nexit 0\\n' | tee /usr/bin/nft > /usr/bin/jq; chmod 755 /usr/bin/nft /usr/bin/jq",
  );
  await host.exec(
    "printf '#!/bin/sh\\nexit 0\\n' > /usr/local/bin/curl; chmod 755 /usr/local/bin/curl; sysctl --quiet --write vm.swappiness=10 vm.max_map_count=262144 net.core.somaxconn=4096 fs.inotify.max_user_instances=1024",
  );
  trial = await deployTrial(engine, { program: program(host), cloudflareUrl: cloudflare.url });
  world = repairOf(trial, openServer);
}, 1_500_000);

afterAll(async () => {
  await Promise.all([
    trial.stack[Symbol.asyncDispose](),
    host.stop(),
    cloudflare.close(),
    rm(home, { recursive: true, force: true }),
  ]);
});

async function check(changes: Partial<World> = {}): Promise<DriftReport> {
  const checked = await checkDrift("prod", { ...world, ...changes });
  checked.close();
  return checked.report;
}

const brief = ({ findings }: DriftReport) => findings.map(({ resource, what }) => `${resource}: ${what}`);

const TAMPER = `
  echo 'by hand' > /etc/motd
  useradd --create-home --shell /bin/bash mallory
  echo '* * * * * root true' > /etc/cron.d/evil
  timedatectl set-timezone Asia/Tokyo
  echo 'PermitRootLogin yes' > /etc/ssh/sshd_config.d/00-open.conf`;

describe("drift of a deployed stack", TIMEOUT, () => {
  it("is none right after the deployment", async () => {
    expect(await check()).toMatchObject({ outcome: "clean", findings: [], gaps: [] });
  });

  it("is found in one check, repaired in one run, recorded on the server, and gone", async () => {
    await host.exec(TAMPER);
    await fetch(`${cloudflare.url}/zones/${ZONE_ID}/dns_records`, {
      method: "POST",
      headers: { authorization: `Bearer ${TOKEN}` },
      body: JSON.stringify({ type: "A", name: "technicia.exemple.fr", content: "203.0.113.66", ttl: 300 }),
    });
    const { before, after } = await repairDrift({ stack: "prod", yes: true, withChanges: false }, world);

    expect(brief(before)).toEqual([
      "technicia.exemple.fr: A record that nobody declared",
      "extra-access: account mallory with the shell /bin/bash",
      "extra-access: sshd file /etc/ssh/sshd_config.d/00-open.conf",
      "extra-access: sshd setting permitrootlogin is yes instead of no",
      "extra-files: cron entry /etc/cron.d/evil",
      "host-motd: content",
      "host-time-zone: host time zone",
    ]);
    expect(before.findings.filter(({ since }) => since === undefined).map(({ what }) => what)).toEqual([
      "A record that nobody declared",
      "sshd setting permitrootlogin is yes instead of no",
    ]);
    expect(after).toMatchObject({ outcome: "clean", findings: [], gaps: [] });
    expect(
      await host.exec("cat /etc/motd; timedatectl show --property Timezone --value; ls /etc/cron.d"),
    ).not.toMatch(/by hand|Tokyo|evil/);
    const hostKey = (await host.exec("cut -d ' ' -f 1,2 /etc/ssh/ssh_host_ed25519_key.pub")).trim();
    const server = openServer({ ssh: { ...host, hostKey } });
    const { events, corrupt } = await readHistory(server);
    server.close();
    expect(corrupt).toEqual([]);
    expect(events.map(({ action, findings }) => [action, findings])).toEqual([
      ["drift", 7],
      ["repair", undefined],
      ["drift", 0],
    ]);
  });

  it.each([
    ["a refresh", "true", ["refresh"]],
    ["a repair that fails", "touch /run/zone-stays", ["up", "--refresh"]],
  ])(
    "is found after %s has taken it into the state, and repaired",
    async (_, obstacle, [command = "", ...args]) => {
      await host.exec(`${TAMPER}; systemctl disable --now apt-daily.timer; ${obstacle}`);
      const before = brief(await check());
      const { code } = await trial.stack.pulumi(
        command,
        "--yes",
        "--skip-preview",
        "--stack",
        "prod",
        ...args,
      );
      await host.exec("rm --force /run/zone-stays");
      const after = brief(await check());

      expect(code === 0).toBe(command === "refresh");
      expect(before).toHaveLength(8);
      // A repair that fails repairs what it got to.
      expect(after.filter((one) => !before.includes(one))).toEqual([]);
      expect(after).toEqual(
        command === "refresh" ? before : expect.arrayContaining(["host-time-zone: host time zone"]),
      );
      const { after: repaired } = await repairDrift({ stack: "prod", yes: true, withChanges: false }, world);
      expect(repaired).toMatchObject({ outcome: "clean", findings: [], gaps: [] });
    },
  );

  it("is repaired although something else cannot be looked at", async () => {
    await host.exec("touch /run/fragile-fails; echo 'by hand' > /etc/motd");
    const { after } = await repairDrift({ stack: "prod", yes: true, withChanges: false }, world);
    const motd = await host.exec("rm /run/fragile-fails; cat /etc/motd");

    expect(motd).toBe("as deployed\n");
    expect([brief(after!), after?.gaps.map(({ what }) => what)]).toEqual([[], ["host-fragile"]]);
  });

  it("is repaired although something else cannot be repaired, which is named", async () => {
    await host.exec("touch /run/zone-stays; timedatectl set-timezone Asia/Tokyo; echo 'by hand' > /etc/motd");
    const { after } = await repairDrift({ stack: "prod", yes: true, withChanges: false }, world);
    const motd = await host.exec("rm /run/zone-stays; cat /etc/motd");

    expect([motd, brief(after!), after?.outcome]).toEqual([
      "as deployed\n",
      ["host-time-zone: host time zone"],
      "drift",
    ]);
    expect(brief(await check())).toEqual(["host-time-zone: host time zone"]);
    await repairDrift({ stack: "prod", yes: true, withChanges: false }, world);
  });

  it("is told of the rest when one thing cannot be looked at", async () => {
    await host.exec("touch /run/fragile-fails; echo 'by hand' > /etc/motd");
    const report = await check();
    await host.exec("rm /run/fragile-fails");

    expect(report.outcome).toBe("failed");
    expect(brief(report)).toEqual(["host-motd: content"]);
    expect(report.gaps).toEqual([
      { what: "host-fragile", reason: expect.stringContaining("could not observe host-fragile") as string },
    ]);
  });

  it("is not what is merely not deployed yet, which a repair does not deploy by the way", async () => {
    await trial.stack.write(program(host, "as deployed", "Europe/Rome"));
    try {
      const report = await check();
      expect([brief(report), report.pending]).toEqual([["host-motd: content"], ["host-time-zone"]]);
      await expect(repairDrift({ stack: "prod", yes: true, withChanges: false }, world)).rejects.toThrow(
        "a repair would deploy them unreviewed (host-time-zone)",
      );
    } finally {
      await trial.stack.write(program(host));
    }
  });

  it("is not known of a server that nobody reaches, and the vendor's records still are", async () => {
    const dark = (outputs: Parameters<typeof openServer>[0]) =>
      openServer({ ssh: { ...outputs.ssh, port: 1 } });
    const report = await check({ openServer: dark });

    expect(report.outcome).toBe("failed");
    expect(report.findings).toEqual([]);
    expect(report.gaps.map(({ what }) => what)).toEqual(["the server and everything on it"]);
  });
});
