import Table from "cli-table3";

import type { Engine } from "./engine/prepare.ts";
import { DATACENTRE } from "./addresses.ts";
import { MAIL_API } from "./mail.ts";
import { neighbourEntry } from "./neighbour.ts";
import type { Shown } from "./question.ts";
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
  shown,
  seconds,
}: {
  readonly stack: string;
  readonly outputs: Outputs;
  readonly engine: Engine;
  readonly backups: readonly string[];
  readonly isMonitored: boolean;
  /** Stack of the second environment, where there is one. */
  readonly neighbour?: StackName;
  /** The question that was asked; undefined where nothing answers any. */
  readonly shown: Shown | undefined;
  readonly seconds: { readonly preparation: number; readonly deployment: number };
}): string {
  const host = new URL(outputs.url).hostname;
  const table = new Table({ style: { head: [], border: [] } });
  const curl = `curl --cacert .rehearsal/acme-root.pem --resolve ${host}:443:${DATACENTRE.server}`;
  const flag = stack === "test" ? "" : ` --stack ${stack}`;
  table.push(
    ["URL", outputs.url],
    ["try it", `${curl} ${outputs.url}/healthz`],
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
    ...(shown === undefined
      ? []
      : [
          ["question", renderShown(shown)],
          ["each hop", shown.hops.map(([name, took]) => `${name}: ${(took / 1000).toFixed(2)} s`).join("\n")],
          ["ask another", `${curl} ${outputs.url}/api/question ${ANOTHER}`],
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

/** As curl sends it: its `--json` is not in Ubuntu 22.04. */
const ANOTHER = `--header 'content-type: application/json' --data '{"question": "Pourquoi la pompe fait-elle du bruit ?"}'`;

function renderShown({ question, answer, sources }: Shown): string {
  const width = 100;
  const lines = answer.match(new RegExp(`\\S.{0,${width}}(?=\\s|$)|\\S+`, "g")) ?? [];
  return [question, ...lines, ...sources.map((source) => `source: ${source}`)].join("\n");
}

function whereAlertsArrive(): string {
  return [
    `mail: curl ${MAIL_API}/api/v1/messages`,
    `Slack, the pager and PagerDuty: curl '${WEBHOOKS_API}/calls?api=webhooks'`,
  ].join("\n");
}
