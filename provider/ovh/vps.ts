import { type Call, type Existing, type Found, PartialFailure, type ResourceDefinition, UserError } from "../definition.ts";
import { describeOffer, euros, findOffer } from "./catalog.ts";
import { type ClientOf, sharedClient } from "./clients.ts";
import { OvhError } from "./errors.ts";
import { datacentreOf, isIn, requireFit, requireUsable } from "./fitness.ts";
import { installOnce, isSameImage } from "./install.ts";
import { Journal, journalFolder, markerOf } from "./journal.ts";
import { isCancelled, orderStatus, readServerOrder, refuseSecondOrder } from "./orders.ts";
import { awaitDelivery, findOwnOrder, payOrder, placeOrder, type Purchase } from "./purchase.ts";
import { type Contract, type Facts, PACE, type Pace, poll, readFacts, serverPath, type Work } from "./server-api.ts";
import { checkVps, diffVps, type VpsInputs, type VpsOutputs, vpsSchema, wishOf } from "./vps-inputs.ts";

export interface VpsOptions {
  readonly clientOf?: ClientOf;
  readonly pace?: Pace;
  readonly journalFolder?: string;
}

type Known = Existing<Partial<VpsInputs>, Partial<VpsOutputs>>;

const ORDER_ID = /^order\/(\d+)$/;

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
    const facts = await readFacts(work, inputs.serviceName).catch((error: unknown) => refuseMissing(error, inputs.serviceName ?? ""));
    requireFit(facts, { ...(inputs as VpsInputs) });
    return outputsOf(facts, {});
  }
  const wish = wishOf(inputs);
  if (!wish || !inputs.name) return {};
  const { order, checkout } = journal.entry;
  if (order) {
    call.log.info(`goes on with order ${order.id} (${order.plan}, ${euros(order.monthlyPriceEur)}) of an interrupted run`);
    return { orderId: order.id, plan: order.plan, monthlyPriceEur: order.monthlyPriceEur };
  }
  const offer = await findOffer(client, wish, call.signal);
  if (!checkout) await refuseSecondOrder(work, inputs.name, markerOf(call.urn));
  call.log.info(`will order ${describeOffer(offer)} at ${euros(offer.monthlyPriceEur)} without tax, in ${wish.datacentre}`);
  return { plan: offer.planCode, monthlyPriceEur: offer.monthlyPriceEur };
}

async function createVps(work: Work, inputs: VpsInputs): Promise<{ id: string; outputs: VpsOutputs }> {
  if (inputs.serviceName !== undefined) {
    const outputs = await adopt(work, inputs.serviceName, inputs);
    return { id: outputs.serviceName, outputs };
  }
  const purchase = (await ownPurchase(work)) ?? (await buy(work, inputs));
  const outputs = await keeping(`order/${purchase.id}`, work, purchase, () => complete(work, purchase, inputs));
  return { id: outputs.serviceName, outputs };
}

/** Takes a server over as it is: only its name in the control panel is changed. */
async function adopt(work: Work, serviceName: string, inputs: VpsInputs): Promise<VpsOutputs> {
  const facts = await readFacts(work, serviceName).catch((error: unknown) => refuseMissing(error, serviceName));
  requireFit(facts, inputs);
  if (facts.image === undefined) {
    work.call.log.warning(`${serviceName}: OVH does not tell its image; ${inputs.image} is taken for granted`);
  }
  warnOfEnd(work, facts);
  await rename(work, facts, inputs.name);
  return outputsOf(facts, { osImage: facts.image ?? inputs.image });
}

/** The order of an interrupted run, unless nothing can come of it any more. */
async function ownPurchase(work: Work): Promise<Purchase | undefined> {
  const purchase = await findOwnOrder(work);
  if (!purchase) return undefined;
  const { journal, call } = work;
  const { serviceName, isComplete } = journal.entry;
  const status = await ifThere(orderStatus(work, purchase.id));
  const isOver =
    status === undefined ||
    isCancelled(status) ||
    (isComplete === true && serviceName !== undefined && (await ifThere(work.client.get(serverPath(serviceName), { signal: call.signal }))) === undefined);
  if (!isOver) return purchase;
  call.log.warning(`order ${purchase.id}: ${status ?? "unknown to this account"}, and there is no server of it; ordering again`);
  journal.clear();
  return undefined;
}

