import { isIPv4 } from "node:net";

import { ovhDate } from "../clock.ts";
import type { JobHandler } from "../jobs.ts";
import type { ApiRequest, Params, Routes } from "../api/routes.ts";
import {
  between,
  type Body,
  boolean,
  ipv4,
  ipv4Block,
  object,
  oneOf,
  optional,
  readBody,
  required,
} from "./body.ts";
import { enforce, now, type OvhContext } from "./context.ts";
import { badRequest, conflict, notFound, OvhError } from "./errors.ts";
import { requireBlock } from "./reverse.ts";
import type { Firewall, FirewallRule } from "./state.ts";

const PROTOCOLS = ["ah", "esp", "gre", "icmp", "ipv4", "tcp", "udp"];
const SEQUENCES = Array.from({ length: 20 }, (_, sequence) => sequence);

/** The edge network firewall of an address and its rules. */
export function firewallRoutes(context: OvhContext): Routes {
  return {
    ...addressRoutes(context),
    ...ruleRoutes(context),
  };
}

function addressRoutes(context: OvhContext): Routes {
  const { state, jobs, delays } = context;
  return {
    "GET /ip/{ip}/firewall": ({ query }, params) => {
      const block = requireIpv4Block(context, params);
      return state.firewalls
        .filter((firewall) => block.includes(firewall.ip))
        .filter((firewall) => !query.has("enabled") || String(firewall.enabled) === query.get("enabled"))
        .filter((firewall) => !query.has("state") || firewall.state === query.get("state"))
        .map((firewall) => firewall.ip);
    },
    "POST /ip/{ip}/firewall": (request, params) => {
      const block = requireIpv4Block(context, params);
      const ip = String(readBody(request, { ipOnFirewall: required(ipv4) })["ipOnFirewall"]);
      if (!block.includes(ip)) throw badRequest(`IP ${ip} is not in block ${params["ip"]}`);
      if (state.firewalls.some((firewall) => firewall.ip === ip)) {
        throw conflict(`Firewall for ${ip} already exists`);
      }
      const firewall: Firewall = { ip, enabled: false, state: "ok", rules: [] };
      state.firewalls.push(firewall);
      return render(firewall);
    },
    "GET /ip/{ip}/firewall/{ipOnFirewall}": (_, params) => render(firewallOf(context, params)),
    "PUT /ip/{ip}/firewall/{ipOnFirewall}": (request, params) => {
      const firewall = firewallOf(context, params);
      const { enabled } = readBody(request, { enabled: required(boolean) });
      refuseWhilePending(firewall);
      if (enabled !== firewall.enabled) {
        firewall.enabled = enabled === true;
        firewall.state = firewall.enabled ? "enableFirewallPending" : "disableFirewallPending";
        jobs.add("firewall:switched", { ip: firewall.ip }, delays.firewallMs);
      }
      return null;
    },
    "DELETE /ip/{ip}/firewall/{ipOnFirewall}": async (_, params) => {
      const firewall = firewallOf(context, params);
      refuseWhilePending(firewall);
      await enforce(context, { ...firewall, enabled: false, rules: [] });
      state.firewalls = state.firewalls.filter((other) => other !== firewall);
      return null;
    },
  };
}

function ruleRoutes(context: OvhContext): Routes {
  const { jobs, delays } = context;
  return {
    "GET /ip/{ip}/firewall/{ipOnFirewall}/rule": ({ query }, params) =>
      firewallOf(context, params)
        .rules.filter((rule) => !query.has("state") || rule.state === query.get("state"))
        .map((rule) => rule.sequence),
    "POST /ip/{ip}/firewall/{ipOnFirewall}/rule": (request, params) => {
      const firewall = firewallOf(context, params);
      const rule = readRule(context, request);
      // A rule that is being removed still holds its sequence.
      if (firewall.rules.some(({ sequence }) => sequence === rule.sequence)) {
        throw sequenceTaken(context, rule.sequence);
      }
      firewall.rules.push(rule);
      jobs.add("rule:created", { ip: firewall.ip, sequence: rule.sequence }, delays.ruleMs);
      return renderRule(firewall, rule);
    },
    "GET /ip/{ip}/firewall/{ipOnFirewall}/rule/{sequence}": (_, params) =>
      renderRule(firewallOf(context, params), ruleOf(context, params)),
    "DELETE /ip/{ip}/firewall/{ipOnFirewall}/rule/{sequence}": (_, params) => {
      const firewall = firewallOf(context, params);
      const rule = ruleOf(context, params);
      if (rule.state !== "ok") throw conflict(`Rule ${rule.sequence} is being updated (${rule.state})`);
      rule.state = "removalPending";
      jobs.add("rule:removed", { ip: firewall.ip, sequence: rule.sequence }, delays.ruleMs);
      return renderRule(firewall, rule);
    },
  };
}

function firewallOf(context: OvhContext, params: Params): Firewall {
  requireIpv4Block(context, params);
  const firewall = context.state.firewalls.find(({ ip }) => ip === params["ipOnFirewall"]);
  if (!firewall) throw notFound("The requested object (ipOnFirewall) does not exist");
  return firewall;
}

