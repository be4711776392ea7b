/**
 * `technicia:ovh:Vps`: a server that is adopted or ordered once.
 *
 * `inputs.ts` holds the schema, the outputs and what a change of an input means. A server is either adopted as it is (here, with `fitness.ts`)
 * or bought: `../order/catalog.ts` finds the plan, `../order/orders.ts` refuses a second order, `../order/purchase.ts` orders, pays and waits
 * for the delivery, and `install.ts` installs image and key. `../order/journal.ts` keeps on disk how far that came, because the engine saves
 * nothing during a creation; every step reads it first, so that an interrupted run continues instead of ordering again. `read.ts`
 * serves both kinds, and `server-api.ts` reads a server and its tasks from OVH.
 */
import { UserError } from "../../../common/user-error.ts";
import {
  type Call,
  type Existing,
  PartialFailure,
  type ResourceDefinition,
} from "../../plugin/definition.ts";
import { describeOffer, euros, findOffer } from "../order/catalog.ts";
import { type ClientOf, sharedClient } from "../client.ts";
import { ifThere, messageOf, OvhError } from "../errors.ts";
import { type Pace, serverPath, type VpsContext } from "../order/context.ts";
import { poll } from "../poll.ts";
import { isIn, requireFit, requireUsable } from "./fitness.ts";
import { installOnce } from "./install.ts";
import { Journal, journalFolder, markerOf } from "../order/journal.ts";
import { isCancelled, orderStatus, refuseOrderAgain, refuseSecondOrder } from "../order/orders.ts";
import { awaitDelivery, findOwnOrder, payOrder, placeOrder, type Purchase } from "../order/purchase.ts";
import { type Contract, type Facts, readFacts } from "./server-api.ts";
import { checkVps, diffVps, GONE, type VpsInputs, type VpsOutputs, vpsSchema, wishOf } from "./inputs.ts";
import { outputsOf, readVps, warnOfContract } from "./read.ts";

const PACE: Pace = { pollMs: 500, deliveryMs: 3_600_000, tasksMs: 1_800_000, paymentMs: 120_000 };

export function defineVps({
  clientOf = sharedClient,
  pace = PACE,
  journalFolder: folder = journalFolder(),
}: { clientOf?: ClientOf; pace?: Pace; journalFolder?: string } = {}): ResourceDefinition<
  VpsInputs,
  VpsOutputs
> {
  const contextOf = (call: Call): VpsContext => {
    const client = clientOf(call.settings).withSignal(call.signal);
    const journal = Journal.open(folder, `${markerOf(call.urn)} at ${client.baseUrl}`);
    return { client, call, pace, journal };
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
      "installedAt",
    ],
    replaceOn: [],
    diff: diffVps,
    preview: (call, inputs, existing) => existing?.outputs ?? previewCreation(contextOf(call), inputs),
    create: (call, inputs) => createVps(contextOf(call), inputs),
    read: (call, known) => readVps(contextOf(call), known),
    update: (call, existing, news) => updateVps(contextOf(call), existing, news),
    delete: (call, existing) => deleteVps(contextOf(call), existing),
  };
}

export const vps = defineVps();

async function previewCreation(
  context: VpsContext,
  inputs: Partial<VpsInputs>,
): Promise<Partial<VpsOutputs>> {
  const { client, call, journal } = context;
  if (inputs.serviceName !== undefined) {
    const facts = await readNamed(context, inputs.serviceName);
    requireFit(facts, inputs as VpsInputs);
    return outputsOf(facts, {});
  }
  const wish = wishOf(inputs);
  if (!wish || !inputs.name) return {};
  const { order, checkout } = journal.entry;
  const end = order && (await endOf(context, order));
  if (order && end === undefined) {
    call.log.info(
      `goes on with order ${order.id} (${order.plan}, ${euros(order.monthlyPriceEur)}) of an interrupted run`,
    );
    return outputsOfPurchase(order);
  }
  if (end?.lost) refuseOrderAgain(end.lost, inputs.order?.again);
  const offer = await findOffer(client, wish);
  if (!order && !checkout)
    await refuseSecondOrder(context, { name: inputs.name, again: inputs.order?.again });
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
    const outputs = await adopt(context, { ...inputs, serviceName: inputs.serviceName });
    return { id: outputs.serviceName, outputs };
  }
  const purchase = (await ownPurchase(context, inputs)) ?? (await buy(context, inputs));
  const outputs = await completeOrKeep(context, { id: `order/${purchase.id}`, purchase, inputs });
  return { id: outputs.serviceName, outputs };
}

