import Table from "cli-table3";

import type { Engine } from "./engine/prepare.ts";
import { DATACENTRE } from "./addresses.ts";
import { MAIL_API } from "./mail.ts";
import { neighbourEntry } from "./neighbour.ts";
import type { StackName } from "./stack-names.ts";
import { WEBHOOKS_API } from "./webhooks.ts";

/** The parts of a stack's outputs that the summary shows. */
export interface Outputs {
  readonly url: string;
  readonly ipv4: string;
  readonly sshCommand: string;
  readonly tunnels: readonly { readonly service: string; readonly url: string; readonly command: string }[];
}

/** What `npm start` ends with: where everything is, and what to try next. */
export function renderSummary({
  stack,
  outputs,
  engine,
  backups,
  isMonitored,
  neighbour,
  seconds,
}: {
  readonly stack: string;
  readonly outputs: Outputs;
  readonly engine: Engine;
  readonly backups: readonly string[];
  readonly isMonitored: boolean;
  /** Stack of the second environment, where there is one. */
  readonly neighbour?: StackName;
  readonly seconds: { readonly preparation: number; readonly deployment: number };
}): string {
  const host = new URL(outputs.url).hostname;
  const table = new Table({ style: { head: [], border: [] } });
  const flag = stack === "test" ? "" : ` --stack ${stack}`;
  table.push(
    ["URL", outputs.url],
    [
      "try it",
      `curl --cacert .rehearsal/acme-root.pem --resolve ${host}:443:${DATACENTRE.server} ${outputs.url}/healthz`,
    ],
    ["trust", "the authority's root is .rehearsal/acme-root.pem, new at each start of the ACME server"],
    ["ssh", outputs.sshCommand],
    ...outputs.tunnels.map(({ service, url, command }): [string, string] => [
      `tunnel: ${service}`,
      `${command}\nthen ${url}`,
    ]),
    ["backups", backups.join("\n")],
    ...(isMonitored ? [["alerts", whereAlertsArrive()]] : []),
    ...(neighbour === undefined
      ? []
      : [
          [
            "neighbour",
            `${neighbourEntry(neighbour).url}\nnpm run rehearsal -- stack output --stack ${neighbour}`,
          ],
        ]),
    [
      "engine",
      Object.entries(engine.versions)
        .map(([name, version]) => `${name} ${version}`)
        .join("\n"),
    ],
    [
      "time",
      `prepared in ${seconds.preparation.toFixed(1)} s, deployed in ${seconds.deployment.toFixed(1)} s`,
    ],
    [
      "next",
      [
        `npm run rehearsal -- preview --diff${flag}`,
        `npm run rehearsal -- refresh --preview-only${flag}`,
        `npm run rehearsal -- stack output${flag}`,
        "npm run rehearsal:stop",
      ].join("\n"),
    ],
  );
  return `\n${table.toString()}`;
}

function whereAlertsArrive(): string {
  return [
    `mail: curl ${MAIL_API}/api/v1/messages`,
    `Slack, the pager and PagerDuty: curl '${WEBHOOKS_API}/calls?api=webhooks'`,
  ].join("\n");
}
