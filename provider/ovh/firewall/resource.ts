import { z } from "zod";

import { UserError } from "../../../common/user-error.ts";
import {
  type Call,
  type Existing,
  type Found,
  PartialFailure,
  type ResourceDefinition,
} from "../../plugin/definition.ts";
import type { OvhClient } from "../client.ts";
import { type ClientOf, sharedClient } from "../clients.ts";
import { OvhError } from "../errors.ts";
import { poll } from "../poll.ts";
import { type EdgeRule, isSameRule, MOST_RULES, parseCidr, planChanges, type Step } from "./rules.ts";

export interface EdgeFirewallOptions {
  readonly clientOf?: ClientOf;
  readonly pace?: EdgePace;
}

interface EdgePace {
  readonly pollMs: number;
  /** Longest wait for one change to take effect. */
  readonly stepMs: number;
}

interface Work {
  readonly client: OvhClient;
  readonly call: Call;
  readonly pace: EdgePace;
  readonly ip: string;
}

/** The firewall of an address as OVH has it, nothing being under way. */
interface Firewall {
  readonly enabled: boolean;
  readonly state: string;
  readonly rules: readonly EdgeRule[];
}

interface ApiRule {
  readonly sequence: number;
  readonly action: "permit" | "deny";
  readonly protocol: string;
  readonly source: string | null;
  readonly destinationPort: string | number | null;
  readonly sourcePort: string | number | null;
  readonly tcpOption: string | null;
  readonly fragments: boolean | null;
  readonly state: string;
}

const LAST_SEQUENCE = MOST_RULES - 1;
const PLACE = `a whole number from 0 to ${LAST_SEQUENCE}; renumber the rules`;
const PORTS = "a port from 1 to 65535, of TCP or UDP only; correct it";

const ruleSchema = z.strictObject({
  sequence: z.number(PLACE).int(PLACE).min(0, PLACE).max(LAST_SEQUENCE, PLACE),
  action: z.enum(["permit", "deny"], "permit or deny; write one of them"),
  protocol: z.enum(
    ["ah", "esp", "gre", "icmp", "ipv4", "tcp", "udp"],
    "one of ah, esp, gre, icmp, ipv4, tcp, udp; write one of them",
  ),
  port: z.number(PORTS).int(PORTS).min(1, PORTS).max(65535, PORTS).optional(),
  sourcePort: z.number(PORTS).int(PORTS).min(1, PORTS).max(65535, PORTS).optional(),
  source: z
    .string()
    .refine(isNetwork, "an IPv4 network such as 198.51.100.0/24, without bits beyond its length; correct it")
    .transform((source) => (source.includes("/") ? source : `${source}/32`))
    .optional(),
  tcpOption: z.literal("established", "established or nothing; leave it out").optional(),
});

const schema = z.strictObject({
  ip: z.ipv4("an IPv4 address; OVH's edge firewall has no IPv6"),
  rules: z
    .array(ruleSchema)
    .max(MOST_RULES, `at most ${MOST_RULES} rules; OVH takes no more`)
    .transform((rules) => [...rules].sort((a, b) => a.sequence - b.sequence)),
  // Not for the program to say: here so that one switched off outside shows as a difference.
  enabled: z.literal(true, "true; remove the firewall to switch it off").default(true),
});

export type EdgeInputs = z.infer<typeof schema>;

export interface EdgeOutputs {
  readonly state: string;
}

const PACE: EdgePace = { pollMs: 100, stepMs: 600_000 };

/** `technicia:ovh:EdgeFirewall`. */
export function defineEdgeFirewall(
  options: EdgeFirewallOptions = {},
): ResourceDefinition<EdgeInputs, EdgeOutputs> {
  const clientOf = options.clientOf ?? sharedClient;
  const workOf = (call: Call, ip: string): Work => ({
    client: clientOf(call.settings),
    call,
    pace: options.pace ?? PACE,
    ip,
  });
  return {
    token: "technicia:ovh:EdgeFirewall",
    schema,
    checkTogether: ({ rules }) => checkRules(rules),
    outputs: ["state"],
    replaceOn: ["ip"],
    create: async (call, { ip, rules }) => ({ id: ip, outputs: await converge(workOf(call, ip), rules) }),
    read: (call, known) => read(workOf(call, known.inputs.ip ?? known.id), known),
    update: (call, { id }, { rules }) => converge(workOf(call, id), rules),
    delete: (call, { id }) => remove(workOf(call, id)),
  };
}

export const edgeFirewall = defineEdgeFirewall();

