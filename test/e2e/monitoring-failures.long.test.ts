/** Mail, Slack, routes, rules and disk fail, or somebody wants silence: what people still hear, and what is refused. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";

import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";

import { readSilences } from "../../ops/monitoring/alertmanager.ts";
import { STATE } from "../../rehearsal/addresses.ts";
import { isSlack, readCalls, readCodes, readTold, type Receiver } from "../../rehearsal/bench/told.ts";
import { breakMail, type MailFault, repairMail } from "../../rehearsal/mail.ts";
import { npm } from "./deployments.ts";
import { expectTold, type Fault } from "./faults.ts";
import { activeAlerts, ensureMonitored, stores } from "./monitored.ts";
import { management, pulumi, set, startAgain, until } from "./rehearsal.ts";

const ROW_MS = 25 * 60_000;

beforeAll(ensureMonitored);
afterAll(startAgain);

const alerts = (...words: string[]) => npm("alerts", "--", "test", ...words);

/** Sends the marked alerts of a test, of which there is one for each severity; all end after five minutes. */
async function sendTest(): Promise<number> {
  const since = Date.now();
  const { code, stdout, stderr } = await alerts("test");
  expect(code, `${stdout}\n${stderr}`).toBe(0);
  return since;
}

/** Waits until these have a message of the test. */
async function untilReceived(
  since: number,
  { by, seconds }: { readonly by: readonly Receiver[]; readonly seconds: number },
): Promise<void> {
  const mail = by.includes("team");
  await until(
    `${by.join(", ")} to have the test`,
    async () => {
      const received = (await readTold(since, { mail })).filter(({ title }) => /test/i.test(title));
      return by.every((one) => received.some(({ receiver }) => receiver === one));
    },
    seconds,
  );
}

/** Codes of the newest test at every receiver that the command has sent to, by the name of the receiver; `known` are runs of before. */
async function readArrived(
  since: number,
  { sentTo, known }: { readonly sentTo: readonly string[]; readonly known: readonly string[] },
): Promise<{ readonly run: string; readonly codes: Readonly<Record<string, string>> }> {
  let codes: Readonly<Record<string, string>> = {};
  let run = "";
  await until(
    `a code at ${sentTo.join(", ")}`,
    async () => {
      const arrived = (await readCodes(since)).filter((one) => !known.includes(one.run));
      run = arrived[0]?.run ?? "";
      codes = Object.fromEntries(arrived.map(({ receiver, code }) => [receiver, code]));
      return sentTo.every((name) => Object.hasOwn(codes, name));
    },
    180,
  );
  return { run, codes };
}

/** Sends a test, and gives the codes that arrived. */
async function sendAndRead(known: readonly string[] = []) {
  const since = Date.now();
  const { code, stdout, stderr } = await alerts("test");
  expect(code, `${stdout}\n${stderr}`).toBe(0);
  const sentTo = [...`${stdout}${stderr}`.matchAll(/^sent to (\S+):/gm)].map(([, name = ""]) => name);
  expect(sentTo).toEqual(expect.arrayContaining(["team", "slack", "pager"]));
  return await readArrived(since, { sentTo, known });
}

const confirm = (codes: Readonly<Record<string, string>>) =>
  alerts("test", ...Object.entries(codes).flatMap(([name, code]) => ["--code", `${name}=${code}`]));

const STEP = "Tests des alertes";
const ITEM = "Système de notification configuré";

/** Status word of the step in the tracking document of the environment Test. */
async function tracked(): Promise<string> {
  const { code, stderr } = await npm("report");
  expect(code, stderr).toBe(0);
  const text = await readFile(join(STATE, "docs", "deployment-tracking.md"), "utf8");
  const table = text.slice(text.indexOf("Environnement de Test"), text.indexOf("Environnement de Staging"));
  return new RegExp(`^\\| - ${STEP} +\\| ([^|]+?) +\\|`, "m").exec(table)?.[1] ?? "";
}

/** A preflight names only what is not in order. */
const preflight = () => npm("deploy", "--", "test", "--only", "preflight");

describe("a test of the alerts", () => {
  it(
    "that nobody received holds up the step and a deployment; one whose codes arrived is done",
    async () => {
      await untilCalm();
      const lost = await sendAndRead();
      const refused = await confirm({ ...lost.codes, team: "0000" });
      expect(refused.code, refused.stdout).toBe(1);
      expect(refused.stdout).toContain("team: that is not its code");
      expect(await tracked()).toBe("Bloqué");
      const stopped = await preflight();
      expect(stopped.code).not.toBe(0);
      expect(`${stopped.stdout}${stopped.stderr}`).toMatch(new RegExp(`failed +${ITEM}`));

      const { codes } = await sendAndRead([lost.run]);
      const confirmed = await confirm(codes);
      expect(confirmed.code, `${confirmed.stdout}\n${confirmed.stderr}`).toBe(0);
      expect(await tracked()).toBe("Complété");
      const passed = await preflight();
      expect(passed.code, `${passed.stdout}\n${passed.stderr}`).toBe(0);
      expect(passed.stdout).toContain("preflight");
      expect(passed.stdout).not.toContain(ITEM);
    },
    ROW_MS,
  );
});

const untilCalm = () =>
  until("nothing to be wrong", async () => (await activeAlerts()).length === 0, 15 * 60);

