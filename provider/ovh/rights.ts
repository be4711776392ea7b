/**
 * The rights of the OVH keys: every call that this project makes, and no other.
 *
 * `docs/accounts.md` shows this table, the fake OVH of the rehearsal grants it, and the check of the keys compares a key with it.
 */

/** A call, or a rule in which `*` stands for anything, slashes included: `GET /vps/*`. */
export interface Right {
  readonly method: string;
  readonly path: string;
}

/** Lines of methods and one path. `<server>`, `<zone>` and `<project>` stand for the user's own. */
export const OVH_RIGHTS = {
  /** For a server that exists: deployments, drift checks and the preflight. */
  operate: [
    "GET /auth/details",
    "GET /auth/currentCredential",
    "GET PUT /vps/<server>",
    "GET /vps/<server>/*",
    "GET POST PUT DELETE /ip/*",
  ],
  /** In addition, when OVH keeps the zone. */
  zone: [
    "GET POST /domain/zone/<zone>/record",
    "GET PUT DELETE /domain/zone/<zone>/record/*",
    "POST /domain/zone/<zone>/refresh",
  ],
  /** In addition, where `server.deleteAtExpiry` is true: a destroy ends the contract. */
  endContract: ["PUT /vps/<server>/serviceInfos"],
  /** In addition, where the program keeps backups: what a refresh reads. A secret is read by a POST. */
  backup: [
    "GET /cloud/project/<project>/user/*",
    "POST /cloud/project/<project>/user/*/s3Credentials/*/secret",
    "GET /cloud/project/<project>/region/*",
  ],
  /** In addition, only for the deployment that makes the bucket and its users, and for the command that makes the administrator. No right deletes either, or any object. */
  backupSetUp: [
    "GET /cloud/project/<project>/role",
    "GET POST /cloud/project/<project>/user",
    "POST /cloud/project/<project>/user/*/policy",
    "POST /cloud/project/<project>/user/*/s3Credentials",
    "POST /cloud/project/<project>/region/*/storage",
    "PUT /cloud/project/<project>/region/*/storage/*",
  ],
  /** For the first deployment of a server that is ordered. Its name is not known yet, so the rules are for any. */
  order: [
    "GET /auth/details",
    "GET /auth/currentCredential",
    "GET /vps",
    "GET PUT /vps/*",
    "POST /vps/*/rebuild",
    "GET POST PUT DELETE /ip/*",
    "GET POST /order/cart",
    "GET POST DELETE /order/cart/*",
    "GET /me/payment/method",
    "GET /me/order",
    "GET /me/order/*",
    "POST /me/order/*/pay",
  ],
} as const satisfies Readonly<Record<string, readonly string[]>>;

/** The rules of a key, as OVH keeps them. */
export function keyRights(
  parts: readonly (keyof typeof OVH_RIGHTS)[],
  names: { readonly server?: string; readonly zone?: string; readonly project?: string } = {},
): Right[] {
  const lines = parts.flatMap((part) => OVH_RIGHTS[part] as readonly string[]);
  return readRights(
    lines.map((line) =>
      line
        .replace("<server>", names.server ?? "*")
        .replace("<zone>", names.zone ?? "*")
        .replace("<project>", names.project ?? "*"),
    ),
  );
}

/** Reads lines such as `GET PUT /vps/vps-1`. */
export function readRights(lines: readonly string[]): Right[] {
  return lines.flatMap((line) => {
    const words = line.split(" ");
    return words.slice(0, -1).map((method) => ({ method, path: words.at(-1) ?? "" }));
  });
}

/** Whether the rule grants the right. */
export function covers(rule: Right, right: Right): boolean {
  if (rule.method !== right.method && rule.method !== "*") return false;
  const pattern = rule.path
    .split("*")
    .map((part) => part.replace(/[.+?^${}()|[\]\\]/g, "\\$&"))
    .join(".*");
  return [right.path, decodeURIComponent(right.path)].some((path) => new RegExp(`^${pattern}$`).test(path));
}