function ruleOf(context: OvhContext, params: Params): FirewallRule {
  const { rules } = firewallOf(context, params);
  const rule = rules.find(({ sequence }) => String(sequence) === params["sequence"]);
  if (!rule) throw notFound("The requested object (sequence) does not exist");
  return rule;
}

function refuseWhilePending(firewall: Firewall): void {
  if (firewall.state !== "ok") throw conflict(`Firewall ${firewall.ip} is being updated`);
}

/** End the pending states. Each ends only once the edge applies the change. */
export function firewallJobs(context: OvhContext): Readonly<Record<string, JobHandler>> {
  const find = (ip: unknown): Firewall | undefined =>
    context.state.firewalls.find((firewall) => firewall.ip === ip);

  return {
    "firewall:switched": async ({ ip }) => {
      const firewall = find(ip);
      if (!firewall) return;
      await enforce(context, { ...firewall, state: "ok" });
      firewall.state = "ok";
    },
    "rule:created": async ({ ip, sequence }) => {
      const firewall = find(ip);
      const rule = firewall?.rules.find((candidate) => candidate.sequence === sequence);
      if (!firewall || rule?.state !== "creationPending") return;
      const others = firewall.rules.filter((other) => other !== rule);
      await enforce(context, { ...firewall, rules: [...others, { ...rule, state: "ok" }] });
      rule.state = "ok";
    },
    "rule:removed": async ({ ip, sequence }) => {
      const firewall = find(ip);
      const rule = firewall?.rules.find((candidate) => candidate.sequence === sequence);
      if (!firewall || rule?.state !== "removalPending") return;
      await enforce(context, { ...firewall, rules: firewall.rules.filter((other) => other !== rule) });
      firewall.rules = firewall.rules.filter((other) => other !== rule);
    },
  };
}

function requireIpv4Block(context: OvhContext, params: Params): readonly string[] {
  const block = requireBlock(context, params["ip"] ?? "");
  if (!block.every((address) => isIPv4(address))) throw badRequest("Firewall is only available for IPv4");
  return block;
}

function readRule(context: OvhContext, request: ApiRequest): FirewallRule {
  const body = readBody(request, {
    action: required(oneOf("ip.FirewallActionEnum", ["permit", "deny"])),
    protocol: required(oneOf("ip.FirewallProtocolEnum", PROTOCOLS)),
    sequence: required(oneOf("ip.FirewallSequenceRangeEnum", SEQUENCES)),
    source: optional(ipv4Block),
    destinationPort: optional(between(0, 65535)),
    sourcePort: optional(between(0, 65535)),
    tcpOption: optional(
      object({
        option: optional(oneOf("ip.FirewallTCPOptionEnum", ["established", "syn"])),
        fragments: optional(boolean),
      }),
    ),
  });
  const { protocol } = body;
  const hasPorts = isSet(body["destinationPort"]) || isSet(body["sourcePort"]);
  if (hasPorts && protocol !== "tcp" && protocol !== "udp") {
    throw badRequest(`Ports cannot be used with protocol ${String(protocol)}`);
  }
  if (isSet(body["tcpOption"]) && protocol !== "tcp") {
    throw badRequest(`tcpOption cannot be used with protocol ${String(protocol)}`);
  }
  return ruleFrom(context, body);
}

function ruleFrom(context: OvhContext, body: Body): FirewallRule {
  const given = body as Partial<FirewallRule>;
  const tcpOption = body["tcpOption"] as
    { option?: "established" | "syn"; fragments?: boolean } | null | undefined;
  return {
    sequence: given.sequence ?? 0,
    action: given.action ?? "permit",
    protocol: given.protocol ?? "ipv4",
    source: given.source ?? null,
    destinationPort: given.destinationPort ?? null,
    sourcePort: given.sourcePort ?? null,
    tcpOption: tcpOption?.option ?? null,
    fragments: tcpOption?.fragments ?? null,
    state: "creationPending",
    creationDate: ovhDate(now(context)),
  };
}

function sequenceTaken(context: OvhContext, sequence: number): OvhError {
  const message = `A rule with sequence ${sequence} already exists`;
  return context.ruleConflictStatus === 409 ? conflict(message) : badRequest(message);
}

function render(firewall: Firewall): unknown {
  return { ipOnFirewall: firewall.ip, enabled: firewall.enabled, state: firewall.state };
}

function renderRule(firewall: Firewall, rule: FirewallRule): unknown {
  const source = rule.source === null ? "any" : rule.source.includes("/") ? rule.source : `${rule.source}/32`;
  const port = (value: number | null): string | null => (value === null ? null : `eq ${value}`);
  const destination = `${firewall.ip}/32`;
  const words = [
    rule.action,
    rule.protocol,
    source,
    port(rule.sourcePort),
    destination,
    port(rule.destinationPort),
    rule.tcpOption,
  ];
  return {
    sequence: rule.sequence,
    action: rule.action,
    protocol: rule.protocol,
    source,
    sourcePort: port(rule.sourcePort),
    destination,
    destinationPort: port(rule.destinationPort),
    tcpOption: rule.tcpOption,
    fragments: rule.fragments,
    rule: words.filter((word) => word !== null).join(" "),
    state: rule.state,
    creationDate: rule.creationDate,
  };
}

function isSet(value: unknown): boolean {
  return value !== undefined && value !== null;
}