/** Adopts a server as it is and changes only its name in the control panel. */
async function adopt(
  context: VpsContext,
  inputs: VpsInputs & { readonly serviceName: string },
): Promise<VpsOutputs> {
  const { serviceName } = inputs;
  const facts = await readNamed(context, serviceName);
  requireFit(facts, inputs);
  if (facts.image === undefined) {
    context.call.log.warning(`${serviceName}: OVH does not report its image; assuming ${inputs.image}`);
  }
  warnOfContract(context, facts);
  await rename(context, facts, inputs.name);
  return outputsOf(facts, { osImage: facts.image ?? inputs.image });
}

/** The order of an interrupted run, unless it can no longer bring a server. */
async function ownPurchase(context: VpsContext, inputs: VpsInputs): Promise<Purchase | undefined> {
  const purchase = await findOwnOrder(context);
  if (!purchase) return undefined;
  const end = await endOf(context, purchase);
  if (end === undefined) return purchase;
  if (end.lost) refuseOrderAgain(end.lost, inputs.order?.again);
  context.call.log.warning(`order ${purchase.id}: ${end.why}; ordering again`);
  context.journal.clear();
  return undefined;
}

/** How an order came to its end. */
interface End {
  readonly why: string;
  /** The server that it brought. */
  readonly lost?: string;
}

/** Why an order can no longer bring a server; undefined when it can. */
async function endOf(context: VpsContext, { id }: Purchase): Promise<End | undefined> {
  const { client, journal } = context;
  const status = await ifThere(orderStatus(client, id));
  if (status === undefined) {
    throw new UserError(
      `order ${id}: this OVH account does not have it, but an earlier run ordered it; set the keys of the account that ordered it, ` +
        `or remove ${journal.path} if the order is void`,
    );
  }
  if (isCancelled(status)) return { why: "it was cancelled" };
  const { serviceName, isComplete } = journal.entry;
  if (!isComplete || !serviceName) return undefined;
  const server = await ifThere(client.get(serverPath(serviceName)));
  return server === undefined ? { why: `its server ${serviceName} is gone`, lost: serviceName } : undefined;
}

async function buy(context: VpsContext, inputs: VpsInputs): Promise<Purchase> {
  const wish = wishOf(inputs);
  if (!wish)
    throw new UserError("server.order: expected the terms of an order, got none; set technicia:server.order");
  const offer = await findOffer(context.client, wish);
  await refuseSecondOrder(context, { name: inputs.name, again: inputs.order?.again });
  return placeOrder(context, { offer, wish });
}

/** Completes an order; when that fails, the state keeps it. */
async function completeOrKeep(
  context: VpsContext,
  { id, purchase, inputs }: { readonly id: string; readonly purchase: Purchase; readonly inputs: VpsInputs },
): Promise<VpsOutputs> {
  try {
    return await complete(context, { purchase, inputs });
  } catch (error) {
    const { serviceName } = context.journal.entry;
    const outputs = { ...outputsOfPurchase(purchase), ...(serviceName && { serviceName }) };
    const goes = "run pulumi up to continue";
    const message = context.call.signal.aborted
      ? `order ${purchase.id}: cancelled; ${goes}`
      : `${messageOf(error)} (order ${purchase.id} is kept; ${goes})`;
    throw new PartialFailure(message, { id, outputs, cause: error });
  }
}

