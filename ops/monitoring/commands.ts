import { UserError } from "../../common/user-error.ts";
import { onlyStack, readArguments, type Command, type Commands, type Outcome } from "../command.ts";
import { showHistory } from "./alert-history.ts";
import { testAlerts } from "./alert-test.ts";
import { listAlerts } from "./alerts.ts";
import { requireRequestId } from "./log-query.ts";
import { showLogs } from "./logs.ts";
import { showMetrics } from "./metrics.ts";
import { listRules } from "./rule-list.ts";
import { acknowledge, silenceAlerts, unsilence } from "./silences.ts";
import { inWorld, type MonitoringWorld } from "./world.ts";

export const commands: Commands = {
  alerts: {
    usage:
      'npm run alerts -- <stack> [ack <id> --comment "…" [--for 4h] | silence <matcher…> --for 2h --comment "…" | unsilence <id> | history [--since 7d] | rules | test [--code <receiver>=<code>…]] [--json]',
    summary:
      "lists what is wrong now and who was told; acknowledges, silences, shows past alerts and all rules, and tests that messages arrive",
    async run(args) {
      const { values, positionals } = readArguments(this.usage, args, {
        comment: { type: "string" },
        for: { type: "string" },
        since: { type: "string" },
        code: { type: "string", multiple: true },
        json: { type: "boolean", default: false },
      });
      const stack = onlyStack(this.usage, positionals.slice(0, 1));
      const [action = "list", ...rest] = positionals.slice(1);
      const work = Object.hasOwn(ACTIONS, action) ? ACTIONS[action] : undefined;
      if (work === undefined)
        throw misused(
          this,
          `expected one of ${Object.keys(ACTIONS).join(", ")}, got ${JSON.stringify(action)}`,
        );
      refuseOthers(this, action, values);
      return await inWorld((world) => work({ command: this, stack, rest, values }, world));
    },
  },

  logs: {
    usage:
      "npm run logs -- <stack> [<service>] [--server <name>] [--since 1h] [--until <time>] [--grep <text>] [--errors] [--request <id>] [--follow] [--json]",
    summary:
      "prints what containers and server have written, in order of time and without secrets; --follow goes on",
    async run(args) {
      const { values, positionals } = readArguments(this.usage, args, {
        server: { type: "string" },
        since: { type: "string" },
        until: { type: "string" },
        grep: { type: "string" },
        errors: { type: "boolean", default: false },
        request: { type: "string" },
        follow: { type: "boolean", default: false },
        json: { type: "boolean", default: false },
      });
      const stack = onlyStack(this.usage, positionals.slice(0, 1));
      const [service, ...rest] = positionals.slice(1);
      if (rest.length > 0) throw misused(this, `expected one service, got ${rest.length + 1}`);
      const { server, until, grep, errors, request, follow, json } = values;
      if (follow && until !== undefined)
        throw misused(this, "--follow goes on without an end: leave out --until");
      requireRequestId(request);
      // Whoever follows wants to see what comes.
      const since = values.since ?? (follow ? "1m" : "1h");
      const whole = { stack, service, server, since, until, grep, errors, request, follow, json };
      return await inWorld((world) => showLogs(whole, world));
    },
  },

  metrics: {
    usage: "npm run metrics -- <stack> [--json]",
    summary:
      "prints availability, times, errors, load, backups and memory now, over 24 h and 30 d, with thresholds",
    async run(args) {
      const { values, positionals } = readArguments(this.usage, args, {
        json: { type: "boolean", default: false },
      });
      const stack = onlyStack(this.usage, positionals);
      return await inWorld((world) => showMetrics({ stack, json: values.json }, world));
    },
  },
};

interface AlertOptions {
  readonly comment?: string | undefined;
  readonly for?: string | undefined;
  readonly since?: string | undefined;
  readonly code?: readonly string[] | undefined;
  readonly json: boolean;
}

interface AlertCall {
  readonly command: Command;
  readonly stack: string;
  readonly rest: readonly string[];
  readonly values: AlertOptions;
}

const ACTIONS: Readonly<Record<string, (call: AlertCall, world: MonitoringWorld) => Promise<Outcome>>> = {
  list: (call, world) => listAlerts({ stack: withoutMore(call), json: call.values.json }, world),
  ack: (call, world) => {
    const id = only(call, "the id of an alert");
    const { comment, for: span } = call.values;
    return acknowledge({ stack: call.stack, id, comment, span }, world);
  },
  silence: ({ stack, rest: texts, values: { comment, for: span } }, world) =>
    silenceAlerts({ stack, texts, comment, span }, world),
  unsilence: (call, world) =>
    unsilence({ stack: call.stack, which: only(call, "the id of a silence") }, world),
  history: (call, world) =>
    showHistory(
      { stack: withoutMore(call), since: call.values.since ?? "7d", json: call.values.json },
      world,
    ),
  rules: (call, world) => listRules({ stack: withoutMore(call), json: call.values.json }, world),
  test: (call, world) => testAlerts({ stack: withoutMore(call), codes: call.values.code ?? [] }, world),
};

/** Option → the actions that it belongs to. */
const BELONGS: Readonly<Record<keyof AlertOptions, readonly string[]>> = {
  comment: ["ack", "silence"],
  for: ["ack", "silence"],
  since: ["history"],
  code: ["test"],
  json: ["list", "history", "rules"],
};

function refuseOthers(command: Command, action: string, values: AlertOptions): void {
  for (const [option, actions] of Object.entries(BELONGS) as [keyof AlertOptions, readonly string[]][]) {
    const isGiven = values[option] !== undefined && values[option] !== false;
    if (isGiven && !actions.includes(action))
      throw misused(command, `--${option} belongs to ${actions.join(", ")}, got ${action}`);
  }
}

function withoutMore({ command, stack, rest }: AlertCall): string {
  if (rest.length === 0) return stack;
  throw misused(command, `expected nothing more, got ${rest.join(" ")}`);
}

function only({ command, rest }: AlertCall, what: string): string {
  const [one, ...others] = rest;
  if (one !== undefined && others.length === 0) return one;
  throw misused(command, `expected ${what}, got ${rest.length === 0 ? "none" : rest.join(" ")}`);
}

function misused({ usage }: Command, problem: string): UserError {
  return new UserError(`${problem}\nusage: ${usage}`);
}
