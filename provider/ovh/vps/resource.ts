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
import { type Facts, PACE, type Pace, pollFor, readFacts, serverPath, type Work } from "./server-api.ts";
import { deleteVps } from "./delete.ts";
import { checkVps, diffVps, type VpsInputs, type VpsOutputs, vpsSchema, wishOf } from "./inputs.ts";
import { outputsOf, readVps, warnOfEnd } from "./read.ts";

export interface VpsOptions {
  readonly clientOf?: ClientOf;
  readonly pace?: Pace;
  readonly journalFolder?: string;
}

/** `technicia:ovh:Vps`. */
export function defineVps(options: VpsOptions = {}): ResourceDefinition<VpsInputs, VpsOutputs> {
  const clientOf = options.clientOf ?? sharedClient;
  const workOf = (call: Call): Work => {
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
    preview: (call, inputs, existing) => previewVps(workOf(call), inputs, existing),
    create: (call, inputs) => createVps(workOf(call), inputs),
    read: (call, known) => readVps(workOf(call), known),
    update: (call, existing, news) => updateVps(workOf(call), existing, news),
    delete: (call, existing) => deleteVps(workOf(call), existing),
  };
}

export const vps = defineVps();

async function previewVps(
  work: Work,
  inputs: Partial<VpsInputs>,
  existing: Existing<VpsInputs, VpsOutputs> | undefined,
): Promise<Partial<VpsOutputs>> {
  const { client, call, journal } = work;
  if (existing) return existing.outputs;
  if (inputs.serviceName !== undefined) {
    const facts = await readFacts(work, inputs.serviceName).catch((error: unknown) =>
      refuseMissing(error, inputs.serviceName ?? ""),
    );
    requireFit(facts, { ...(inputs as VpsInputs) });
    return outputsOf(facts, {});
  }
  const wish = wishOf(inputs);
  if (!wish || !inputs.name) return {};
  const { order, checkout } = journal.entry;
  if (order && (await endOf(work, order)) === undefined) {
    call.log.info(
      `goes on with order ${order.id} (${order.plan}, ${euros(order.monthlyPriceEur)}) of an interrupted run`,
    );
    return { orderId: order.id, plan: order.plan, monthlyPriceEur: order.monthlyPriceEur };
  }
  const offer = await findOffer(client, wish, call.signal);
  if (!order && !checkout) await refuseSecondOrder(work, inputs.name, markerOf(call.urn));
  call.log.info(
    `will order ${describeOffer(offer)} at ${euros(offer.monthlyPriceEur)} without tax, in ${wish.datacentre}`,
  );
  return { plan: offer.planCode, monthlyPriceEur: offer.monthlyPriceEur };
}

async function createVps(work: Work, inputs: VpsInputs): Promise<{ id: string; outputs: VpsOutputs }> {
  if (inputs.serviceName !== undefined) {
    const outputs = await adopt(work, inputs.serviceName, inputs);
    return { id: outputs.serviceName, outputs };
  }
  const purchase = (await ownPurchase(work)) ?? (await buy(work, inputs));
  const outputs = await keeping(`order/${purchase.id}`, work, purchase, () =>
    complete(work, purchase, inputs),
  );
  return { id: outputs.serviceName, outputs };
}

/** Takes a server over as it is: only its name in the control panel is changed. */
async function adopt(work: Work, serviceName: string, inputs: VpsInputs): Promise<VpsOutputs> {
  const facts = await readFacts(work, serviceName).catch((error: unknown) =>
    refuseMissing(error, serviceName),
  );
  requireFit(facts, inputs);
  if (facts.image === undefined) {
    work.call.log.warning(
      `${serviceName}: OVH does not tell its image; ${inputs.image} is taken for granted`,
    );
  }
  warnOfEnd(work, facts);
  await rename(work, facts, inputs.name);
  return outputsOf(facts, { osImage: facts.image ?? inputs.image });
}

/** The order of an interrupted run, unless nothing can come of it any more. */
async function ownPurchase(work: Work): Promise<Purchase | undefined> {
  const purchase = await findOwnOrder(work);
  if (!purchase) return undefined;
  const end = await endOf(work, purchase);
  if (end === undefined) return purchase;
  work.call.log.warning(`order ${purchase.id}: ${end}; ordering again`);
  work.journal.clear();
  return undefined;
}

