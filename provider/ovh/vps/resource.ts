/**
 * `technicia:ovh:Vps`: a server that is adopted or ordered once.
 *
 * `inputs.ts` holds the schema, the outputs and what a change of an input means. A server is either adopted as it is (here, with `fitness.ts`)
 * or bought: `../order/catalog.ts` finds the plan, `../order/orders.ts` refuses a second order, `../order/purchase.ts` orders, pays and waits
 * for the delivery, and `install.ts` installs image and key. `../order/journal.ts` keeps on disk how far that came, because the engine saves
 * nothing during a creation; every step reads it first, so that an interrupted run continues instead of ordering again. `read.ts` and
 * `delete.ts` serve both kinds, and `server-api.ts` reads a server and its tasks from OVH.
 */
import { UserError } from "../../../common/user-error.ts";
import {
  type Call,
  type Existing,
  PartialFailure,
  type ResourceDefinition,
} from "../../plugin/definition.ts";
import { describeOffer, euros, findOffer } from "../order/catalog.ts";
import { type ClientOf, sharedClient } from "../clients.ts";
import { ifThere, OvhError } from "../errors.ts";
import { requireFit, requireUsable } from "./fitness.ts";
import { installOnce } from "./install.ts";
import { Journal, journalFolder, markerOf } from "../order/journal.ts";
import { isCancelled, orderStatus, refuseSecondOrder } from "../order/orders.ts";
import { awaitDelivery, findOwnOrder, payOrder, placeOrder, type Purchase } from "../order/purchase.ts";
import {
  type Facts,
  PACE,
  type Pace,
  pollFor,
  readFacts,
  serverPath,
  type VpsContext,
} from "./server-api.ts";
import { deleteVps } from "./delete.ts";
import { checkVps, diffVps, type VpsInputs, type VpsOutputs, vpsSchema, wishOf } from "./inputs.ts";
import { outputsOf, readVps, warnOfEnd } from "./read.ts";

export interface VpsOptions {
  readonly clientOf?: ClientOf;
  readonly pace?: Pace;
  readonly journalFolder?: string;
}

export function defineVps(options: VpsOptions = {}): ResourceDefinition<VpsInputs, VpsOutputs> {
  const clientOf = options.clientOf ?? sharedClient;
  const contextOf = (call: Call): VpsContext => {
    const client = clientOf(call.settings);
    const subject = `${markerOf(call.urn)} at ${client.baseUrl}`;
    return {
      client,
      call,
      pace: options.pace ?? PACE,
      journal: Journal.open(options.journalFolder ?? journalFolder(), subject),
    };
  };
  return {
    token: "technicia:ovh:Vps",
    schema: vpsSchema,
    checkTogether: checkVps,
    outputs: [
      "serviceName",
      "ipv4",
      "ipv6",
      "ipv6Gateway",
      "model",
      "vcore",
      "memoryMib",
      "diskGib",
      "zone",
      "osImage",
      "state",
      "orderId",
      "plan",
      "monthlyPriceEur",
      "serverId",
    ],
    replaceOn: [],
    diff: diffVps,
    preview: (call, inputs, existing) => previewVps(contextOf(call), inputs, existing),
    create: (call, inputs) => createVps(contextOf(call), inputs),
    read: (call, known) => readVps(contextOf(call), known),
    update: (call, existing, news) => updateVps(contextOf(call), existing, news),
    delete: (call, existing) => deleteVps(contextOf(call), existing),
  };
}

export const vps = defineVps();