async function buy(work: Work, inputs: VpsInputs): Promise<Purchase> {
  const { client, call } = work;
  const wish = wishOf(inputs);
  if (!wish) throw new UserError("server.order: expected the terms of an order, got none; set technicia:server.order");
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
  const late = (): string => `${serviceName}: expected it to be there, as its order is delivered, got nothing; run pulumi up again later`;
  const found = await poll(work, { limitMs: pace.tasksMs, late }, () => ifThere(readFacts(work, serviceName)));
  await rename(work, found, inputs.name);
  await installOnce(work, serviceName, inputs);
  let state = "";
  const facts = await poll(
    work,
    {
      limitMs: pace.tasksMs,
      late: () => `${serviceName}: expected it to run after its installation, got ${state}; start it in OVH's control panel and run pulumi up again`,
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
async function keeping<Answer>(id: string, work: Work, purchase: Purchase, act: () => Promise<Answer>): Promise<Answer> {
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

async function updateVps(work: Work, { id, inputs, outputs }: Existing<VpsInputs, VpsOutputs>, news: VpsInputs): Promise<VpsOutputs> {
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
    work.call.log.warning(`${facts.serviceName}: the new key is recorded, not installed; let it in by ssh yourself`);
  }
  return outputsOf(facts, outputs);
}

async function readVps(work: Work, known: Known): Promise<Found<VpsInputs, VpsOutputs> | null> {
  const serviceName = await serviceNameOf(work, known);
  const { inputs, outputs } = known;
  // Still being ordered: there is nothing to read, and the next update goes on.
  if (serviceName === undefined) return { id: known.id, inputs: inputs as VpsInputs, outputs: outputs as VpsOutputs };
  const facts = await ifThere(readFacts(work, serviceName));
  if (!facts) return gone(work, serviceName, known);
  if (outputs.orderId !== undefined && !outputs.serverId) {
    return { id: known.id, inputs: inputs as VpsInputs, outputs: { ...outputs, serviceName } as VpsOutputs };
  }
  requireUsable(facts);
  warnOfEnd(work, facts);
  return { id: known.id, inputs: inputsOf(facts, known), outputs: outputsOf(facts, { ...outputs, osImage: facts.image ?? outputs.osImage ?? "" }) };
}

async function serviceNameOf(work: Work, { id, outputs }: Known): Promise<string | undefined> {
  if (outputs.serviceName) return outputs.serviceName;
  const orderId = ORDER_ID.exec(id)?.[1];
  if (orderId === undefined) return id;
  return (await readServerOrder(work, Number(orderId)))?.serviceName;
}

// To keys of another account every server is unknown, and forgetting ours would order a second one.
async function gone(work: Work, serviceName: string, { outputs }: Known): Promise<null> {
  const { orderId } = outputs;
  if (orderId !== undefined && (await ifThere(orderStatus(work, orderId))) === undefined) {
    throw new UserError(
      `${serviceName}: expected the account that made order ${orderId}, got keys of another; set the OVH keys of this stack to that account's`,
    );
  }
  work.call.log.warning(`${serviceName}: OVH knows no such server any more`);
  return null;
}

async function deleteVps(work: Work, { outputs, inputs }: Existing<VpsInputs, VpsOutputs>): Promise<void> {
  const { client, call, journal } = work;
  const { serviceName, orderId } = outputs;
  if (!outputs.serverId) {
    call.log.warning(
      `order ${orderId ?? "of this server"}: left as it is; cancel it in OVH's control panel if the server is not wanted`,
    );
    return;
  }
  journal.clear();
  if (!inputs.deleteAtExpiry) {
    call.log.warning(
      `${serviceName}: left running and renewed as before, as server.deleteAtExpiry is false; end its contract in OVH's control panel if it is not wanted`,
    );
    return;
  }
  const path = `${serverPath(serviceName)}/serviceInfos`;
  try {
    const contract = await client.get<Contract>(path, { signal: call.signal });
    if (contract.canDeleteAtExpiration === false) {
      throw new UserError(
        `${serviceName}: expected a contract that can end at its expiry, got one that cannot; end it in OVH's control panel, set server.deleteAtExpiry to false and run this again`,
      );
    }
    if (!contract.renew?.deleteAtExpiration) {
      const defaults = { automatic: false, forced: false, period: null };
      await client.put(path, { renew: { ...defaults, ...contract.renew, deleteAtExpiration: true } }, { signal: call.signal });
    }
    call.log.warning(`${serviceName}: left running; its contract ends on ${contract.expiration} and is not renewed`);
  } catch (error) {
    if (error instanceof OvhError && (error.isGone || error.isExpired)) return;
    throw error;
  }
}

async function rename({ client, call }: Work, { serviceName, displayName }: Facts, name: string): Promise<void> {
  if (displayName !== name) await client.put(serverPath(serviceName), { displayName: name }, { signal: call.signal });
}

function warnOfEnd({ call }: Work, { serviceName, contract }: Facts): void {
  if (contract.renew?.deleteAtExpiration) {
    call.log.warning(`${serviceName}: its contract ends on ${contract.expiration}; renew it in OVH's control panel to keep it`);
  }
}

function outputsOfPurchase({ id, plan, monthlyPriceEur }: Purchase): Partial<VpsOutputs> {
  return { orderId: id, plan, monthlyPriceEur };
}

function outputsOf(facts: Facts, known: Partial<VpsOutputs>): VpsOutputs {
  const { serviceName, ipv4, ipv6, ipv6Gateway, model, vcore, memoryMib, diskGib, zone, state } = facts;
  const { orderId, plan, monthlyPriceEur } = known;
  return {
    serviceName,
    ipv4,
    ipv6,
    ...(ipv6Gateway && { ipv6Gateway }),
    model,
    vcore,
    memoryMib,
    diskGib,
    zone,
    osImage: facts.image ?? known.osImage ?? "",
    state,
    ...(orderId !== undefined && { orderId, plan, monthlyPriceEur }),
    // OVH may forget old tasks; a disk installed once does not become another one by that.
    serverId: `${serviceName}/${Math.max(facts.installTask, knownInstallation(known))}`,
  };
}

function knownInstallation({ serverId }: Partial<VpsOutputs>): number {
  return Number(serverId?.split("/").at(-1) ?? 0);
}

function inputsOf(facts: Facts, { inputs, outputs }: Known): VpsInputs {
  const { serviceName, displayName, vcore, memoryMib, zone, image } = facts;
  const memoryGib = memoryMib / 1024;
  const isReinstalled = outputs.serverId !== undefined && facts.installTask > knownInstallation(outputs);
  const isImport = inputs.name === undefined;
  return {
    ...(isImport ? { serviceName } : { serviceName: inputs.serviceName, order: inputs.order }),
    name: displayName,
    vcores: inputs.vcores !== undefined && vcore >= inputs.vcores ? inputs.vcores : vcore,
    memoryGib: inputs.memoryGib !== undefined && memoryGib >= inputs.memoryGib ? inputs.memoryGib : memoryGib,
    datacentre: inputs.datacentre !== undefined && isIn(zone, inputs.datacentre) ? inputs.datacentre : datacentreOf(zone),
    image: image === undefined || (inputs.image && isSameImage(image, inputs.image)) ? (inputs.image ?? "") : image,
    // Nobody knows which key another installation got.
    publicKey: isReinstalled ? "" : (inputs.publicKey ?? ""),
    deleteAtExpiry: inputs.deleteAtExpiry ?? facts.contract.renew?.deleteAtExpiration ?? false,
  };
}

function refuseMissing(error: unknown, serviceName: string): never {
  if (error instanceof OvhError && error.isGone) {
    throw new UserError(
      `server.serviceName: expected a server of this OVH account, got ${serviceName}, which it does not have; correct the name or the keys`,
    );
  }
  if (error instanceof OvhError && error.isExpired) {
    throw new UserError(`server.serviceName: expected a server in force, got ${serviceName}, which has expired; renew it in OVH's control panel`);
  }
  throw error;
}

async function ifThere<Answer>(answer: Promise<Answer>): Promise<Answer | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof OvhError && error.isGone) return undefined;
    throw error;
  }
}
