import { afterEach, describe, expect, it } from "vitest";

import { run, tryRun } from "../../../common/run.ts";
import { docker } from "../../../rehearsal/docker.ts";
import { type MonitoringProgramName, monitoringProgram } from "../../support/monitoring-programs.ts";
import { Bench, images, published } from "./container.ts";

const PROGRAMS: readonly (readonly [name: string, entrypoint: string, version: string])[] = [
  ["victoriametrics/victoria-metrics:v1.151.0", "/victoria-metrics-prod", "v1.151.0"],
  ["victoriametrics/victoria-logs:v1.52.1", "/victoria-logs-prod", "v1.52.1"],
  ["victoriametrics/vmalert:v1.151.0", "/vmalert-prod", "v1.151.0"],
  ["prom/alertmanager:v0.28.1", "/bin/alertmanager", "0.28.1"],
  ["prom/blackbox-exporter:v0.26.0", "/bin/blackbox_exporter", "0.26.0"],
];

const bench = new Bench();
afterEach(() => bench.remove());

describe("an image of the monitoring", () => {
  it.each(PROGRAMS)("runs %s by its own command, in its version", async (name, entrypoint, version) => {
    const tag = await published(name);
    const { code, stdout, stderr } = await tryRun(["docker", "run", "--rm", tag, "--version"]);

    expect(await docker(["image", "inspect", "--format", "{{json .Config.Entrypoint}}", tag])).toBe(
      `${JSON.stringify([entrypoint])}\n`,
    );
    expect([code, stdout + stderr]).toEqual([0, expect.stringContaining(version)]);
  });

  it.each(PROGRAMS)("has what the health check of %s asks with", async (name) => {
    const shell = ["run", "--rm", "--entrypoint", "sh", await published(name), "-c", "command -v wget"];

    expect((await docker(shell)).trim()).toMatch(/\/bin\/wget$/);
  });
});

describe("Alertmanager's image", () => {
  it("keeps its state in a folder of its own user, who is nobody", async () => {
    const args = ["--publish", "127.0.0.1::9093"];
    const alertmanager = await bench.start(await published("prom/alertmanager:v0.28.1"), args);
    await alertmanager.ready(9093, "/-/ready");

    expect(await alertmanager.shell("id -u; stat -c '%u %n' /alertmanager")).toBe(
      "65534\n65534 /alertmanager\n",
    );
  });
});

describe("mailpit's image", () => {
  it("has the program that its go.mod pins", async () => {
    const { mailpit = "" } = await images();

    expect(await docker(["run", "--rm", mailpit, "version", "--no-release-check"])).toContain(" v1.33.1 ");
  });
});

describe("a program that was copied out of its image", () => {
  it.each<MonitoringProgramName>(["alertmanager", "amtool", "blackbox-exporter"])(
    "runs on this machine: %s",
    async (name) => {
      const version = name === "blackbox-exporter" ? "0.26.0" : "0.28.1";

      expect(await run([await monitoringProgram(name), "--version"])).toContain(version);
    },
  );
});
