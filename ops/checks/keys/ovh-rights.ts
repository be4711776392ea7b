/** The calls to OVH that a deployment makes, and those that its key should not be allowed to make. */
import type { StackOutputs } from "../../../stacks/deployment-status.ts";
import type { Environment } from "../../../stacks/environment.ts";

/** `POST /vps/vps-1/rebuild` */
export interface Right {
  readonly method: string;
  readonly path: string;
}

export interface RightsContext {
  readonly environment: Pick<Environment, "server" | "dns">;
  readonly outputs: Pick<StackOutputs, "deploymentStatus" | "ipv4"> | undefined;
}

/** Any server: the stack's own while it has none, or somebody else's. */
const OTHER = "vps-00000000.vps.ovh.net";

const ORDER_RIGHTS: readonly string[] = [
  "GET POST /order/cart",
  "GET DELETE /order/cart/1",
  "POST /order/cart/1/assign",
  "POST /order/cart/1/vps",
  "POST /order/cart/1/item/1/configuration",
  "GET POST /order/cart/1/checkout",
  "GET /me/payment/method",
  "GET /me/order",
  "GET /me/order/1/status",
  "GET /me/order/1/details",
  "POST /me/order/1/pay",
  "GET /vps",
  `GET /vps/${OTHER}/images/available`,
  `POST /vps/${OTHER}/rebuild`,
];

export function neededRights(context: RightsContext): Right[] {
  const { server, dns } = context.environment;
  const vps = `/vps/${serviceOf(context)}`;
  const ip = context.outputs?.ipv4 ?? "192.0.2.1";
  const block = `/ip/${ip}%2F32`;
  const zone = `/domain/zone/${dns.zone}`;
  return rights(
    "GET /auth/details",
    `GET PUT ${vps}`,
    `GET ${vps}/ips`,
    `GET ${vps}/tasks`,
    `GET ${vps}/images/current`,
    `GET${server.deleteAtExpiry ? " PUT" : ""} ${vps}/serviceInfos`,
    `GET POST ${block}/firewall`,
    `GET PUT DELETE ${block}/firewall/${ip}`,
    `GET POST ${block}/firewall/${ip}/rule`,
    `GET DELETE ${block}/firewall/${ip}/rule/1`,
    `POST ${block}/reverse`,
    `GET DELETE ${block}/reverse/${ip}`,
    ...(dns.provider === "ovh"
      ? [`GET POST ${zone}/record`, `GET PUT DELETE ${zone}/record/1`, `POST ${zone}/refresh`]
      : []),
    ...(isOrdering(context) ? ORDER_RIGHTS : []),
  );
}

export function dangerousRights(context: RightsContext): Right[] {
  const vps = `/vps/${serviceOf(context)}`;
  return rights(
    `POST ${vps}/terminate`,
    `POST ${vps}/confirmTermination`,
    `DELETE ${vps}`,
    // This mail holds the token that confirms a termination.
    "GET /me/notification/email/history/1",
    "PUT /me",
    "PUT DELETE /me/api/credential/1",
    "POST /me/identity/user",
    "POST /domain/zone/autre.example/record",
    "POST /cloud/project",
    ...(isOrdering(context)
      ? []
      : [
          `POST ${vps}/rebuild`,
          `POST ${vps}/reinstall`,
          "POST /order/cart/1/checkout",
          "POST /me/order/1/pay",
        ]),
  );
}

/** Whether the rule grants the right; `*` in a rule stands for anything, slashes included. */
export function covers(rule: Right, right: Right): boolean {
  if (rule.method !== right.method && rule.method !== "*") return false;
  const pattern = rule.path
    .split("*")
    .map((part) => part.replace(/[.+?^${}()|[\]\\]/g, "\\$&"))
    .join(".*");
  return [right.path, decodeURIComponent(right.path)].some((path) => new RegExp(`^${pattern}$`).test(path));
}

/** Until the stack has a server, the key orders one and installs it. */
function isOrdering({ environment, outputs }: RightsContext): boolean {
  return environment.server.source.kind === "order" && outputs === undefined;
}

function serviceOf({ environment, outputs }: RightsContext): string {
  const { source } = environment.server;
  return source.kind === "adopt"
    ? source.serviceName
    : (outputs?.deploymentStatus.server.serviceName ?? OTHER);
}

/** Reads lines such as `GET PUT /vps/vps-1`. */
function rights(...lines: readonly string[]): Right[] {
  return lines.flatMap((line) => {
    const [path = "", ...methods] = line.split(" ").reverse();
    return methods.reverse().map((method) => ({ method, path }));
  });
}
