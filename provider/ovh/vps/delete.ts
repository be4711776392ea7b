import { UserError } from "../../../common/user-error.ts";
import type { Existing } from "../../plugin/definition.ts";
import { OvhError } from "../errors.ts";
import { type Contract, serverPath, type VpsContext } from "./server-api.ts";
import type { VpsInputs, VpsOutputs } from "./inputs.ts";

/** Leaves the server running, and ends its contract at its expiry if the inputs say so. */
export async function deleteVps(
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
  journal.clear();
  if (!inputs.deleteAtExpiry) {
    call.log.warning(
      `${serviceName}: left running and renewed, because server.deleteAtExpiry is false; end its contract in OVH's control panel if it is not wanted`,
    );
    return;
  }
  const path = `${serverPath(serviceName)}/serviceInfos`;
  try {
    const contract = await client.get<Contract>(path, { signal: call.signal });
    if (contract.canDeleteAtExpiration === false) {
      throw new UserError(
        `${serviceName}: its contract cannot end at its expiry; end it in OVH's control panel, set server.deleteAtExpiry to false and run this again`,
      );
    }
    if (!contract.renew?.deleteAtExpiration) {
      const defaults = { automatic: false, forced: false, period: null };
      await client.put(
        path,
        { renew: { ...defaults, ...contract.renew, deleteAtExpiration: true } },
        { signal: call.signal },
      );
    }
    call.log.warning(
      `${serviceName}: left running; its contract ends on ${contract.expiration} and is not renewed`,
    );
  } catch (error) {
    if (error instanceof OvhError && (error.isGone || error.isExpired)) return;
    throw error;
  }
}
