import { z } from "zod";

import { UserError } from "../../../common/user-error.ts";
import {
  type Call,
  type Existing,
  type Found,
  PartialFailure,
  type ResourceDefinition,
} from "../../plugin/definition.ts";
import { type ClientOf, type OvhClient, sharedClient } from "../client.ts";
import { messageOf, OvhError } from "../errors.ts";
import { poll } from "../poll.ts";
import {
  type AnswerTest,
  edgeGuard,
  keepingLogin,
  NotPutBack,
  PutBack,
  refuseForeignOperator,
  sshdAnswers,
} from "./guard.ts";
import { type EdgeRule, isSameRule, MOST_RULES, parseCidr, planChanges, type Step } from "./rules.ts";

interface FirewallContext {
  readonly client: OvhClient;
  /** The same whatever becomes of the call, which is how a cancelled change is taken back. */
  readonly lasting: () => FirewallContext;
  readonly answers: AnswerTest;
  readonly call: Call;
  /** `stepMs` is the longest wait for one change to take effect. */
  readonly pace: { readonly pollMs: number; readonly stepMs: number };
  readonly ip: string;
}

/** The firewall of an address at OVH while no change is pending. */
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

/** Longest time to put back the earlier rules. */
const RESTORE_MILLISECONDS = 120_000;

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
  // The program does not set this. It is an input so that a firewall that somebody switched off shows as a difference.
  enabled: z.literal(true, "true; remove the firewall to switch it off").default(true),
  guard: edgeGuard.optional(),
});

export type EdgeInputs = z.infer<typeof schema>;

export interface EdgeOutputs {
  readonly state: string;
}

/** `technicia:ovh:EdgeFirewall`. */
export function defineEdgeFirewall({
  clientOf = sharedClient,
  pace = { pollMs: 100, stepMs: 600_000 },
  answers = sshdAnswers,
}: { clientOf?: ClientOf; pace?: FirewallContext["pace"]; answers?: AnswerTest } = {}): ResourceDefinition<
  EdgeInputs,
  EdgeOutputs
> {
  const contextOf = (call: Call, ip: string): FirewallContext => {
    const client = clientOf(call.settings).withSignal(call.signal);
    const lasting = (): FirewallContext => {
      const signal = { value: AbortSignal.timeout(RESTORE_MILLISECONDS) };
      return contextOf(Object.create(call, { signal }) as Call, ip);
    };
    return { client, call, pace, ip, answers, lasting };
  };
  return {
    token: "technicia:ovh:EdgeFirewall",
    schema,
    checkTogether: ({ rules }) => checkRules(rules),
    outputs: ["state"],
    replaceOn: ["ip"],
    preview: async (call, { rules, guard }, existing) => {
      if (existing === undefined && rules && guard)
        await refuseForeignOperator(call, { rules, guard, isPreview: true });
      return existing?.outputs ?? {};
    },
    create: async (call, inputs) => {
      const { ip, rules, guard } = inputs;
      if (guard) await refuseForeignOperator(call, { rules, guard, isPreview: false });
      return { id: ip, outputs: await converge(contextOf(call, ip), inputs) };
    },
    read: (call, known) => read(contextOf(call, known.inputs.ip ?? known.id), known),
    update: (call, { id }, news) => converge(contextOf(call, id), news),
    delete: (call, { id }) => remove(contextOf(call, id)),
  };
}

export const edgeFirewall = defineEdgeFirewall();

