import { existsSync, readFileSync } from "node:fs";

import { describe, expect, it } from "vitest";

import { WEBHOOK_SECRETS } from "../../common/alert-webhooks.ts";
import { LOOPBACK_PORTS, MONITORING_PORTS } from "../../common/monitoring.ts";
import { monitoringServices, SERVICES } from "../../common/services.ts";
import { SECRET_FILES } from "../../components/monitoring/facts.ts";
import { reveal } from "../support/engine.ts";
import { strongSecrets } from "../support/fixtures.ts";
import { deploy, everything, least, type Variant } from "../support/technicia.ts";

interface Spec {
  readonly containerSpec: {
    readonly commands?: readonly string[];
    readonly args: readonly string[];
    readonly user?: string;
    readonly readOnly: boolean;
    readonly capDrops: readonly string[];
    readonly capAdds: readonly string[];
    readonly healthcheck: { readonly tests: readonly string[] };
    readonly mounts: readonly { readonly type: string; readonly source?: string; readonly target: string }[];
    readonly secrets: readonly { readonly fileName: string; readonly fileUid: string }[];
  };
  readonly networksAdvanceds: readonly { readonly id: string; readonly aliases: readonly string[] }[];
  readonly resources: { readonly limits: { readonly memoryBytes: number } };
}

async function specOf(service: (typeof monitoringServices)[number], variant: Variant = everything) {
  const { resource } = await deploy(variant);
  const { taskSpec, ...rest } = resource(`technicia-${SERVICES[service].alias}-service`).inputs as {
    taskSpec: Spec;
    updateConfig: { order: string };
    endpointSpec: { ports: object[] };
  };
  return { ...rest, ...taskSpec };
}

const files = async () =>
  (await deploy(everything)).registrations.filter(
    ({ type, name }) => type === "technicia:host:File" && name.startsWith("monitoring-"),
  );

