import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { OFFER_NEWER_DOCKER } from "../support/newer-docker.ts";
import { history, npm, start } from "./deployments.ts";
import { expectNoDrift } from "./drift-check.ts";
import { openTcpPorts, WEB } from "./scan.ts";
import { askHealth, ensureStarted, onServer, pulumi, set, startAgain, until } from "./rehearsal.ts";

const maintain = (...args: string[]) => npm("maintain", "--", "test", "--yes", ...args);
const bootId = async () => (await onServer("cat /proc/sys/kernel/random/boot_id")).trim();
const dockerVersion = () => onServer("dpkg-query --show --showformat '${Version}' docker.io");

beforeAll(async () => {
  await ensureStarted();
  // Debian may have published something since the server's image was made.
  const { code, stdout, stderr } = await maintain();
  expect(code, `${stdout}\n${stderr}`).toBe(0);
});
// Rewrites the settings, which reverts what the tests changed.
afterAll(startAgain);

describe("a maintenance", () => {
  it("ends within a minute where there is nothing to do, and changes nothing", async () => {
    const before = await bootId();
    const began = Date.now();
    const { code, stdout } = await maintain();

    expect(code).toBe(0);
    expect(stdout).toBe("test: nothing to upgrade, and no reboot is required\n");
    expect((Date.now() - began) / 1000).toBeLessThan(60);
    expect(await bootId()).toBe(before);
  });

  it("is asked for by status and drift once Docker has an update and the kernel a successor", async () => {
    await onServer(`${OFFER_NEWER_DOCKER}\napt-get update --quiet; touch /run/reboot-required`);
    const [status, drift] = [await npm("status", "--", "test"), await npm("drift", "--", "test")];

    expect(status.stdout).toMatch(/^Docker +docker\.io .* → .*\+newer1$/m);
    expect(status.stdout).toMatch(/^Redémarrage +an upgrade asks for it\nnpm run maintain -- test$/m);
    expect(drift.code).toBe(7);
    expect(drift.stdout).toMatch(/maintenance: engine\n(.*\n)*.*maintenance: reboot/);
    expect(drift.stdout).toContain("npm run maintain -- test does it inside the window");
  });

  it("waits for the window, unless in an emergency", async () => {
    const [day = ""] = new Date().toISOString().split("T");
    const until = new Date(Date.now() + 86_400_000).toISOString().split("T")[0] ?? "";
    for (const [name, value] of [
      ["from", day],
      ["to", until],
      ["reason", "essai"],
    ] as const)
      await set(`technicia:operations.freezes[0].${name}`, value);
    const before = await dockerVersion();
    const { code, stdout, stderr } = await maintain();

    expect(code, stderr).toBe(3);
    expect(stdout).toContain("the window of test is closed, because of the freeze");
    expect(stderr).toContain("nothing answers while Docker restarts");
    expect(await dockerVersion()).toBe(before);
  });

  it("upgrades Docker and reboots, and everything is there again, verified, recorded and without drift", async () => {
    const before = await bootId();
    const { code, stdout, stderr } = await maintain("--emergency", "--reason", "mise à jour de Docker");

    expect(code, `${stdout}\n${stderr}`).toBe(0);
    expect(stderr).toContain("continuing (--emergency)");
    expect(stderr).toContain("rebooting the server: an upgrade asks for it");
    expect(stdout).toMatch(
      /^test: \d+ upgrades? installed, the server was rebooted\neverything passed its verification$/m,
    );
    expect(await dockerVersion()).toContain("+newer1");
    expect(await bootId()).not.toBe(before);
    await askHealth();
    expect(await openTcpPorts("-4")).toEqual(WEB);
    const { events } = await history();
    expect(events.filter(({ action }) => action === "maintenance").slice(-3)).toMatchObject([
      { detail: expect.stringContaining("maintenance refusée : fenêtre fermée") as string },
      {
        reason: "mise à jour de Docker",
        detail: expect.stringContaining("maintenance commencée en urgence : ") as string,
      },
      {
        detail: expect.stringMatching(
          /terminée, serveur redémarré, vérification réussie : .*docker\.io/,
        ) as string,
      },
    ]);

    const removed = await pulumi("config", "rm", "--path", "technicia:operations.freezes[0]");
    expect(removed.code, removed.stderr).toBe(0);
    await onServer("rm -r /etc/apt/sources.list.d/newer.list /srv/newer; apt-get update --quiet");
    expect((await npm("status", "--", "test")).stdout).not.toContain("npm run maintain");
    await expectNoDrift();
  });

  it("that was killed while the server rebooted is brought to its end by the next one", async () => {
    await onServer("touch /run/reboot-required");
    const before = await bootId();
    const code = await start("maintain", (line, kill) => {
      if (line === "waiting for the server to come back") kill();
    });
    expect(code).not.toBe(0);
    await until("the server has rebooted", async () => (await bootId()) !== before, 180);
    const { code: again, stdout, stderr } = await maintain();

    expect(again, `${stdout}\n${stderr}`).toBe(0);
    expect(stderr).toContain("goes on with a maintenance that did not come to its end");
    expect(stdout).toContain("everything passed its verification");
    await askHealth();
    await expectNoDrift();
  });
});
