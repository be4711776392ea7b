import { describe, expect, it } from "vitest";
import { parse } from "yaml";

import { renderAlertmanager } from "../../../components/monitoring/alertmanager.ts";
import { escalationRules } from "../../../components/monitoring/rules/own-health.ts";
import { monitoringFacts } from "./facts.ts";

interface Receiver {
  readonly name: string;
  readonly email_configs?: readonly { readonly to: string }[];
  readonly slack_configs?: readonly object[];
  readonly webhook_configs?: readonly object[];
}

const escalation = (["N1", "N2", "N3", "N4"] as const).map((level, index) => ({
  ...{ level, afterMinutes: 5 + 10 * index },
  emails: [] as string[],
}));

/** Kinds of messages of each level of the escalation. */
const levelsOf = (change: Parameters<typeof monitoringFacts>[0]) => {
  const { receivers } = parse(renderAlertmanager(monitoringFacts(change))) as { receivers: Receiver[] };
  return receivers
    .filter(({ name }) => /^N\d$/.test(name))
    .map(({ name, ...kinds }) => [name, ...Object.keys(kinds)].join(" "));
};

const NONE = { slack: false, pager: false, team: { emails: [] } };

describe("the levels of the escalation", () => {
  it("get mail where they have addresses", () => {
    expect(levelsOf({})).toEqual(["N1", "N2", "N3", "N4"].map((level) => `${level} email_configs`));
  });

  it.each([
    [{ slack: true }, "slack_configs"],
    [{ pager: true }, "webhook_configs"],
    [{ slack: true, pager: true }, "slack_configs webhook_configs"],
  ])("are told by %j where there is no mail", (receivers, kinds) => {
    expect(levelsOf({ mail: undefined, receivers: { ...NONE, ...receivers }, escalation })).toEqual(
      ["N1", "N2", "N3", "N4"].map((level) => `${level} ${kinds}`),
    );
  });

  it("are named by their messages, which all begin with the title", () => {
    const titles = escalationRules(monitoringFacts({ escalation })).map(({ title }) => title.split(" : ")[0]);

    expect(titles).toEqual(["N1", "N2", "N3", "N4"]);
  });

  it("have no receiver where nobody is told of anything", () => {
    expect(levelsOf({ mail: undefined, receivers: NONE, escalation })).toEqual([]);
  });
});