/** Turns an order into a server that runs the wanted image, and continues where an earlier run ended. */
async function complete(
  context: VpsContext,
  { purchase, inputs }: { readonly purchase: Purchase; readonly inputs: VpsInputs },
): Promise<VpsOutputs> {
  const { client, call, journal, pace } = context;
  await payOrder(context, purchase);
  const serviceName = await awaitDelivery(context, purchase);
  journal.note({ serviceName });
  const found = await poll(context, {
    limitMs: pace.tasksMs,
    late: () =>
      `${serviceName}: its order is delivered, but OVH does not list it yet; run pulumi up again later`,
    look: () => ifThere(readFacts(client, serviceName)),
  });
  await rename(context, found, inputs.name);
  const { image, publicKey } = inputs;
  await installOnce(context, { serviceName, wanted: { image, publicKey } });
  let state = "";
  const facts = await poll(context, {
    limitMs: pace.tasksMs,
    late: () =>
      `${serviceName}: expected it to run after its installation, got ${state}; start it in OVH's control panel and run pulumi up again`,
    look: async () => {
      const now = await readFacts(client, serviceName);
      ({ state } = now);
      return state === "running" && now;
    },
  });
  const { datacentre, ...rest } = inputs;
  requireFit(facts, rest);
  if (!isIn(facts.zone, datacentre)) {
    call.log.warning(`${serviceName}: ordered in ${datacentre}, and OVH calls its place ${facts.zone}`);
  }
  journal.note({ isComplete: true });
  return outputsOf(facts, { osImage: facts.image ?? image, ...outputsOfPurchase(purchase) });
}

async function updateVps(
  context: VpsContext,
  { id, inputs, outputs }: Existing<VpsInputs, VpsOutputs>,
  news: VpsInputs,
): Promise<VpsOutputs> {
  const { orderId, plan = "", monthlyPriceEur = 0 } = outputs;
  if (!outputs.serverId) {
    if (orderId === undefined) return adopt(context, { ...news, serviceName: news.serviceName ?? id });
    return completeOrKeep(context, { id, purchase: { id: orderId, plan, monthlyPriceEur }, inputs: news });
  }
  const facts = await readFacts(context.client, outputs.serviceName);
  requireUsable(facts);
  await rename(context, facts, news.name);
  if (news.publicKey !== inputs.publicKey) {
    context.call.log.warning(
      `${facts.serviceName}: the new key is recorded, not installed; add it by ssh yourself`,
    );
  }
  return outputsOf(facts, outputs);
}

/** Leaves the server running, and ends its contract at its expiry if the inputs say so. */
async function deleteVps(
  context: VpsContext,
  { outputs, inputs }: Existing<VpsInputs, VpsOutputs>,
): Promise<void> {
  const { client, call, journal } = context;
  const { serviceName, orderId } = outputs;
  if (!outputs.serverId) {
    call.log.warning(
      `order ${orderId ?? "of this server"}: left as it is; cancel it in OVH's control panel if the server is not wanted`,
    );
    return;
  }
  // A replacement has ordered its own server by now.
  if ((journal.entry.serviceName ?? serviceName) === serviceName) journal.clear();
  if (outputs.state === GONE) return;
  if (!inputs.deleteAtExpiry) {
    call.log.warning(
      `${serviceName}: left running and renewed, because server.deleteAtExpiry is false; end its contract in OVH's control panel if it is not wanted`,
    );
    return;
  }
  const path = `${serverPath(serviceName)}/serviceInfos`;
  try {
    const contract = await client.get<Contract>(path);
    if (contract.canDeleteAtExpiration === false) {
      throw new UserError(
        `${serviceName}: its contract cannot end at its expiry; end it in OVH's control panel, set server.deleteAtExpiry to false and run this again`,
      );
    }
    if (!contract.renew?.deleteAtExpiration) {
      const defaults = { automatic: false, forced: false, period: null };
      await client.put(path, { renew: { ...defaults, ...contract.renew, deleteAtExpiration: true } });
    }
    call.log.warning(
      `${serviceName}: left running; its contract ends on ${contract.expiration} and is not renewed`,
    );
  } catch (error) {
    if (error instanceof OvhError && (error.isGone || error.isExpired)) return;
    throw error;
  }
}

async function rename({ client }: VpsContext, facts: Facts, displayName: string): Promise<void> {
  if (facts.displayName !== displayName) await client.put(serverPath(facts.serviceName), { displayName });
}

/** Reads the server that the settings name. */
async function readNamed({ client }: VpsContext, serviceName: string): Promise<Facts> {
  try {
    return await readFacts(client, serviceName);
  } catch (error) {
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
}

function outputsOfPurchase({ id, plan, monthlyPriceEur }: Purchase): Partial<VpsOutputs> {
  return { orderId: id, plan, monthlyPriceEur };
}
