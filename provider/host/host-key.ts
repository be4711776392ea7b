/** `technicia:host:HostKey`: trust on first use, and only then. */
import { z } from "zod";
import { UserError } from "../../common/user-error.ts";
import type { Call, ResourceDefinition } from "../plugin/definition.ts";
import { fetchHostKey, HostKeyChanged, where, type Endpoint, type WaitOptions } from "../ssh/connect.ts";
import { fingerprint, publicKeyText, readPublicKey } from "../ssh/keys.ts";

const BOOT_SECONDS = 600;
const ANSWER_SECONDS = 30;

/** A preview does not wait for a server that boots. */
const PREVIEW_SECONDS = 5;

const schema = z.strictObject({
  address: z.string().regex(/^[^\s/@]+$/, "a host name or an IP address, without scheme, user or port"),
  port: z.int().min(1, "a port between 1 and 65535").max(65535, "a port between 1 and 65535").default(22),
  serverId: z.string(),
  expected: z
    .string()
    .regex(/^SHA256:[A-Za-z0-9+/]{43}$/, "a fingerprint as OpenSSH prints it, SHA256:…")
    .optional(),
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

  async preview(call, { address, port, expected }, existing) {
    if (existing === undefined) {
      await announce(call, { address, port: port ?? 22, expected });
      return {};
    }
    if (address === undefined || port === undefined) return existing.outputs;
    if (port !== existing.inputs.port) await requireAnswer(call, { address, port });
    await requireExpected(call, { address, port, expected }, existing.outputs);
    return existing.outputs;
  },

  async create(call, inputs) {
    const { expected } = inputs;
    const key = await fetchExpected(inputs, { ...waitOptions(call, BOOT_SECONDS), expected });
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
    const wanted = outputs.fingerprint;
    const key = await fetchHostKey(endpoint, { ...waitOptions(call, ANSWER_SECONDS), wanted });
    requireSame(endpoint, outputs.hostKey, key);
    const { expected } = inputs;
    return {
      id,
      inputs: { ...endpoint, serverId, ...(expected !== undefined && { expected }) },
      outputs: outputsOf(key),
    };
  },

  // Address, port or the expected fingerprint changed. The same installation must answer there with the same key.
  async update(call, existing, news) {
    const wanted = existing.outputs.fingerprint;
    const key = await fetchHostKey(news, { ...waitOptions(call, ANSWER_SECONDS), wanted });
    requireSame(news, existing.outputs.hostKey, key);
    const { address, port, expected } = news;
    await requireExpected(call, { address, port, expected }, existing.outputs);
    return outputsOf(key);
  },

  async delete() {
    // Nothing on the host depends on it.
  },
};

interface Announced {
  readonly address: string | undefined;
  readonly port: number;
  readonly expected: string | undefined;
}

/** Says in the preview which key the first contact will trust, or that only the first contact will tell. */
async function announce(call: Call, { address, port, expected }: Announced): Promise<void> {
  const advice =
    expected === undefined
      ? "whichever key answers first will be trusted; to require one, set technicia:ssh.hostKey to its fingerprint"
      : `the first contact must show ${expected} (technicia:ssh.hostKey)`;
  if (address === undefined) {
    call.log.info(`host key: the server does not exist yet; ${advice}`);
    return;
  }
  const endpoint = { address, port };
  const signal = AbortSignal.any([call.signal, AbortSignal.timeout(PREVIEW_SECONDS * 1000)]);
  try {
    const key = await fetchExpected(endpoint, { deadlineSeconds: PREVIEW_SECONDS, signal, expected });
    call.log.info(
      `host key: ${where(endpoint)} answers with ${fingerprint(key)} (${publicKeyText(key).split(" ")[0] ?? ""}), ` +
        (expected === undefined
          ? "which will be trusted from the first contact on; compare it with the server's console (KVM), or set technicia:ssh.hostKey"
          : "as technicia:ssh.hostKey requires"),
    );
  } catch (error) {
    call.signal.throwIfAborted();
    if (error instanceof UserError && error.message.startsWith("technicia:ssh.hostKey")) throw error;
    call.log.info(`host key: ${where(endpoint)} does not answer yet; ${advice}`);
  }
}

/** Refuses a port that would be the only one admitted although nobody answers there. */
async function requireAnswer(call: Call, endpoint: Endpoint): Promise<void> {
  try {
    await fetchHostKey(endpoint, waitOptions(call, PREVIEW_SECONDS));
  } catch (error) {
    call.signal.throwIfAborted();
    if (!(error instanceof UserError)) throw error;
    throw new UserError(
      `technicia:ssh.port: expected a port on which sshd answers, got ${endpoint.port}, where nobody does; set technicia:ssh.nextPort to ${endpoint.port} ` +
        "with the earlier technicia:ssh.port and deploy that first; then sshd and the firewalls have both, and the port can change",
      { cause: error },
    );
  }
}

/** Refuses a fingerprint that belongs to none of the host's keys, of which the pinned one need not be the same kind. */
async function requireExpected(
  call: Call,
  { expected, ...endpoint }: Endpoint & { readonly expected: string | undefined },
  pinned: Outputs,
): Promise<void> {
  if (expected === undefined || pinned.fingerprint === expected) return;
  await fetchExpected(endpoint, { ...waitOptions(call, ANSWER_SECONDS), expected });
}

/** The key of the host that has the expected fingerprint: a console shows one for each kind, and people copy any of them. */
async function fetchExpected(
  endpoint: Endpoint,
  { expected, ...options }: WaitOptions & { readonly expected: string | undefined },
): Promise<Buffer> {
  const key = await fetchHostKey(endpoint, { ...options, wanted: expected });
  if (expected === undefined || fingerprint(key) === expected) return key;
  throw new UserError(
    `technicia:ssh.hostKey: expected the host key ${expected} at ${where(endpoint)}, got ${fingerprint(key)}; another machine answers there, ` +
      "or the setting is wrong: compare it with what the server's console (KVM) prints for ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub",
  );
}

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