async function previewVps(
  context: VpsContext,
  inputs: Partial<VpsInputs>,
  existing: Existing<VpsInputs, VpsOutputs> | undefined,
): Promise<Partial<VpsOutputs>> {
  const { client, call, journal } = context;
  if (existing) return existing.outputs;
  if (inputs.serviceName !== undefined) {
    const facts = await readFacts(context, inputs.serviceName).catch((error: unknown) =>
      refuseMissing(error, inputs.serviceName ?? ""),
    );
    requireFit(facts, { ...(inputs as VpsInputs) });
    return outputsOf(facts, {});
  }
  const wish = wishOf(inputs);
  if (!wish || !inputs.name) return {};
  const { order, checkout } = journal.entry;
  if (order && (await endOf(context, order)) === undefined) {
    call.log.info(
      `goes on with order ${order.id} (${order.plan}, ${euros(order.monthlyPriceEur)}) of an interrupted run`,
    );
    return { orderId: order.id, plan: order.plan, monthlyPriceEur: order.monthlyPriceEur };
  }
  const offer = await findOffer(client, wish, call.signal);
  if (!order && !checkout) await refuseSecondOrder(context, inputs.name, markerOf(call.urn));
  call.log.info(
    `will order ${describeOffer(offer)} at ${euros(offer.monthlyPriceEur)} without tax, in ${wish.datacentre}`,
  );
  return { plan: offer.planCode, monthlyPriceEur: offer.monthlyPriceEur };
}

async function createVps(
  context: VpsContext,
  inputs: VpsInputs,
): Promise<{ id: string; outputs: VpsOutputs }> {
  if (inputs.serviceName !== undefined) {
    const outputs = await adopt(context, inputs.serviceName, inputs);
    return { id: outputs.serviceName, outputs };
  }
  const purchase = (await ownPurchase(context)) ?? (await buy(context, inputs));
  const outputs = await keepingOrder(`order/${purchase.id}`, context, purchase, () =>
    complete(context, purchase, inputs),
  );
  return { id: outputs.serviceName, outputs };
}

/** Adopts a server as it is and changes only its name in the control panel. */
async function adopt(context: VpsContext, serviceName: string, inputs: VpsInputs): Promise<VpsOutputs> {
  const facts = await readFacts(context, serviceName).catch((error: unknown) =>
    refuseMissing(error, serviceName),
  );
  requireFit(facts, inputs);
  if (facts.image === undefined) {
    context.call.log.warning(`${serviceName}: OVH does not report its image; assuming ${inputs.image}`);
  }
  warnOfEnd(context, facts);
  await rename(context, facts, inputs.name);
  return outputsOf(facts, { osImage: facts.image ?? inputs.image });
}

/** The order of an interrupted run, unless it can no longer bring a server. */
async function ownPurchase(context: VpsContext): Promise<Purchase | undefined> {
  const purchase = await findOwnOrder(context);
  if (!purchase) return undefined;
  const end = await endOf(context, purchase);
  if (end === undefined) return purchase;
  context.call.log.warning(`order ${purchase.id}: ${end}; ordering again`);
  context.journal.clear();
  return undefined;
}

/** Why an order can no longer bring a server; undefined when it can. */
async function endOf(context: VpsContext, { id }: Purchase): Promise<string | undefined> {
  const { client, call, journal } = context;
  const status = await ifThere(orderStatus(context, id));
  if (status === undefined) {
    throw new UserError(
      `order ${id}: this OVH account does not have it, but an earlier run ordered it; set the keys of the account that ordered it, ` +
        `or remove ${journal.path} if the order is void`,
    );
  }
  if (isCancelled(status)) return "it was cancelled";
  const { serviceName, isComplete } = journal.entry;
  if (!isComplete || !serviceName) return undefined;
  const server = await ifThere(client.get(serverPath(serviceName), { signal: call.signal }));
  return server === undefined ? `its server ${serviceName} is gone` : undefined;
}

async function buy(context: VpsContext, inputs: VpsInputs): Promise<Purchase> {
  const { client, call } = context;
  const wish = wishOf(inputs);
  if (!wish)
    throw new UserError("server.order: expected the terms of an order, got none; set technicia:server.order");
  const marker = markerOf(call.urn);
  const offer = await findOffer(client, wish, call.signal);
  await refuseSecondOrder(context, inputs.name, marker);
  return placeOrder(context, { offer, wish, marker });
}

