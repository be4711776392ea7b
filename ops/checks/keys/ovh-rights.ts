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

export function neededRights(context: RightsContext): Right[] {
  const { server, dns } = context.environment;
  const vps = `/vps/${serviceOf(context)}`;
  const ip = context.outputs?.ipv4 ?? "192.0.2.1";
  const block = `/ip/${ip}%2F32`;
  return [
    ...rights("/auth/details", "GET"),
    ...rights(vps, "GET", "PUT"),
    ...rights(`${vps}/ips`, "GET"),
    ...rights(`${vps}/tasks`, "GET"),
    ...rights(`${vps}/images/current`, "GET"),
    ...rights(`${vps}/serviceInfos`, "GET", ...(server.deleteAtExpiry ? ["PUT"] : [])),
    ...rights(`${block}/firewall`, "GET", "POST"),
    ...rights(`${block}/firewall/${ip}`, "GET", "PUT", "DELETE"),
    ...rights(`${block}/firewall/${ip}/rule`, "GET", "POST"),
    ...rights(`${block}/firewall/${ip}/rule/1`, "GET", "DELETE"),
    ...rights(`${block}/reverse`, "POST"),
    ...rights(`${block}/reverse/${ip}`, "GET", "DELETE"),
    ...(dns.provider === "ovh"
      ? [
          ...rights(`/domain/zone/${dns.zone}/record`, "GET", "POST"),
          ...rights(`/domain/zone/${dns.zone}/record/1`, "GET", "PUT", "DELETE"),
          ...rights(`/domain/zone/${dns.zone}/refresh`, "POST"),
        ]
      : []),
    ...(isOrdering(context) ? orderRights() : []),
  ];
}

export function dangerousRights(context: RightsContext): Right[] {
  const vps = `/vps/${serviceOf(context)}`;
  return [
    ...rights(`${vps}/terminate`, "POST"),
    ...rights(`${vps}/confirmTermination`, "POST"),
    ...rights(vps, "DELETE"),
    // This mail holds the token that confirms a termination.
    ...rights("/me/notification/email/history/1", "GET"),
    ...rights("/me", "PUT"),
    ...rights("/me/api/credential/1", "PUT", "DELETE"),
    ...rights("/me/identity/user", "POST"),
    ...rights("/domain/zone/autre.example/record", "POST"),
    ...rights("/cloud/project", "POST"),
    ...(isOrdering(context)
      ? []
      : [
          ...rights(`${vps}/rebuild`, "POST"),
          ...rights(`${vps}/reinstall`, "POST"),
          ...rights("/order/cart/1/checkout", "POST"),
          ...rights("/me/order/1/pay", "POST"),
        ]),
  ];
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

function orderRights(): Right[] {
  return [
    ...rights("/order/cart", "GET", "POST"),
    ...rights("/order/cart/1", "GET", "DELETE"),
    ...rights("/order/cart/1/assign", "POST"),
    ...rights("/order/cart/1/vps", "POST"),
    ...rights("/order/cart/1/item/1/configuration", "POST"),
    ...rights("/order/cart/1/checkout", "GET", "POST"),
    ...rights("/me/payment/method", "GET"),
    ...rights("/me/order", "GET"),
    ...rights("/me/order/1/status", "GET"),
    ...rights("/me/order/1/details", "GET"),
    ...rights("/me/order/1/pay", "POST"),
    ...rights("/vps", "GET"),
    ...rights(`/vps/${OTHER}/images/available`, "GET"),
    ...rights(`/vps/${OTHER}/rebuild`, "POST"),
  ];
}

function rights(path: string, ...methods: readonly string[]): Right[] {
  return methods.map((method) => ({ method, path }));
}