/** Why nothing can come of an order any more; undefined when something can. */
async function endOf(work: Work, { id }: Purchase): Promise<string | undefined> {
  const { client, call, journal } = work;
  const status = await ifThere(orderStatus(work, id));
  if (status === undefined) {
    throw new UserError(
      `order ${id}: expected it in this OVH account, which ordered it in an earlier run, got none; set the OVH keys of that account, ` +
        `or remove ${journal.path} if the order is void`,
    );
  }
  if (isCancelled(status)) return "it was cancelled";
  const { serviceName, isComplete } = journal.entry;
  if (!isComplete || !serviceName) return undefined;
  const server = await ifThere(client.get(serverPath(serviceName), { signal: call.signal }));
  return server === undefined ? `its server ${serviceName} is gone` : undefined;
}

async function buy(work: Work, inputs: VpsInputs): Promise<Purchase> {
  const { client, call } = work;
  const wish = wishOf(inputs);
  if (!wish)
    throw new UserError("server.order: expected the terms of an order, got none; set technicia:server.order");
  const marker = markerOf(call.urn);
  const offer = await findOffer(client, wish, call.signal);
  await refuseSecondOrder(work, inputs.name, marker);
  return placeOrder(work, { offer, wish, marker });
}

/** From an order to a server that runs the wanted image; goes on wherever an earlier run ended. */
async function complete(work: Work, purchase: Purchase, inputs: VpsInputs): Promise<VpsOutputs> {
  const { journal, pace } = work;
  await payOrder(work, purchase);
  const serviceName = await awaitDelivery(work, purchase);
  journal.note({ serviceName });
  const late = (): string =>
    `${serviceName}: expected it to be there, as its order is delivered, got nothing; run pulumi up again later`;
  const found = await pollFor(work, { limitMs: pace.tasksMs, late }, () =>
    ifThere(readFacts(work, serviceName)),
  );
  await rename(work, found, inputs.name);
  await installOnce(work, serviceName, inputs);
  let state = "";
  const facts = await pollFor(
    work,
    {
      limitMs: pace.tasksMs,
      late: () =>
        `${serviceName}: expected it to run after its installation, got ${state}; start it in OVH's control panel and run pulumi up again`,
    },
    async () => {
      const now = await readFacts(work, serviceName);
      ({ state } = now);
      return state === "running" ? now : undefined;
    },
  );
  requireFit(facts, inputs);
  journal.note({ isComplete: true });
  return outputsOf(facts, { osImage: facts.image ?? inputs.image, ...outputsOfPurchase(purchase) });
}

/** Whatever goes wrong once there is an order, the state remembers it. */
async function keeping<Answer>(
  id: string,
  work: Work,
  purchase: Purchase,
  act: () => Promise<Answer>,
): Promise<Answer> {
  try {
    return await act();
  } catch (error) {
    if (error instanceof PartialFailure) throw error;
    const { serviceName } = work.journal.entry;
    const outputs = { ...outputsOfPurchase(purchase), ...(serviceName && { serviceName }) };
    const goes = "pulumi up goes on from here";
    const message = work.call.signal.aborted
      ? `order ${purchase.id}: expected to finish, got cancelled; ${goes}`
      : `${error instanceof Error ? error.message : String(error)} (order ${purchase.id} is kept: ${goes})`;
    throw new PartialFailure(message, { id, outputs, cause: error });
  }
}

async function updateVps(
  work: Work,
  { id, inputs, outputs }: Existing<VpsInputs, VpsOutputs>,
  news: VpsInputs,
): Promise<VpsOutputs> {
  const { orderId, plan = "", monthlyPriceEur = 0 } = outputs;
  if (!outputs.serverId) {
    if (orderId === undefined) return adopt(work, news.serviceName ?? id, news);
    const purchase = { id: orderId, plan, monthlyPriceEur };
    return keeping(id, work, purchase, () => complete(work, purchase, news));
  }
  const facts = await readFacts(work, outputs.serviceName);
  requireUsable(facts);
  await rename(work, facts, news.name);
  if (news.publicKey !== inputs.publicKey) {
    work.call.log.warning(
      `${facts.serviceName}: the new key is recorded, not installed; let it in by ssh yourself`,
    );
  }
  return outputsOf(facts, outputs);
}

async function rename(
  { client, call }: Work,
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