/** Turns an order into a server that runs the wanted image, and continues where an earlier run ended. */
async function complete(context: VpsContext, purchase: Purchase, inputs: VpsInputs): Promise<VpsOutputs> {
  const { journal, pace } = context;
  await payOrder(context, purchase);
  const serviceName = await awaitDelivery(context, purchase);
  journal.note({ serviceName });
  const late = (): string =>
    `${serviceName}: its order is delivered, but OVH does not list it yet; run pulumi up again later`;
  const found = await pollFor(context, { limitMs: pace.tasksMs, late }, () =>
    ifThere(readFacts(context, serviceName)),
  );
  await rename(context, found, inputs.name);
  await installOnce(context, serviceName, inputs);
  let state = "";
  const facts = await pollFor(
    context,
    {
      limitMs: pace.tasksMs,
      late: () =>
        `${serviceName}: expected it to run after its installation, got ${state}; start it in OVH's control panel and run pulumi up again`,
    },
    async () => {
      const now = await readFacts(context, serviceName);
      ({ state } = now);
      return state === "running" ? now : undefined;
    },
  );
  requireFit(facts, inputs);
  journal.note({ isComplete: true });
  return outputsOf(facts, { osImage: facts.image ?? inputs.image, ...outputsOfPurchase(purchase) });
}

/** Keeps the order in the state when `act` fails. */
async function keepingOrder<Answer>(
  id: string,
  context: VpsContext,
  purchase: Purchase,
  act: () => Promise<Answer>,
): Promise<Answer> {
  try {
    return await act();
  } catch (error) {
    if (error instanceof PartialFailure) throw error;
    const { serviceName } = context.journal.entry;
    const outputs = { ...outputsOfPurchase(purchase), ...(serviceName && { serviceName }) };
    const goes = "run pulumi up to continue";
    const message = context.call.signal.aborted
      ? `order ${purchase.id}: cancelled; ${goes}`
      : `${error instanceof Error ? error.message : String(error)} (order ${purchase.id} is kept; ${goes})`;
    throw new PartialFailure(message, { id, outputs, cause: error });
  }
}

async function updateVps(
  context: VpsContext,
  { id, inputs, outputs }: Existing<VpsInputs, VpsOutputs>,
  news: VpsInputs,
): Promise<VpsOutputs> {
  const { orderId, plan = "", monthlyPriceEur = 0 } = outputs;
  if (!outputs.serverId) {
    if (orderId === undefined) return adopt(context, news.serviceName ?? id, news);
    const purchase = { id: orderId, plan, monthlyPriceEur };
    return keepingOrder(id, context, purchase, () => complete(context, purchase, news));
  }
  const facts = await readFacts(context, outputs.serviceName);
  requireUsable(facts);
  await rename(context, facts, news.name);
  if (news.publicKey !== inputs.publicKey) {
    context.call.log.warning(
      `${facts.serviceName}: the new key is recorded, not installed; add it by ssh yourself`,
    );
  }
  return outputsOf(facts, outputs);
}

async function rename(
  { client, call }: VpsContext,
  { serviceName, displayName }: Facts,
  name: string,
): Promise<void> {
  if (displayName !== name)
    await client.put(serverPath(serviceName), { displayName: name }, { signal: call.signal });
}

function refuseMissing(error: unknown, serviceName: string): never {
  if (error instanceof OvhError && error.isGone) {
    throw new UserError(
      `server.serviceName: expected a server of this OVH account, got ${serviceName}, which it does not have; correct the name or the keys`,
    );
  }
  if (error instanceof OvhError && error.isExpired) {
    throw new UserError(
      `server.serviceName: expected a server in force, got ${serviceName}, which has expired; renew it in OVH's control panel`,
    );
  }
  throw error;
}

function outputsOfPurchase({ id, plan, monthlyPriceEur }: Purchase): Partial<VpsOutputs> {
  return { orderId: id, plan, monthlyPriceEur };
}