/** What is wrong with the rules taken together. */
export function checkRules(rules: readonly EdgeRule[]): readonly string[] {
  const problems = rules.flatMap((rule, index) => checkRule(rule, `rules[${index}]`));
  const taken = rules.filter(
    ({ sequence }, index) => rules.findIndex((rule) => rule.sequence === sequence) !== index,
  );
  for (const { sequence } of taken) {
    problems.push(`rules: expected each sequence once, got ${sequence} again; renumber the rules`);
  }
  const last = rules.reduce<EdgeRule | undefined>(
    (a, b) => (a && a.sequence > b.sequence ? a : b),
    undefined,
  );
  if (!last || last.action !== "deny" || last.protocol !== "ipv4" || last.source !== undefined) {
    problems.push(
      "rules: expected a last rule that denies ipv4 from anywhere, got " +
        `${last ? describe(last) : "no rule"}; without it OVH lets everything through`,
    );
  }
  const isAnswer = (rule: EdgeRule): boolean =>
    rule.action === "permit" &&
    rule.protocol === "tcp" &&
    rule.tcpOption === "established" &&
    [rule.port, rule.sourcePort, rule.source].every((part) => part === undefined);
  if (!rules.some(isAnswer)) {
    problems.push(
      "rules: expected a rule that permits tcp established from anywhere, got none; the firewall keeps no state, " +
        "so the server would get no answer to what it asks",
    );
  }
  return problems;
}

function checkRule(rule: EdgeRule, path: string): string[] {
  const { protocol, port, sourcePort, tcpOption } = rule;
  const problems: string[] = [];
  if ((port !== undefined || sourcePort !== undefined) && protocol !== "tcp" && protocol !== "udp") {
    problems.push(
      `${path}: expected tcp or udp with a port, got ${protocol}; remove the port or change the protocol`,
    );
  }
  if (tcpOption !== undefined && protocol !== "tcp") {
    problems.push(`${path}.tcpOption: expected it with tcp only, got ${protocol}; remove it`);
  }
  return problems;
}

function describe(rule: EdgeRule): string {
  const { sequence, action, protocol, port, sourcePort, source, tcpOption, foreign } = rule;
  const parts = [
    port && `port ${port}`,
    sourcePort && `source port ${sourcePort}`,
    source && `from ${source}`,
    tcpOption,
    foreign,
  ];
  return [`${sequence}: ${action} ${protocol}`, ...parts.filter(Boolean)].join(" ");
}

/** Brings the firewall to exactly these rules and switches it on. Whatever fails on the way, the next update finds out and goes on. */
async function converge(work: Work, wanted: readonly EdgeRule[]): Promise<EdgeOutputs> {
  try {
    const current = (await settle(work)) ?? (await createFirewall(work));
    for (const step of planChanges(current.rules, wanted)) await perform(work, step);
    return { state: await enable(work) };
  } catch (error) {
    const reason = work.call.signal.aborted
      ? `firewall of ${work.ip}: expected to finish, got cancelled`
      : messageOf(error);
    throw new PartialFailure(`${reason} (the firewall may be half changed: pulumi up goes on from here)`, {
      id: work.ip,
      outputs: { state: "changing" },
      cause: error,
    });
  }
}

async function read(
  work: Work,
  { id }: Existing<Partial<EdgeInputs>, Partial<EdgeOutputs>>,
): Promise<Found<EdgeInputs, EdgeOutputs> | null> {
  const firewall = await settle(work);
  if (!firewall) return null;
  const { rules, enabled, state } = firewall;
  // Rules and a switch that no program could ask for are told all the same: they are what is there.
  return { id, inputs: { ip: work.ip, rules, enabled } as unknown as EdgeInputs, outputs: { state } };
}

/** Opens before it takes away: whoever is connected stays so. */
async function remove(work: Work): Promise<void> {
  const firewall = await settle(work);
  if (!firewall) return;
  const denies = firewall.rules.filter(({ action }) => action === "deny");
  for (const { sequence } of denies) await perform(work, { kind: "remove", sequence });
  if (firewall.enabled) await switchTo(work, false);
  for (const { sequence, action } of firewall.rules) {
    if (action === "permit") await perform(work, { kind: "remove", sequence });
  }
  await ignoring("isGone", work.client.delete(pathOf(work), { signal: work.call.signal }));
}

/** Reads the firewall once nothing is under way; undefined when there is none. */
async function settle(work: Work): Promise<Firewall | undefined> {
  const found = await ignoring("isGone", readSwitch(work));
  if (!found) return undefined;
  const { enabled, state } = await awaitSwitch(work);
  const rules = await until(work, "its rules to be created and removed", async () => {
    const list = await readRules(work);
    return list.every((rule) => rule.state === "ok") ? list : undefined;
  });
  return { enabled, state, rules: rules.map(fromApi).sort((a, b) => a.sequence - b.sequence) };
}

async function createFirewall(work: Work): Promise<Firewall> {
  const { client, call, ip } = work;
  const path = `/ip/${encodeURIComponent(`${ip}/32`)}/firewall`;
  // Somebody else may have made it since we looked; it is then taken over.
  await ignoring("isConflict", client.post(path, { ipOnFirewall: ip }, { signal: call.signal }));
  const made = await settle(work);
  if (!made)
    throw new OvhError({
      method: "GET",
      path: pathOf(work),
      status: 404,
      detail: "the firewall just made is not there",
    });
  return made;
}

