import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";

import { loginOf, startHost, type TestHost } from "../../support/host.ts";
import { CallFailure, Plugin, type Resource } from "../plugin-process.ts";

const UNIT = "technicia:host:Unit";

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
  await host.exec(
    "systemctl unmask --quiet t.service; systemctl disable --quiet --now t.service 2>/dev/null || true; rm -f /tmp/t",
  );
  await service("[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target");
  plugin = await Plugin.renew(plugin, loginOf(host));
});

const service = (text: string): Promise<string> =>
  host.exec(
    `cat > /etc/systemd/system/t.service <<'END'\n${text}\nEND\nsystemctl daemon-reload; systemctl reset-failed t.service 2>/dev/null || true`,
  );
const create = (inputs: Record<string, unknown> = {}): Promise<Resource> =>
  plugin.create(UNIT, "u", { unit: "t.service", enabled: true, active: true, ...inputs });
const seen = async (): Promise<string> =>
  (await host.exec("systemctl is-enabled t.service || true; systemctl is-active t.service || true")).trim();
const pid = (): Promise<string> => host.exec("systemctl show --value --property MainPID t.service");

describe("Unit", () => {
  it("is enabled and started", async () => {
    const unit = await create();

    expect(await seen()).toBe("enabled\nactive");
    expect(unit).toMatchObject({ id: "t.service", state: { loadState: "loaded" } });
    expect(await plugin.read(unit)).toEqual(unit);
  });

  it("is disabled and stopped", async () => {
    await host.exec("systemctl enable --quiet --now t.service");

    await create({ enabled: false, active: false });

    expect(await seen()).toBe("disabled\ninactive");
  });

  it("is stopped and masked for good, shows an unmasked one as drift, and is given back on deletion", async () => {
    await host.exec(`cat > /usr/lib/systemd/system/m.service <<'END'
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/true
[Install]
WantedBy=multi-user.target
END
systemctl daemon-reload; systemctl enable --quiet --now m.service`);
    const inputs = { unit: "m.service", enabled: false, active: false, masked: true };

    const unit = await create(inputs);

    expect(await host.exec("systemctl is-active m.service || true")).toBe("inactive\n");
    expect((await host.tryExec("systemctl start m.service")).stderr).toContain("masked");
    expect(await plugin.read(unit)).toEqual(unit);
    await host.exec("systemctl unmask --quiet m.service");
    const drifted = await plugin.read(unit);
    expect(drifted?.inputs).toEqual({ ...inputs, masked: false });
    await plugin.update(drifted ?? unit, inputs);
    expect(await host.exec("systemctl is-enabled m.service || true")).toBe("masked\n");
    await plugin.delete(unit);
    expect(await host.exec("systemctl is-enabled m.service; systemctl is-active m.service")).toBe(
      "enabled\nactive\n",
    );
  });

  it("refuses to mask a unit that shall run", async () => {
    await expect(create({ enabled: true, active: true, masked: true })).rejects.toThrow(
      "masked: expected false for a unit that is enabled or active, got true; leave it out",
    );
  });

  it("finds a unit whose file is newer than systemd's last reload", async () => {
    await host.exec(
      "printf '[Service]\\nExecStart=/bin/sleep infinity\\n' > /etc/systemd/system/fresh.service",
    );

    await plugin.create(UNIT, "u", { unit: "fresh.service", enabled: false, active: true });

    expect(
      await host.exec(
        "systemctl is-active fresh.service; systemctl stop fresh.service; rm /etc/systemd/system/fresh.service",
      ),
    ).toBe("active\n");
  });

  it.each([
    ["stopped", "systemctl stop t.service", { active: false }, { active: "update" }],
    ["disabled", "systemctl disable --quiet t.service", { enabled: false }, { enabled: "update" }],
    [
      "masked",
      "systemctl mask --quiet --now t.service 2>/dev/null",
      { enabled: false, active: false },
      { enabled: "update", active: "update" },
    ],
  ])("shows as drift that it was %s, and an update repairs it", async (_, change, inputs, detailed) => {
    const unit = await create();
    // A unit under /etc cannot be masked: the mask would stand in its place.
    await host.exec(
      "mv /etc/systemd/system/t.service /usr/lib/systemd/system/t.service; systemctl daemon-reload",
    );
    await host.exec(change);

    const drifted = await plugin.read(unit);

    expect(drifted?.inputs).toEqual({ ...unit.inputs, ...inputs });
    expect((await plugin.diff(drifted ?? unit, unit.inputs)).detailed).toEqual(detailed);
    await plugin.update(drifted ?? unit, unit.inputs);
    expect(await seen()).toBe("enabled\nactive");
    await host.exec("systemctl disable --quiet --now t.service; rm /usr/lib/systemd/system/t.service");
  });

  it("is restarted when a trigger changes, and only then", async () => {
    const unit = await create({ triggers: ["a"] });
    const first = await pid();

    const same = await plugin.update(unit, { ...unit.inputs });
    expect(await pid()).toBe(first);

    await plugin.update(same, { ...unit.inputs, triggers: ["b"] });
    expect(await pid()).not.toBe(first);
  });

  it("reads a unit that systemd does not know as gone", async () => {
    const unit = await create({ enabled: false, active: false });
    await host.exec("rm /etc/systemd/system/t.service; systemctl daemon-reload");

    expect(await plugin.read(unit)).toBeUndefined();
    await plugin.delete(unit);
  });

  it("restores the earlier state on deletion", async () => {
    const unit = await create();

    await plugin.delete(unit);

    expect(await seen()).toBe("disabled\ninactive");
  });

  it("starts again on deletion a unit that ran before", async () => {
    await host.exec("systemctl enable --quiet --now t.service");
    const unit = await create({ enabled: false, active: false });

    await plugin.delete((await plugin.read(unit)) ?? unit);

    expect(await seen()).toBe("enabled\nactive");
  });

  it("is imported by its name", async () => {
    await host.exec("systemctl enable --quiet t.service");

    expect((await plugin.import(UNIT, "t.service"))?.inputs).toEqual({
      unit: "t.service",
      enabled: true,
      active: false,
    });
    expect(await plugin.import(UNIT, "none.service")).toBeUndefined();
  });
});

