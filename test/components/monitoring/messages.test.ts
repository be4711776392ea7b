import { describe, expect, it } from "vitest";
import { parse } from "yaml";

import { renderAlertmanager } from "../../../components/monitoring/alertmanager.ts";
import type { MonitoringFacts } from "../../../components/monitoring/facts.ts";
import { renderMessages } from "../../../components/monitoring/messages.ts";
import { logRules } from "../../../components/monitoring/log-rules.ts";
import { metricRules } from "../../../components/monitoring/metric-rules.ts";
import { monitoringFacts, pager } from "./facts.ts";

interface Configuration {
  readonly route: {
    readonly routes: readonly {
      readonly matchers: readonly string[];
      readonly group_by?: readonly string[];
      readonly group_wait?: string;
      readonly routes?: readonly { readonly receiver: string }[];
    }[];
  };
  readonly receivers: readonly {
    readonly name: string;
    readonly email_configs?: readonly { readonly send_resolved: boolean; readonly text: string }[];
    readonly slack_configs?: readonly { readonly send_resolved: boolean; readonly text: string }[];
  }[];
}

const configurationOf = (change: Partial<MonitoringFacts> = {}) =>
  parse(renderAlertmanager(monitoringFacts(change))) as Configuration;

const announcing = ({ route }: Configuration) =>
  route.routes.find(({ matchers }) => matchers.includes('alertname="Announcement"'));

describe("messages about what a dead service causes", () => {
  it.each([5, 15, 60])("wait until the service is told, where it is measured every %i s", (scrapeSeconds) => {
    const facts = monitoringFacts({ scrapeSeconds });
    const { routes } = configurationOf({ scrapeSeconds }).route;
    const waitOf = (name: string) => {
      const { severity = "" } =
        [...metricRules(facts), ...logRules(facts)].find((one) => one.name === name) ?? {};
      const first = routes.find(({ matchers }) =>
        matchers.every((text) => {
          const [, label, pattern = ""] = /^(\w+)=~?"(.*)"$/.exec(text) ?? [];
          return new RegExp(`^(${pattern})$`).test(
            label === "severity" ? severity : label === "alertname" ? name : "",
          );
        }),
      );
      return Number.parseInt(first?.group_wait ?? "", 10);
    };
    const down = metricRules(facts).find(({ name }) => name === "ServiceDown")?.forSeconds ?? Infinity;
    // The probe that sees it and its own limit, and the evaluation.
    const told = scrapeSeconds + 5 + scrapeSeconds + down + waitOf("ServiceDown");

    expect(waitOf("ServiceDown")).toBe(5);
    for (const name of [
      "ErrorRateCritical",
      "LatencyCritical",
      "SlowRequestHigh",
      "RequestsRetried",
      "QuestionsFailing",
    ])
      expect(waitOf(name), name).toBeGreaterThan(told);
    // A rollback does not wait.
    for (const { name, forSeconds } of logRules(facts))
      if (["ErrorRateCritical", "LatencyCritical", "CriticalErrors"].includes(name))
        expect(forSeconds).toBeUndefined();
  });
});

describe("the route of announcements", () => {
  it.each([
    ["Slack, where there is one", {}, ["announcements-slack"]],
    ["the team's mail otherwise", { receivers: { slack: false } }, ["announcements-team"]],
    ["never a pager", { mail: undefined, receivers: { slack: false, webhooks: [pager] } }, []],
  ])("leads to %s", (_, { receivers, ...change }: { receivers?: object; mail?: undefined }, expected) => {
    const facts = { ...change, receivers: { ...monitoringFacts().receivers, ...receivers } };
    const configuration = configurationOf(facts);

    expect(announcing(configuration)?.routes?.map(({ receiver }) => receiver)).toEqual(expected);
    expect(
      configuration.receivers.map(({ name }) => name).filter((name) => name.startsWith("announcements-")),
    ).toEqual(expected);
  });

  it("comes before that of the level, and sends each on its own", () => {
    const { routes } = configurationOf().route;
    const [own, level] = ['alertname="Announcement"', 'severity="info"'].map((matcher) =>
      routes.findIndex(({ matchers }) => matchers.includes(matcher)),
    );

    expect(own!).toBeLessThan(level!);
    expect(routes[own!]?.group_by).toEqual(["id"]);
  });

  it("never says that an announcement is resolved, and uses texts of its own", () => {
    for (const change of [{}, { receivers: { ...monitoringFacts().receivers, slack: false } }])
      for (const { name, email_configs = [], slack_configs = [] } of configurationOf(change).receivers)
        for (const { send_resolved, text } of [...email_configs, ...slack_configs]) {
          const isAnnouncement = name.startsWith("announcements-");
          expect(send_resolved).toBe(!isAnnouncement);
          expect(text).toContain(isAnnouncement ? "announcement.text" : "technicia.text");
        }
  });
});

describe("the messages", () => {
  const text = renderMessages(monitoringFacts());

  it("state the threshold beside the value, in the mail's text and page", () => {
    const value = "{{ .Annotations.value }}{{ with .Annotations.threshold }} (seuil : {{ . }}){{ end }}";

    expect(text).toContain(`Valeur : ${value}\n`);
    expect(text).toContain(`<td>${value}</td>`);
  });

  it("announce what, where, since when, who, which release and with what result", () => {
    const announcement = text.slice(text.indexOf('define "announcement.text"'));

    for (const name of ["Quoi", "Où", "Depuis", "Qui", "Version", "Résultat", "Durée", "Motif", "Fenêtre"])
      expect(announcement.split(name)).toHaveLength(3);
    expect(announcement).toContain('Depuis : {{ template "technicia.time" .StartsAt }}');
  });

  it("close every block that they open", () => {
    const opened = text.match(/\{\{-? *(?:define|if|range|with) /g) ?? [];
    const closed = text.match(/\{\{-? *end *-?\}\}/g) ?? [];

    expect(closed).toHaveLength(opened.length);
  });
});
