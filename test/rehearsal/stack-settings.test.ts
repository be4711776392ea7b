import { readFileSync } from "node:fs";
import { join } from "node:path";

import { describe, expect, it } from "vitest";

import { ROOT } from "../../rehearsal/addresses.ts";
import { ALERT_SECRETS } from "../../rehearsal/stack.ts";
import { differences, MONITORING_VALUES } from "../../rehearsal/stack-settings.ts";
import { createWebhooks } from "../../rehearsal/webhooks.ts";
import { catalog, entryOf, type SecretName, secretNames } from "../../secrets/catalog.ts";
import { contextIn } from "../../secrets/context.ts";
import { sections } from "../../stacks/settings-schema.ts";

/** Keys in the first column of the documentation's table of settings. */
function documented(): string[] {
  const text = readFileSync(join(ROOT, "docs/rehearsal.md"), "utf8");
  return [...text.matchAll(/^\| `(technicia:[\w.]+)` /gm)].map(([, key = ""]) => key);
}

describe("the settings in which the rehearsal differs from the committed ones", () => {
  it("are those that docs/rehearsal.md lists", () => {
    const written = differences({
      system: "Debian 12",
      images: { n8n: "n8nio/n8n:2.3.6", n8nRunners: "n8nio/runners:2.3.6" },
      lacksMonitoring: true,
      isSmall: true,
    }).map(([path]) => path.join("."));

    expect(written.sort()).toEqual(documented().sort());
  });
});

describe("what a user fills in to be told of alerts", () => {
  const monitoring = {
    enabled: true,
    ...Object.fromEntries(MONITORING_VALUES.map(([[, key = ""], value]) => [key, value])),
  };

  it("is what the settings allow: mail, Slack, a pager, PagerDuty, and somebody at each level", () => {
    const { mail, receivers, escalation } = sections.monitoring.parse(monitoring);

    expect(mail).toMatchObject({ host: "smtp.courrier.example", port: 587, startTls: true });
    expect(receivers.slack).toBe(true);
    expect(receivers.webhooks.map(({ name, format }) => [name, format])).toEqual([
      ["pager", "json"],
      ["pagerduty", "pagerduty-eu"],
    ]);
    expect(escalation.map(({ level, emails }) => [level, emails.length])).toEqual([
      ["N1", 1],
      ["N2", 1],
      ["N3", 1],
      ["N4", 1],
    ]);
  });

  it("needs the secrets that the rehearsal sets, and no other", () => {
    const context = contextIn({ monitoring });
    const needed = secretNames.filter((name) => {
      const { neededFor } = entryOf(name);
      return neededFor.Monitoring?.holds(context, new Set()) === true;
    });

    expect(needed).toEqual(ALERT_SECRETS satisfies readonly SecretName[]);
  });

  it("has addresses of the form that the secrets ask for", () => {
    const { slackUrl, pagerUrl, pagerDutyKey } = createWebhooks();

    expect(catalog.slackUrl.form.test(slackUrl)).toBe(true);
    expect(catalog.pagerUrl.form.test(pagerUrl)).toBe(true);
    expect(catalog.pagerDutyKey.form.test(pagerDutyKey)).toBe(true);
    expect(new URL(slackUrl).hostname).toBe("hooks.slack.com");
  });
});
