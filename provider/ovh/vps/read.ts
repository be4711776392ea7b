import { UserError } from "../../../common/user-error.ts";
import type { Existing, Found } from "../../plugin/definition.ts";
import { ifThere } from "../errors.ts";
import { datacentreOf, isIn, requireUsable } from "./fitness.ts";
import { isSameImage } from "./install.ts";
import type { VpsContext } from "../order/context.ts";
import { orderStatus, readServerOrder } from "../order/orders.ts";
import { type Facts, readFacts } from "./server-api.ts";
import { GONE, type VpsInputs, type VpsOutputs } from "./inputs.ts";

type Known = Existing<Partial<VpsInputs>, Partial<VpsOutputs>>;

/** States of a contract that need nobody's attention. */
const QUIET_STATES: readonly string[] = ["ok", "inCreation"];
const ORDER_ID = /^order\/(\d+)$/;

/**
 * The actual state of the server; one that cannot be used is an error. Null when OVH tells the owner of an adopted server that it is gone. An
 * ordered one stays in the state even then, because a state without it would order another.
 */
export async function readVps(
  context: VpsContext,
  known: Known,
): Promise<Found<VpsInputs, VpsOutputs> | null> {
  const serviceName = await serviceNameOf(context, known);
  const { inputs, outputs } = known;
  // The order is not delivered yet: there is nothing to read, and the next update continues.
  if (serviceName === undefined)
    return { id: known.id, inputs: inputs as VpsInputs, outputs: outputs as VpsOutputs };
  const facts = await ifThere(readFacts(context.client, serviceName));
  if (!facts) return gone(context, serviceName, known);
  if (outputs.orderId !== undefined && !outputs.serverId) {
    return { id: known.id, inputs: inputs as VpsInputs, outputs: { ...outputs, serviceName } as VpsOutputs };
  }
  requireUsable(facts);
  warnOfContract(context, facts);
  return {
    id: known.id,
    inputs: inputsOf(facts, known),
    outputs: outputsOf(facts, { ...outputs, osImage: facts.image ?? outputs.osImage ?? "" }),
  };
}

async function serviceNameOf(context: VpsContext, { id, outputs }: Known): Promise<string | undefined> {
  if (outputs.serviceName) return outputs.serviceName;
  const orderId = ORDER_ID.exec(id)?.[1];
  if (orderId === undefined) return id;
  return (await readServerOrder(context.client, Number(orderId)))?.serviceName;
}

// With the keys of another account every server looks gone. Believing that would order a second server.
async function gone(
  context: VpsContext,
  serviceName: string,
  { id, inputs, outputs }: Known,
): Promise<Found<VpsInputs, VpsOutputs> | null> {
  const { orderId } = outputs;
  if (orderId !== undefined && (await ifThere(orderStatus(context.client, orderId))) === undefined) {
    throw new UserError(
      `${serviceName}: expected the account that made order ${orderId}, got keys of another; set the OVH keys of this stack to that account's`,
    );
  }
  context.call.log.warning(`${serviceName}: OVH no longer has this server`);
  // One that was ordered, in a state that was lost and made again, has no order in it.
  if (orderId === undefined && inputs.order === undefined) return null;
  const kept = { id, inputs: inputs as VpsInputs, outputs: { ...outputs, serviceName } as VpsOutputs };
  // A delivered order may name its server before OVH lists it.
  if (!outputs.serverId) return kept;
  return {
    id,
    inputs: { ...kept.inputs, name: `${GONE} at OVH` },
    outputs: { ...kept.outputs, state: GONE },
  };
}

/** Warns when the contract ends at its expiry, and when OVH waits for a payment while the server still runs. */
export function warnOfContract({ call }: VpsContext, { serviceName, contract }: Facts): void {
  if (!QUIET_STATES.includes(contract.status)) {
    call.log.warning(
      `${serviceName}: its contract is "${contract.status}" (until ${contract.expiration}); see in OVH's control panel that it is paid`,
    );
  }
  if (contract.renew?.deleteAtExpiration) {
    call.log.warning(
      `${serviceName}: its contract ends on ${contract.expiration}; renew it in OVH's control panel to keep it`,
    );
  }
}

/** What the state keeps of a server. */
export function outputsOf(facts: Facts, known: Partial<VpsOutputs>): VpsOutputs {
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
    ...installationOf(facts, known),
  };
}

/**
 * The installation on the disk. It changes only for a newer one: OVH forgets tasks, remembers them again, and may remember one from before
 * the adoption later.
 */
function installationOf(
  { serviceName, installTask, installedAt }: Facts,
  known: Partial<VpsOutputs>,
): Pick<VpsOutputs, "serverId" | "installedAt"> {
  const number = knownInstallation(known);
  if (known.serverId === undefined) {
    return {
      serverId: `${serviceName}/${installTask}`,
      installedAt: installedAt ?? new Date().toISOString(),
    };
  }
  const isKnown = installTask === 0 || installTask === number;
  const isOlder =
    known.installedAt !== undefined &&
    installedAt !== undefined &&
    Date.parse(installedAt) <= Date.parse(known.installedAt);
  if (!isKnown && !isOlder) return { serverId: `${serviceName}/${installTask}`, installedAt };
  // A state from before the date was kept.
  const date = known.installedAt ?? (installTask === number ? installedAt : undefined);
  return { serverId: `${serviceName}/${number}`, ...(date !== undefined && { installedAt: date }) };
}

function knownInstallation({ serverId }: Partial<VpsOutputs>): number {
  return Number(serverId?.split("/").at(-1) ?? 0);
}

function inputsOf(facts: Facts, { inputs, outputs }: Known): VpsInputs {
  const { serviceName, displayName, vcore, memoryMib, zone, image } = facts;
  const memoryGib = memoryMib / 1024;
  const isReinstalled =
    outputs.serverId !== undefined &&
    knownInstallation(installationOf(facts, outputs)) !== knownInstallation(outputs);
  const isImport = inputs.name === undefined;
  return {
    ...(isImport ? { serviceName } : { serviceName: inputs.serviceName, order: inputs.order }),
    name: displayName,
    vcores: inputs.vcores !== undefined && vcore >= inputs.vcores ? inputs.vcores : vcore,
    memoryGib: inputs.memoryGib !== undefined && memoryGib >= inputs.memoryGib ? inputs.memoryGib : memoryGib,
    datacentre:
      inputs.datacentre !== undefined && (outputs.orderId !== undefined || isIn(zone, inputs.datacentre))
        ? inputs.datacentre
        : datacentreOf(zone),
    image:
      image === undefined || (inputs.image && isSameImage(image, inputs.image))
        ? (inputs.image ?? "")
        : image,
    // Nobody knows which key somebody else installed.
    publicKey: isReinstalled ? "" : (inputs.publicKey ?? ""),
    deleteAtExpiry: inputs.deleteAtExpiry ?? facts.contract.renew?.deleteAtExpiration ?? false,
  };
}
