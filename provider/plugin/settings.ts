/** The provider's own configuration, and the host that it names. */
import { z } from "zod";
import { isSafeForKeys } from "../../common/api-address.ts";
import { UserError } from "../../common/user-error.ts";
import type { Settings } from "./definition.ts";
import type { Target } from "../ssh/connect.ts";
import { readPublicKey } from "../ssh/keys.ts";

const DEFAULT_PORT = "22";
const DEFAULT_USER = "root";

const isPort = (text: string): boolean =>
  /^\d{1,5}$/.test(text) && Number(text) >= 1 && Number(text) <= 65535;

/** Settings that are secret even when the program does not mark them. */
export const SECRET_SETTINGS = [
  "ovhApplicationKey",
  "ovhApplicationSecret",
  "ovhConsumerKey",
  "ovhClientId",
  "ovhClientSecret",
];

export const settingsSchema = z.strictObject({
  hostAddress: z
    .string()
    .regex(/^[^\s/@]+$/, "a host name or an IP address, without scheme, user or port")
    .optional(),
  hostPort: z.string().refine(isPort, "a port between 1 and 65535, in digits").optional(),
  hostUser: z
    .string()
    .regex(/^[a-z_][a-z0-9_-]*$/, "a user name")
    .optional(),
  hostPrivateKeyFile: z.string().min(1, "the path of a private key file").optional(),
  hostKey: z.string().refine(isPublicKey, "a public key such as ssh-ed25519 AAAA…").optional(),
  serverId: z.string().optional(),
  ovhEndpoint: z
    .string()
    .refine(
      (endpoint) =>
        /^ovh-(eu|ca|us)$/.test(endpoint) || (isSafeForKeys(endpoint) && /[^/\s]$/.test(endpoint)),
      "ovh-eu, ovh-ca, ovh-us or a URL with https and without a trailing slash",
    )
    .optional(),
  ovhApplicationKey: z.string().min(1, "a key").optional(),
  ovhApplicationSecret: z.string().min(1, "a secret").optional(),
  ovhConsumerKey: z.string().min(1, "a key").optional(),
  ovhClientId: z.string().min(1, "an id").optional(),
  ovhClientSecret: z.string().min(1, "a secret").optional(),
});

/** Settings whose change means another installation, so that everything on it is recreated. */
export const REPLACING_SETTINGS = ["serverId"];

export function targetOf(settings: Settings): Target {
  if (settings.hostAddress === undefined) {
    throw new UserError(
      "hostAddress: expected a host name or an IP address, got nothing; set it on the Connection of this resource",
    );
  }
  return {
    address: settings.hostAddress,
    port: Number(settings.hostPort ?? DEFAULT_PORT),
    user: settings.hostUser ?? DEFAULT_USER,
    privateKeyFile: settings.hostPrivateKeyFile,
    hostKey: settings.hostKey,
  };
}

function isPublicKey(text: string): boolean {
  try {
    readPublicKey(text);
    return true;
  } catch {
    return false;
  }
}
