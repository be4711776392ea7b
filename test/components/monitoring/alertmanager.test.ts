import { describe, expect, it } from "vitest";
import { parse } from "yaml";

import { renderAlertmanager } from "../../../components/monitoring/alertmanager.ts";
import { ladderOf, receiversOf, SEVERITIES } from "../../../components/monitoring/audiences.ts";
import type { MonitoringFacts, Webhook } from "../../../components/monitoring/facts.ts";
import { escalationRules } from "../../../components/monitoring/rules/own-health.ts";
import { monitoringFacts, pager } from "./facts.ts";

interface Config {
  readonly receivers: readonly (Readonly<Record<string, unknown>> & { readonly name: string })[];
  readonly route: { readonly routes: readonly Route[] };
}

interface Route {
  readonly receiver: string;
  readonly matchers?: readonly string[];
  readonly routes?: readonly Route[];
}

const sms: Webhook = { name: "sms", format: "json", secret: "smsUrl", levels: ["P1", "N1"] };
const onCall: Webhook = {
  name: "astreinte",
  format: "pagerduty-eu",
  secret: "pagerDutyKey",
  levels: ["P2", "N2"],
};

const escalation = (["N1", "N2", "N3", "N4"] as const).map((level, index) => ({
  ...{ level, afterMinutes: 5 + 10 * index },
  emails: [] as string[],
}));

const NONE = { slack: false, webhooks: [], team: { emails: [] } };
const configOf = (change: Partial<MonitoringFacts>) =>
  parse(renderAlertmanager(monitoringFacts(change))) as Config;

/** Level → who is told, as the rendered routes lead. */
const toldOf = (change: Partial<MonitoringFacts>) =>
  Object.fromEntries(
    configOf(change)
      .route.routes.filter(({ matchers }) => matchers?.includes('alertname="Escalation"'))
      .flatMap(({ routes = [] }) => routes)
      .map(({ matchers, routes = [] }) => [
        /N\d/.exec(String(matchers))![0],
        routes.map(({ receiver }) => receiver),
      ]),
  );

const severityTold = (change: Partial<MonitoringFacts>) =>
  Object.fromEntries(
    SEVERITIES.map((severity) => [severity, receiversOf(severity, monitoringFacts(change))]),
  );

describe("the levels of the escalation", () => {
  it("get mail where they have addresses", () => {
    expect(toldOf({})).toEqual({ N1: ["N1"], N2: ["N2"], N3: ["N3"], N4: ["N4"] });
    const { receivers } = configOf({});
    expect(receivers.find(({ name }) => name === "N2")).toMatchObject({
      email_configs: [{ to: "n2@exemple.fr" }],
    });
  });

  it.each([
    [{ slack: true }, ["slack"]],
    [{ webhooks: [pager] }, ["pager"]],
    [{ slack: true, webhooks: [pager] }, ["pager", "slack"]],
  ])("are told by %j where there is no mail", (receivers, told) => {
    expect(toldOf({ mail: undefined, receivers: { ...NONE, ...receivers }, escalation })).toEqual(
      Object.fromEntries(["N1", "N2", "N3", "N4"].map((level) => [level, told])),
    );
  });

  it("are told to the webhooks that ask for them, besides their addresses", () => {
    const receivers = { ...NONE, slack: true, webhooks: [sms, onCall] };
    const [first, ...others] = escalation;
    const withMail = [{ ...first!, emails: ["n1@exemple.fr"] }, ...others];

    expect(toldOf({ receivers, escalation: withMail })).toEqual({ N1: ["N1", "sms"], N2: ["astreinte"] });
  });

  it("have rules where somebody is told of them, and no other", () => {
    const facts = monitoringFacts({ receivers: { ...NONE, webhooks: [onCall] }, escalation });

    expect(escalationRules(facts).map(({ labels }) => labels?.["level"])).toEqual(["N2"]);
    expect(ladderOf(facts)).toMatchObject([{ level: "N2", receivers: ["astreinte"] }]);
  });

  it("are named by their messages, which all begin with the title", () => {
    const titles = escalationRules(monitoringFacts({ receivers: { ...NONE, slack: true }, escalation })).map(
      ({ title }) => title.split(" : ")[0],
    );

    expect(titles).toEqual(["N1", "N2", "N3", "N4"]);
  });

  it("have no receiver where nobody is told of anything", () => {
    expect(toldOf({ mail: undefined, receivers: NONE, escalation })).toEqual({});
  });
});

describe("the severities", () => {
  it("are told by the seeds, and to each webhook that asks for them", () => {
    const receivers = { team: { emails: ["equipe@exemple.fr"] }, slack: true, webhooks: [sms, onCall] };

    expect(severityTold({ receivers })).toEqual({
      P1: ["sms", "team", "slack"],
      P2: ["astreinte", "team", "slack"],
      P3: ["slack"],
      info: ["slack"],
    });
  });

  it("go to the team's mail where they would go nowhere", () => {
    const receivers = { team: { emails: ["equipe@exemple.fr"] }, slack: false, webhooks: [pager] };

    expect(severityTold({ receivers })).toMatchObject({
      P1: ["pager", "team"],
      P3: ["team"],
      info: ["team"],
    });
  });
});

describe("a webhook", () => {
  const receiverOf = (webhook: Webhook) =>
    configOf({ receivers: { ...NONE, webhooks: [webhook] } }).receivers.find(
      ({ name }) => name === webhook.name,
    );

  it("gets Alertmanager's own JSON at the address in its own secret", () => {
    expect(receiverOf(sms)).toEqual({
      name: "sms",
      webhook_configs: [{ url_file: "/run/secrets/sms_url", send_resolved: true }],
    });
  });

  it.each([
    ["pagerduty", "https://events.pagerduty.com/v2/enqueue"],
    ["pagerduty-eu", "https://events.eu.pagerduty.com/v2/enqueue"],
  ] as const)(
    "of the format %s gets events of PagerDuty's API v2, with the text of our messages",
    (format, url) => {
      expect(receiverOf({ ...onCall, format })).toMatchObject({
        pagerduty_configs: [
          {
            ...{ url, routing_key_file: "/run/secrets/pager_duty_key", send_resolved: true },
            description: '{{ template "technicia.subject" . }}',
            details: { message: '{{ template "technicia.text" . }}' },
          },
        ],
      });
    },
  );
});
