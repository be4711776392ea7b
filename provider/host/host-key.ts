/** `technicia:host:HostKey`: trust on first use, and only then. */
import { z } from "zod";
import { UserError } from "../../common/user-error.ts";
import type { Call, ResourceDefinition } from "../plugin/definition.ts";
import { fetchHostKey, HostKeyChanged, where, type Endpoint, type WaitOptions } from "../ssh/connect.ts";
import { fingerprint, publicKeyText, readPublicKey } from "../ssh/keys.ts";

const BOOT_SECONDS = 600;
const ANSWER_SECONDS = 30;

const schema = z.strictObject({
  address: z.string().regex(/^[^\s/@]+$/, "a host name or an IP address, without scheme, user or port"),
  port: z.int().min(1, "a port between 1 and 65535").max(65535, "a port between 1 and 65535").default(22),
  serverId: z.string(),
});

type Inputs = z.infer<typeof schema>;

interface Outputs {
  readonly hostKey: string;
  readonly fingerprint: string;
}

export const hostKey: ResourceDefinition<Inputs, Outputs> = {
  token: "technicia:host:HostKey",
  schema,
  outputs: ["hostKey", "fingerprint"],
  replaceOn: ["serverId"],

  async create(call, inputs) {
    const key = await fetchHostKey(inputs, waitOptions(call, BOOT_SECONDS));
    call.log.info(
      `${where(inputs)} answers with the host key ${fingerprint(key)} (${publicKeyText(key)}); later connections require it`,
    );
    return { id: `${where(inputs)}/${inputs.serverId}`, outputs: outputsOf(key) };
  },

  async read(call, { id, inputs, outputs }) {
    const { address, port, serverId } = inputs;
    if (
      address === undefined ||
      port === undefined ||
      serverId === undefined ||
      outputs.hostKey === undefined
    ) {
      const named = parseId(id);
      return {
        id,
        inputs: named,
        outputs: outputsOf(await fetchHostKey(named, waitOptions(call, ANSWER_SECONDS))),
      };
    }
    const endpoint = { address, port };
    const key = await fetchHostKey(endpoint, waitOptions(call, ANSWER_SECONDS));
    requireSame(endpoint, outputs.hostKey, key);
    return { id, inputs: { ...endpoint, serverId }, outputs: outputsOf(key) };
  },

  // Only address or port changed. The same installation must answer there with the same key.
  async update(call, existing, news) {
    const key = await fetchHostKey(news, waitOptions(call, ANSWER_SECONDS));
    requireSame(news, existing.outputs.hostKey, key);
    return outputsOf(key);
  },

  async delete() {
    // Nothing on the host depends on it.
  },
};

function outputsOf(key: Buffer): Outputs {
  return { hostKey: publicKeyText(key), fingerprint: fingerprint(key) };
}

function requireSame(endpoint: Endpoint, expected: string, got: Buffer): void {
  const { blob } = readPublicKey(expected);
  if (!blob.equals(got)) throw new HostKeyChanged(endpoint, { expected: blob, got });
}

function parseId(id: string): Inputs {
  const match = /^(?:\[(?<ip6>[^\]]+)\]|(?<name>[^/:]+)):(?<port>\d+)\/(?<serverId>.*)$/.exec(id)?.groups;
  if (match === undefined) {
    throw new UserError(
      `import of a HostKey: expected an id such as 203.0.113.10:22/<serverId>, got ${JSON.stringify(id)}`,
    );
  }
  return {
    address: match["ip6"] ?? match["name"] ?? "",
    port: Number(match["port"]),
    serverId: match["serverId"] ?? "",
  };
}

function waitOptions(call: Call, deadlineSeconds: number): WaitOptions {
  return { deadlineSeconds, signal: call.signal, onWaiting: call.log.status };
}