describe("where mail is", () => {
  afterEach(repairMail);

  it.each<MailFault>(["down", "refusing", "silent"])(
    "%s, Slack and the pager hear as quickly as before, and that mail fails; later mail is sent again",
    async (fault) => {
      await untilCalm();
      await breakMail(fault);
      const since = await sendTest();
      await untilReceived(since, { by: ["slack", "pager"], seconds: 45 });

      const ofMail = async (receiver: Receiver) =>
        (await readTold(since, { mail: false })).some(
          (one) => one.id === "NotificationsFailing-email" && one.receiver === receiver,
        );
      await until("the pager to hear that mail fails", () => ofMail("pager"), 360);
      expect(await ofMail("slack")).toBe(true);

      await repairMail();
      const repaired = await sendTest();
      await untilReceived(repaired, { by: ["team"], seconds: 90 });
      await untilCalm();
      const ends = (await readTold(since)).filter(({ status }) => status === "resolved");
      expect(ends.map(({ id }) => id)).toContain("NotificationsFailing-email");
    },
    ROW_MS,
  );
});

describe("Slack that answers 429", () => {
  afterEach(() => management("faults", "DELETE"));

  it(
    "gets the message with the next of its group, and keeps nobody else waiting",
    async () => {
      await untilCalm();
      const headers = { "retry-after": "30" };
      await management("faults", "POST", {
        ...{ api: "webhooks", path: "^/services/", status: 429, headers, times: 2 },
      });
      const since = await sendTest();
      await untilReceived(since, { by: ["team", "pager"], seconds: 45 });
      await untilReceived(since, { by: ["slack"], seconds: 240 });

      const calls = (await readCalls()).filter((call) => isSlack(call) && Date.parse(call.time) >= since);
      expect(calls.filter(({ status }) => status === 429)).toHaveLength(2);
      await untilCalm();
    },
    ROW_MS,
  );
});

const FOLDER = "/opt/technicia/monitoring";

/** A file that its program refuses when somebody has it read: it goes on with the one from before. */
function refused(alias: "alerts" | "metric-rules" | "log-rules", change: string): Fault {
  const [file, port] = {
    alerts: ["alerts/alertmanager.yml", 9093] as const,
    "metric-rules": ["metric-rules/rules.yml", 8880] as const,
    "log-rules": ["log-rules/rules.yml", 8881] as const,
  }[alias];
  const path = `${FOLDER}/${file}`;
  const kept = `/root/${alias}.kept`;
  const reload = `/opt/technicia/bin/monitoring-reload ${alias} ${port}`;
  return {
    name: `${file} is edited into one that ${alias} refuses`,
    inject: `cp --archive ${path} ${kept}; ${change} ${path}; ! ${reload}`,
    repair: `cat ${kept} > ${path}; rm ${kept}; ${reload}`,
    alerts: { [`ConfigurationRefused-${alias}`]: "P2" },
  };
}

describe("a file that is wrong", () => {
  it.each([
    refused("alerts", "sed --in-place 's/receiver: slack$/receiver: slakc/'"),
    refused("metric-rules", "sed --in-place '0,/expr: /s/expr: .*/expr: sum(/'"),
    refused("log-rules", "sed --in-place '0,/expr: /s/expr: .*/expr: \"| stats\"/'"),
  ])("is told of, and what was there before goes on: $name", (fault) => expectTold([fault]), ROW_MS);

  it("is refused among the settings before anything changes: a receiver that there is not", async () => {
    await set("technicia:monitoring.receivers.slakc", "true");
    const { code, stdout, stderr } = await pulumi("preview");
    await pulumi("config", "rm", "--path", "technicia:monitoring.receivers.slakc");

    expect(code).not.toBe(0);
    expect(`${stdout}${stderr}`).toMatch(/monitoring\.receivers\.slakc|receivers.*slakc/);
  });

  it("is refused among the settings before anything changes: a level that does not rise", async () => {
    await set("technicia:monitoring.escalation[1].afterMinutes", "1");
    const { code, stdout, stderr } = await pulumi("preview");
    await set("technicia:monitoring.escalation[1].afterMinutes", "15");

    expect(code).not.toBe(0);
    expect(`${stdout}${stderr}`).toContain("monitoring.escalation[1]");
  });
});

describe("more logs than the disk has room for", () => {
  it("are refused among the settings, with the sum", async () => {
    await set("technicia:monitoring.logsMaxGib", "100");
    const { code, stdout, stderr } = await pulumi("preview");
    await pulumi("config", "rm", "--path", "technicia:monitoring.logsMaxGib");

    expect(code).not.toBe(0);
    expect(`${stdout}${stderr}`).toMatch(
      /monitoring.*expected at most 20 GiB in all, half of the disk \(server\.diskGib 40\), got 10\d GiB .*logsMaxGib 100/,
    );
  });
});

describe("silence for everything", () => {
  it.each([
    ["alertname=~.*"],
    ["severity=~P1|P2|P3|info"],
    ["stack=test"],
    ["alertname!=nothing"],
    ["alertname=Watchdog"],
  ])("is refused, asked for as %s", async (matcher) => {
    const { code, stderr } = await alerts("silence", matcher, "--for", "1h", "--comment", "essai");

    expect(code, stderr).not.toBe(0);
    expect(stderr).toMatch(
      /expected some of the alerts, got all of them|expected alerts other than Watchdog/,
    );
    expect(await readSilences(stores)).toEqual([]);
  });

  it("is refused without an end, without a reason, and for longer than a month", async () => {
    const which = ["silence", "alertname=LogFlood"];
    const refusals = [
      await alerts(...which, "--comment", "essai"),
      await alerts(...which, "--for", "1h"),
      await alerts(...which, "--for", "31d", "--comment", "essai"),
    ];

    expect(refusals.map(({ code }) => code)).not.toContain(0);
    expect(refusals.map(({ stderr }) => /--for|--comment/.exec(stderr)?.[0])).toEqual([
      "--for",
      "--comment",
      "--for",
    ]);
    expect(await readSilences(stores)).toEqual([]);
  });
});