async function perform(work: Work, step: Step): Promise<void> {
  const { client, call } = work;
  const { signal } = call;
  const path = `${pathOf(work)}/rule`;
  if (step.kind === "remove") {
    call.log.status(`firewall of ${work.ip}: removing rule ${step.sequence}`);
    await ignoring("isGone", client.delete(`${path}/${step.sequence}`, { signal }));
    await until(work, `rule ${step.sequence} to be removed`, async () =>
      (await ignoring("isGone", client.get(`${path}/${step.sequence}`, { signal }))) ? undefined : true,
    );
    return;
  }
  const { rule } = step;
  call.log.status(`firewall of ${work.ip}: adding rule ${describe(rule)}`);
  await ignoring("isConflict", client.post(path, toApi(rule), { signal }));
  const made = await until(work, `rule ${rule.sequence} to be created`, async () => {
    const now = await client.get<ApiRule>(`${path}/${rule.sequence}`, { signal });
    return now.state === "ok" ? now : undefined;
  });
  if (isSameRule(fromApi(made), rule)) return;
  throw new UserError(
    `firewall of ${work.ip}: expected place ${rule.sequence} to be free for ${describe(rule)}, got ${describe(fromApi(made))}; ` +
      "somebody else is changing this firewall: let that end and run pulumi up --refresh",
  );
}

async function enable(work: Work): Promise<string> {
  const { enabled, state } = await awaitSwitch(work);
  return enabled ? state : switchTo(work, true);
}

async function switchTo(work: Work, enabled: boolean): Promise<string> {
  await work.client.put(pathOf(work), { enabled }, { signal: work.call.signal });
  return (await awaitSwitch(work)).state;
}

function awaitSwitch(work: Work): Promise<{ enabled: boolean; state: string }> {
  return until(work, "it to be switched", async () => {
    const now = await readSwitch(work);
    return now.state === "ok" ? now : undefined;
  });
}

function readSwitch(work: Work): Promise<{ enabled: boolean; state: string }> {
  return work.client.get(pathOf(work), { signal: work.call.signal });
}

async function readRules(work: Work): Promise<readonly ApiRule[]> {
  const { client, call } = work;
  const path = `${pathOf(work)}/rule`;
  const sequences = await client.get<readonly number[]>(path, { signal: call.signal });
  const rules = await Promise.all(
    sequences.map((sequence) =>
      ignoring("isGone", client.get<ApiRule>(`${path}/${sequence}`, { signal: call.signal })),
    ),
  );
  return rules.filter((rule) => rule !== undefined);
}

function until<Answer>(work: Work, what: string, look: () => Promise<Answer | undefined>): Promise<Answer> {
  const { call, pace, ip } = work;
  const late = (): string =>
    `firewall of ${ip}: expected ${what}, got no end of it; run pulumi up again later`;
  return poll({ call, pollMs: pace.pollMs, limitMs: pace.stepMs, late }, look);
}

async function ignoring<Answer>(
  kind: "isGone" | "isConflict",
  answer: Promise<Answer>,
): Promise<Answer | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof OvhError && error[kind]) return undefined;
    throw error;
  }
}

function pathOf({ ip }: Work): string {
  return `/ip/${encodeURIComponent(`${ip}/32`)}/firewall/${ip}`;
}

function toApi({ sequence, action, protocol, port, sourcePort, source, tcpOption }: EdgeRule): object {
  return {
    sequence,
    action,
    protocol,
    ...(port !== undefined && { destinationPort: port }),
    ...(sourcePort !== undefined && { sourcePort }),
    ...(source !== undefined && { source }),
    ...(tcpOption !== undefined && { tcpOption: { option: tcpOption } }),
  };
}

function fromApi(rule: ApiRule): EdgeRule {
  const { sequence, action, protocol, source, tcpOption, fragments } = rule;
  const port = readPort(rule.destinationPort);
  const sourcePort = readPort(rule.sourcePort);
  const foreign = [
    typeof port === "string" && `ports ${port}`,
    typeof sourcePort === "string" && `source ports ${sourcePort}`,
    tcpOption !== null && tcpOption !== "established" && `tcp ${tcpOption}`,
    fragments && "fragments",
  ].filter(Boolean);
  return {
    sequence,
    action,
    protocol,
    ...(typeof port === "number" && { port }),
    ...(typeof sourcePort === "number" && { sourcePort }),
    ...(source !== null &&
      source !== "any" &&
      source !== "0.0.0.0/0" && { source: source.includes("/") ? source : `${source}/32` }),
    ...(tcpOption === "established" && { tcpOption }),
    ...(foreign.length > 0 && { foreign: foreign.join(", ") }),
  };
}

// OVH writes "eq 443" where it was given 443; ranges, which we never write, are kept as they are.
function readPort(port: string | number | null): number | string | undefined {
  if (port === null) return undefined;
  const only = /^(?:eq )?(\d+)$/.exec(String(port))?.[1];
  return only === undefined ? String(port) : Number(only);
}

function isNetwork(source: string): boolean {
  const [address = "", bits, ...more] = source.split("/");
  if (!z.ipv4().safeParse(address).success || more.length > 0) return false;
  if (bits === undefined) return true;
  if (!/^\d{1,2}$/.test(bits) || Number(bits) < 1 || Number(bits) > 32) return false;
  return parseCidr(source).network % 2 ** (32 - Number(bits)) === 0;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