describe("Unit that cannot be brought there", () => {
  it("fails when there is no such unit", async () => {
    await expect(create({ unit: "none.service" })).rejects.toThrow(
      /^unit: expected a unit that debian@.* has, got none.service; write or install its file first/,
    );
  });

  it("fails when a unit without an [Install] section is to be enabled", async () => {
    await service("[Service]\nExecStart=/bin/sleep infinity");

    await expect(create()).rejects.toThrow(
      "enabled: expected false, got true; t.service has no [Install] section",
    );
  });

  it("fails when systemd keeps restarting a unit that already ran", async () => {
    await service(
      "[Service]\nExecStart=/bin/sleep 0.3\nRestart=always\nRestartSec=200ms\nStartLimitIntervalSec=0",
    );
    const restarted =
      'until [ "$(systemctl show --value --property NRestarts t.service)" -gt 0 ]; do sleep 0.05; done';
    await host.exec(`systemctl start t.service; ${restarted}`);

    await expect(create({ enabled: false })).rejects.toThrow("it ended right after it was started");
  });

  it("fails when it is never active", async () => {
    await service("[Service]\nType=oneshot\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target");

    await expect(create()).rejects.toThrow(
      "active: expected false, got true; t.service is a oneshot unit without RemainAfterExit",
    );
  });

  it.each([
    ["", "it ended right after it was started"],
    ["Restart=always\nRestartSec=100ms\n", "it ended right after it was started"],
    ["Restart=always\nRestartSec=0\n", "it ended right after it was started, and was started again"],
    ["Type=notify\n", "it did not start"],
  ])(
    "fails when it does not stay (%j), with its last words, and keeps that it was enabled",
    async (options, reason) => {
      await service(
        `[Service]\n${options}ExecStart=/bin/sh -c 'sleep 0.3; echo my last words; exit 3'\n[Install]\nWantedBy=multi-user.target`,
      );

      const failure = await create().catch((error: unknown) => error);

      expect(String(failure)).toContain(reason);
      expect(String(failure)).toContain("my last words");
      expect((failure as CallFailure).partial).toMatchObject({
        id: "t.service",
        state: { previous: { enablement: "disabled", active: false } },
      });
    },
  );
});
