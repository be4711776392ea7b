import { z } from "zod";

import { until } from "../../common/until.ts";
import type { Call, Existing, Found, ResourceDefinition } from "../plugin/definition.ts";
import { type ClientOf, type OvhClient, sharedClient } from "./client.ts";
import { ifThere, messageOf, OvhError } from "./errors.ts";

const schema = z.strictObject({
  ip: z.ipv4("an IPv4 address of this account"),
  name: z.string().regex(/^([a-z0-9-]+\.)+$/i, "a host name with a dot at its end; write it as OVH does"),
});

type ReverseInputs = z.infer<typeof schema>;

export interface ReverseOutputs {
  /** The name that OVH has for the address: the wanted one, or the one from before while OVH refuses that. */
  readonly accepted: string;
}

interface ReverseContext {
  readonly client: OvhClient;
  readonly call: Call;
  /** How long OVH may refuse the name, and the pause between two requests. */
  readonly pace: { readonly waitMs: number; readonly everyMs: number };
}

/**
 * `technicia:ovh:ReverseName`.
 *
 * OVH accepts a reverse name once its own resolvers see the name point to the address, which may take as long as they keep its absence. The
 * official `Reverse` fails the whole update until then, although nothing else needs the name. So this resource asks first: while OVH refuses
 * the name, it warns, gives `Reverse` the name that the address has already, and asks again in each later update. A refresh shows the
 * difference until then. Deleting it changes nothing. It cannot be imported, because creating it does no harm.
 */
export function defineReverseName({
  clientOf = sharedClient,
  pace = { waitMs: 120_000, everyMs: 5_000 },
}: { clientOf?: ClientOf; pace?: ReverseContext["pace"] } = {}): ResourceDefinition<
  ReverseInputs,
  ReverseOutputs
> {
  const contextOf = (call: Call): ReverseContext => ({
    client: clientOf(call.settings).withSignal(call.signal),
    call,
    pace,
  });
  return {
    token: "technicia:ovh:ReverseName",
    schema,
    outputs: ["accepted"],
    replaceOn: ["ip"],
    diff: ({ outputs }, { name }) =>
      name !== undefined && outputs.accepted !== name ? [{ path: "name" }] : [],
    preview: (call, inputs, existing) => preview(contextOf(call), inputs, existing),
    create: async (call, inputs) => ({ id: inputs.ip, outputs: await settle(contextOf(call), inputs) }),
    read: (call, known) => read(contextOf(call), known),
    update: (call, _existing, news) => settle(contextOf(call), news),
    delete: () => Promise.resolve(),
  };
}

export const reverseName = defineReverseName();

async function preview(
  { client }: ReverseContext,
  { ip, name }: Partial<ReverseInputs>,
  existing: Existing<ReverseInputs, ReverseOutputs> | undefined,
): Promise<Partial<ReverseOutputs>> {
  if (name === undefined || ip === undefined) return {};
  if (existing?.outputs.accepted === name) return { accepted: name };
  return (await readReverse(client, ip)) === name ? { accepted: name } : {};
}

/** Only a name that OVH refused is looked at again. Whatever else happens to the name shows at `Reverse`. */
async function read(
  { client }: ReverseContext,
  { id, inputs, outputs }: Existing<Partial<ReverseInputs>, Partial<ReverseOutputs>>,
): Promise<Found<ReverseInputs, ReverseOutputs>> {
  const { name, accepted } = { name: inputs.name ?? "", accepted: outputs.accepted ?? inputs.name ?? "" };
  if (accepted === name) return { id, inputs: { ip: id, name }, outputs: { accepted } };
  if ((await readReverse(client, id)) === name)
    return { id, inputs: { ip: id, name }, outputs: { accepted: name } };
  return { id, inputs: { ip: id, name: accepted }, outputs: { accepted } };
}

async function settle(
  { client, call, pace }: ReverseContext,
  { ip, name }: ReverseInputs,
): Promise<ReverseOutputs> {
  const before = await readReverse(client, ip);
  if (before === name) return { accepted: name };
  let refusal: unknown;
  const ask = async (): Promise<boolean> => {
    try {
      await client.post(`${blockPath(ip)}/reverse`, { ipReverse: ip, reverse: name });
      return true;
    } catch (error) {
      // OVH answers 400 as long as the name does not point to the address.
      if (!(error instanceof OvhError) || error.status !== 400) throw error;
      refusal = error;
      call.log.status(`reverse name of ${ip}: waiting until OVH sees ${name}`);
      return false;
    }
  };
  const refused = new Error("refused");
  try {
    await until(ask, { every: pace.everyMs, limit: pace.waitMs, late: () => refused, signal: call.signal });
    return { accepted: name };
  } catch (error) {
    if (error !== refused) throw error;
  }
  const accepted = before ?? (await nameOfServer(client, ip));
  call.log.warning(
    `reverse name of ${ip}: it stays ${accepted}, because OVH does not see ${name} yet (${messageOf(refusal)}); ` +
      "nothing else depends on it: run pulumi up again in some hours, which asks again",
  );
  return { accepted };
}

/** The name that somebody set; undefined for an address that has only the name of its server. */
async function readReverse(client: OvhClient, ip: string): Promise<string | undefined> {
  const found = await ifThere(client.get<{ reverse: string }>(`${blockPath(ip)}/reverse/${ip}`));
  return found?.reverse;
}

/** OVH's own name for the address of a server. */
async function nameOfServer(client: OvhClient, ip: string): Promise<string> {
  const { routedTo } = await client.get<{ routedTo: { serviceName: string | null } | null }>(blockPath(ip));
  return `${routedTo?.serviceName ?? ip}.`;
}

function blockPath(ip: string): string {
  return `/ip/${ip}%2F32`;
}