/** Problems of the rules as a whole. */
export function checkRules(rules: readonly EdgeRule[]): readonly string[] {
  const problems = rules.flatMap((rule, index) => checkRule(rule, `rules[${index}]`));
  rules.forEach(({ sequence }, index) => {
    if (rules.findIndex((rule) => rule.sequence === sequence) === index) return;
    problems.push(`rules: expected each sequence once, got ${sequence} again; renumber the rules`);
  });
  const last = [...rules].sort((a, b) => a.sequence - b.sequence).at(-1);
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
        "so the server would not receive the answers to its own requests",
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

/** Brings the firewall to exactly these rules and switches it on. After a failure, the next update reads it again and continues. */
async function converge(
  context: FirewallContext,
  { rules: wanted, guard }: Pick<EdgeInputs, "rules" | "guard">,
): Promise<EdgeOutputs> {
  const { call, ip, answers } = context;
  try {
    const before = (await readAtRest(context)) ?? (await createFirewall(context));
    return await keepingLogin(call, {
      ip,
      guard,
      answers,
      change: async () => {
        for (const step of planChanges(before.rules, wanted)) await perform(context, step);
        return { state: await enable(context) };
      },
      restore: () => putBack(context.lasting(), before),
    });
  } catch (error) {
    if (error instanceof PutBack) throw error;
    const reason =
      call.signal.aborted && !(error instanceof NotPutBack)
        ? `firewall of ${ip}: cancelled`
        : messageOf(error);
    throw new PartialFailure(`${reason} (the firewall may be half changed; run pulumi up to continue)`, {
      id: context.ip,
      outputs: { state: "changing" },
      cause: error,
    });
  }
}

async function read(
  context: FirewallContext,
  { id, inputs }: Existing<Partial<EdgeInputs>, Partial<EdgeOutputs>>,
): Promise<Found<EdgeInputs, EdgeOutputs> | null> {
  const firewall = await readAtRest(context);
  if (!firewall) return null;
  const { rules, enabled, state } = firewall;
  // The actual rules and switch are reported even where the schema would refuse them.
  const found = { ip: context.ip, rules, enabled, ...(inputs.guard && { guard: inputs.guard }) };
  return { id, inputs: found as unknown as EdgeInputs, outputs: { state } };
}

/** Brings back the rules and the switch of before, except rules that somebody else wrote in a form that cannot be written here. */
async function putBack(context: FirewallContext, before: Firewall): Promise<void> {
  const current = await readAtRest(context);
  if (!current) return;
  const rules = before.rules.filter(({ foreign }) => foreign === undefined);
  if (!before.enabled && current.enabled) await switchTo(context, false);
  for (const step of planChanges(current.rules, rules)) await perform(context, step);
}

/** Removes the denies first, so that no connection breaks. */
async function remove(context: FirewallContext): Promise<void> {
  const firewall = await readAtRest(context);
  if (!firewall) return;
  const denies = firewall.rules.filter(({ action }) => action === "deny");
  for (const { sequence } of denies) await perform(context, { kind: "remove", sequence });
  if (firewall.enabled) await switchTo(context, false);
  for (const { sequence, action } of firewall.rules) {
    if (action === "permit") await perform(context, { kind: "remove", sequence });
  }
  await ignoring("isGone", context.client.delete(pathOf(context)));
}

/** Reads the firewall once OVH has finished all changes; undefined when there is none. */
async function readAtRest(context: FirewallContext): Promise<Firewall | undefined> {
  const found = await ignoring("isGone", readSwitch(context));
  if (!found) return undefined;
  const { enabled, state } = await awaitSwitch(context);
  const rules = await waitWhile("changing its rules", context, async () => {
    const list = await readRules(context);
    return list.every((rule) => rule.state === "ok") ? list : undefined;
  });
  return { enabled, state, rules: rules.map(fromApi).sort((a, b) => a.sequence - b.sequence) };
}

async function createFirewall(context: FirewallContext): Promise<Firewall> {
  const { client, ip } = context;
  const path = `/ip/${encodeURIComponent(`${ip}/32`)}/firewall`;
  // If somebody else has created it meanwhile, it is adopted.
  await ignoring("isConflict", client.post(path, { ipOnFirewall: ip }));
  const made = await readAtRest(context);
  if (made) return made;
  const detail = "the new firewall does not exist";
  throw new OvhError({ method: "GET", path: pathOf(context), status: 404, detail });
}

async function perform(context: FirewallContext, step: Step): Promise<void> {
  const { client, call } = context;
  const path = `${pathOf(context)}/rule`;
  if (step.kind === "remove") {
    call.log.status(`firewall of ${context.ip}: removing rule ${step.sequence}`);
    await ignoring("isGone", client.delete(`${path}/${step.sequence}`));
    await waitWhile(
      `removing rule ${step.sequence}`,
      context,
      async () => !(await ignoring("isGone", client.get(`${path}/${step.sequence}`))),
    );
    return;
  }
  const { rule } = step;
  call.log.status(`firewall of ${context.ip}: adding rule ${describe(rule)}`);
  await ignoring("isConflict", client.post(path, toApi(rule)));
  const made = await waitWhile(`creating rule ${rule.sequence}`, context, async () => {
    const now = await client.get<ApiRule>(`${path}/${rule.sequence}`);
    return now.state === "ok" ? now : undefined;
  });
  if (isSameRule(fromApi(made), rule)) return;
  throw new UserError(
    `firewall of ${context.ip}: expected place ${rule.sequence} to be free for ${describe(rule)}, got ${describe(fromApi(made))}; ` +
      "somebody else is changing this firewall; wait until they have finished and run pulumi up --refresh",
  );
}

async function enable(context: FirewallContext): Promise<string> {
  const { enabled, state } = await awaitSwitch(context);
  return enabled ? state : switchTo(context, true);
}

async function switchTo(context: FirewallContext, enabled: boolean): Promise<string> {
  await context.client.put(pathOf(context), { enabled });
  return (await awaitSwitch(context)).state;
}

function awaitSwitch(context: FirewallContext): Promise<{ enabled: boolean; state: string }> {
  return waitWhile("switching it", context, async () => {
    const now = await readSwitch(context);
    return now.state === "ok" ? now : undefined;
  });
}

function readSwitch(context: FirewallContext): Promise<{ enabled: boolean; state: string }> {
  return context.client.get(pathOf(context));
}

async function readRules(context: FirewallContext): Promise<readonly ApiRule[]> {
  const { client } = context;
  const path = `${pathOf(context)}/rule`;
  const sequences = await client.get<readonly number[]>(path);
  const rules = await Promise.all(
    sequences.map((sequence) => ignoring("isGone", client.get<ApiRule>(`${path}/${sequence}`))),
  );
  return rules.filter((rule) => rule !== undefined);
}

function waitWhile<Answer>(activity: string, context: FirewallContext, look: () => Promise<Answer>) {
  const late = (): string => `firewall of ${context.ip}: OVH is still ${activity}; run pulumi up again later`;
  return poll(context, { limitMs: context.pace.stepMs, late, look });
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

function pathOf({ ip }: FirewallContext): string {
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

// OVH writes "eq 443" for 443. Ranges, which the program never writes, stay as they are.
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