describe("the monitoring", () => {
  it("leaves nothing on a server where it is off", async () => {
    const { registrations } = await deploy(least);
    const own =
      /monitoring|metrics|log-rules|technicia-(logs|alerts|probes|outside)|exporter|socket|collect$/;

    expect(registrations.map(({ name }) => name).filter((name) => own.test(name))).toEqual([]);
  });

  it.each(monitoringServices)(
    "runs %s without capabilities, ports and a root file system to write to",
    async (name) => {
      const { containerSpec, endpointSpec } = await specOf(name);

      expect(containerSpec).toMatchObject({ readOnly: true, capDrops: ["ALL"], capAdds: [] });
      expect(endpointSpec.ports).toEqual([]);
    },
  );

  it.each(monitoringServices)(
    "asks %s on its own port whether it is healthy, with what its image has",
    async (name) => {
      const { containerSpec } = await specOf(name);
      const port = MONITORING_PORTS[SERVICES[name].alias];

      expect(containerSpec.healthcheck.tests.join(" ")).toMatch(
        new RegExp(`^CMD-SHELL wget -q -O /dev/null http://127\\.0\\.0\\.1:${port}/`),
      );
      expect(containerSpec.args.join(" ")).toContain(`:${port}`);
    },
  );

  it("lets a program join only the networks that its work needs", async () => {
    const networks = async (name: (typeof monitoringServices)[number]) =>
      (await specOf(name)).networksAdvanceds.map(({ id }) => id.replace(/^id-of-technicia-/, ""));

    expect(await networks("metrics")).toEqual(["monitoring", "edge", "data"]);
    expect(await networks("logs")).toEqual(["monitoring"]);
    expect(await networks("metricRules")).toEqual(["monitoring"]);
    expect(await networks("logRules")).toEqual(["monitoring"]);
    expect(await networks("alerts")).toEqual(["monitoring", "outside"]);
    expect(await networks("probes")).toEqual(["monitoring", "outside", "edge", "app", "data"]);
  });

  it("answers to its alias on its own network alone", async () => {
    for (const name of monitoringServices) {
      const [inside, ...others] = (await specOf(name)).networksAdvanceds;
      expect(inside!.aliases).toEqual([SERVICES[name].alias, `technicia-${SERVICES[name].alias}`]);
      expect(others.flatMap(({ aliases }) => aliases)).toEqual([]);
    }
  });

  it("bounds what the stores keep by age, size and free space, and their memory to half of the limit", async () => {
    const metrics = await specOf("metrics");
    const logs = await specOf("logs");

    expect(metrics.containerSpec.args).toEqual(
      expect.arrayContaining([
        "-retentionPeriod=35d",
        "-memory.allowedBytes=64MiB",
        "-storage.minFreeDiskSpaceBytes=2GiB",
        "-search.latencyOffset=1s",
        "-vmalert.proxyURL=http://metric-rules:8880",
      ]),
    );
    expect(logs.containerSpec.args).toEqual(
      expect.arrayContaining([
        "-retentionPeriod=14d",
        "-retention.maxDiskSpaceUsageBytes=2GiB",
        "-storage.minFreeDiskSpaceBytes=2GiB",
        "-memory.allowedBytes=64MiB",
      ]),
    );
    expect(metrics.resources.limits.memoryBytes).toBe(128 * 1024 * 1024);
  });

  it("keeps the caches of the metrics on no disk, from which they would fill its memory after a restart", async () => {
    expect((await specOf("metrics")).containerSpec.mounts).toContainEqual({
      type: "tmpfs",
      target: "/victoria-metrics-data/cache",
      readOnly: false,
    });
  });

  it("stops a program that keeps data before its successor starts", async () => {
    const order = async (name: (typeof monitoringServices)[number]) =>
      (await specOf(name)).updateConfig.order;

    for (const name of ["metrics", "logs", "alerts"] as const) expect(await order(name)).toBe("stop-first");
    expect(await order("metricRules")).toBe("start-first");
  });

  it("evaluates without the delays that would make every alert half a minute late", async () => {
    for (const name of ["metricRules", "logRules"] as const) {
      const { args } = (await specOf(name)).containerSpec;
      expect(args).toEqual(
        expect.arrayContaining([
          "-rule.evalDelay=1s",
          "-evaluationInterval=15s",
          "-remoteWrite.url=http://metrics:8428",
          "-remoteRead.url=http://metrics:8428",
          "-notifier.url=http://alerts:9093",
          "-external.label=stack=test",
        ]),
      );
    }
    expect((await specOf("logRules")).containerSpec.args).toContain("-datasource.url=http://logs:9428");
  });

  it("takes the access log at a socket that nginx's group may write to, and removes the one of a run before", async () => {
    const { containerSpec } = await specOf("logs");

    expect(containerSpec.commands).toEqual([
      "/bin/sh",
      "-c",
      'rm -f /run/technicia/access.sock; umask 007; exec /victoria-logs-prod "$@"',
      "victoria-logs",
    ]);
    expect(containerSpec.args).toContain("-syslog.listenAddr.unix=unixgram:/run/technicia/access.sock");
    expect(containerSpec.mounts).toContainEqual({
      type: "bind",
      source: "/opt/technicia/monitoring/socket",
      target: "/run/technicia",
      readOnly: false,
    });
  });

  it("gives each secret to the one program that sends it, as a file of its user, and only where it is asked for", async () => {
    const secrets = async (name: (typeof monitoringServices)[number], variant?: Variant) =>
      (await specOf(name, variant)).containerSpec.secrets.map(
        ({ fileName, fileUid }) => `/run/secrets/${fileName} ${fileUid}`,
      );
    const bare: Variant = { settings: { monitoring: { enabled: true }, "services.qdrant.apiKey": false } };
    const { qdrantApiKey, ...ofAlerts } = SECRET_FILES;

    expect(await secrets("alerts")).toEqual(Object.values(ofAlerts).map((file) => `${file} 65534`));
    expect(await secrets("metrics")).toEqual([`${qdrantApiKey} 0`]);
    for (const name of monitoringServices) expect(await secrets(name, bare)).toEqual([]);
  });

  it("writes no secret into a file that it renders", async () => {
    for (const { inputs } of await files())
      for (const name of [
        "smtpPassword",
        "slackUrl",
        ...WEBHOOK_SECRETS,
        "pingUrl",
        "neighbourToken",
      ] as const)
        expect(reveal(inputs)).not.toContain(strongSecrets()[name]);
  });
});

