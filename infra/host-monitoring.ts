/** What the host needs for the monitoring before any package of it is installed. */
import type * as pulumi from "@pulumi/pulumi";

import * as technicia from "../provider/resources.ts";

const EXPORTER = "prometheus-node-exporter.service";
const OVERRIDE = `/etc/systemd/system/${EXPORTER}.d/10-technicia.conf`;

/** Kinds of metrics that rules and dashboards use. */
const KINDS = [
  ...["cpu", "diskstats", "filefd", "filesystem", "loadavg", "meminfo", "netdev", "pressure"],
  ...["stat", "time", "timex", "uname", "vmstat"],
];

/**
 * The package starts the exporter at once, on every address: this file is there before it. With the monitoring both go, or it would listen on
 * every address again.
 */
export function createExporterOverride(name: string, onHost: pulumi.CustomResourceOptions): technicia.File {
  return new technicia.File(
    `${name}-exporter-override`,
    {
      path: OVERRIDE,
      content: `[Service]
ExecStart=
ExecStart=/usr/bin/prometheus-node-exporter --web.listen-address=127.0.0.1:9100 --collector.disable-defaults ${KINDS.map((kind) => `--collector.${kind}`).join(" ")}
Restart=always
`,
      onChange: `systemctl daemon-reload; if [ -e ${OVERRIDE} ]; then if [ -e /usr/lib/systemd/system/${EXPORTER} ]; then systemctl try-restart ${EXPORTER}; fi; else systemctl disable --now --quiet ${EXPORTER} 2>/dev/null || true; fi`,
    },
    onHost,
  );
}

/** All containers share one limit of the journal; with its default, one that talks much would silence the others. */
export const JOURNAL_LIMITS = "RateLimitIntervalSec=30s\nRateLimitBurst=100000\n";