describe("a file of the monitoring", () => {
  it("is checked by the program that reads it, in its own image, and read without a restart", async () => {
    const { resource } = await deploy(everything);
    const { inputs } = resource("monitoring-metric-rules-rules");

    expect(inputs["path"]).toBe("/opt/technicia/monitoring/metric-rules/rules.yml");
    expect(inputs["validate"]).toMatch(
      /^docker run --rm --network none --read-only --cap-drop ALL --volume \/opt\/technicia\/monitoring\/metric-rules:\/etc\/monitoring:ro 'victoriametrics\/vmalert:\S+' -dryRun -rule\.defaultRuleType=prometheus -rule="\/etc\/monitoring\/\$\(basename "\$FILE"\)"$/,
    );
    expect(inputs["onChange"]).toBe(
      "test ! -x /opt/technicia/bin/monitoring-reload || /opt/technicia/bin/monitoring-reload metric-rules 8880",
    );
  });

  it("is there before its program starts, and the messages before the routes that name them", async () => {
    const { waitsFor } = await deploy(everything);

    expect(waitsFor("technicia-alerts-service", "monitoring-alerts-alertmanager")).toBe(true);
    expect(waitsFor("monitoring-alerts-alertmanager", "monitoring-alerts-messages")).toBe(true);
    expect(waitsFor("technicia-metrics-service", "monitoring-metrics-dashboards-users")).toBe(true);
    // In a destroy they go in the other order.
    for (const rules of ["technicia-metric-rules-service", "technicia-log-rules-service"])
      for (const store of ["technicia-metrics-service", "technicia-logs-service"])
        expect(waitsFor(rules, store), `${rules} after ${store}`).toBe(true);
  });

  it("is reloaded at the port of the loopback that leads to its program", async () => {
    const { resource } = await deploy(everything);
    const tunnel = String(resource("technicia-tunnel-configuration").inputs["content"]);

    for (const [alias, port] of Object.entries(LOOPBACK_PORTS)) {
      const inside = MONITORING_PORTS[alias as keyof typeof MONITORING_PORTS];
      expect(tunnel).toMatch(
        new RegExp(`listen ${port};[^}]*location / \\{\\s+set \\$target ${alias}:${inside};`),
      );
    }
  });
});

describe("what the host sends", () => {
  it("starts once the stores are there, and again when one of its files changes", async () => {
    const { resource, waitsFor } = await deploy(everything);

    for (const unit of ["monitoring-collect", "monitoring-exporter", "monitoring-journal-upload"])
      for (const store of ["technicia-metrics-service", "technicia-logs-service"])
        expect(waitsFor(unit, store)).toBe(true);
    expect(resource("monitoring-collect").inputs["triggers"]).toContain(
      "digest of monitoring-program-containers",
    );
  });

  it("is measured by a program that can change nothing and lose nothing of the host", async () => {
    const { resource } = await deploy(everything);
    const unit = String(resource("monitoring-collect-service").inputs["content"]);

    expect(unit).toContain("Environment=SECONDS_BETWEEN=15\nEnvironment=STORE=127.0.0.1:8428\n");
    expect(unit).toMatch(/^CapabilityBoundingSet=$/m);
    expect(unit).toMatch(/^ProtectSystem=strict$/m);
    expect(unit).toMatch(/^Restart=always$/m);
  });

  it("goes on after the store was away, journal included", async () => {
    const { resource } = await deploy(everything);

    expect(resource("monitoring-journal-settings").inputs["content"]).toBe(
      "[Upload]\nURL=http://127.0.0.1:9428/insert/journald\n",
    );
    expect(resource("monitoring-journal-override").inputs["content"]).toMatch(/^Restart=always$/m);
    expect(resource("monitoring-journal-override").inputs["content"]).toMatch(/^StartLimitIntervalSec=0$/m);
  });

  it("counts pending patches with the script that the commands use", async () => {
    const { resource } = await deploy(everything);
    const script = new URL("../../ops/server/patches.sh", import.meta.url);

    expect(existsSync(script)).toBe(true);
    expect(resource("monitoring-program-patches").inputs["content"]).toContain(
      readFileSync(script, "utf8").split("\n").at(-3),
    );
  });
});
