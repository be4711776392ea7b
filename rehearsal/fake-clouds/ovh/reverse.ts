import { isIPv4 } from "node:net";

import type { Params, Routes } from "../api/routes.ts";
import { optional, readBody, required, string } from "./body.ts";
import { addressesOf, type OvhContext } from "./context.ts";
import { badRequest, notFound } from "./errors.ts";
import type { OvhState, VpsService } from "./state.ts";

/** The reverse names of the account's addresses. */
export function reverseRoutes(context: OvhContext): Routes {
  const { state } = context;
  const addressOf = (params: Params): string => {
    const ip = params["ipReverse"] ?? "";
    if (!requireBlock(context, params["ip"] ?? "").includes(ip) || state.reverses[ip] === undefined) {
      throw notFound("The requested object (ipReverse) does not exist");
    }
    return ip;
  };

  return {
    "GET /ip": ({ query }) => {
      const service = query.get("routedTo.serviceName");
      return state.servers
        .filter((server) => service === null || server.serviceName === service)
        .flatMap(addressesOf)
        .map((address) => `${address}/${isIPv4(address) ? 32 : 128}`);
    },
    "GET /ip/{ip}": (_, params) => {
      const [address = ""] = requireBlock(context, params["ip"] ?? "");
      const server = ownerOf(state, address);
      return {
        ip: `${address}/${isIPv4(address) ? 32 : 128}`,
        type: "vps",
        version: isIPv4(address) ? 4 : 6,
        routedTo: { serviceName: server?.serviceName ?? null },
        canBeTerminated: false,
        bringYourOwnIp: false,
        isAdditionalIp: false,
        country: "fr",
        campus: "GRA",
        regions: ["eu-west-gra"],
        rir: "RIPE",
        description: null,
        organisationId: null,
      };
    },
    "GET /ip/{ip}/reverse": (_, params) =>
      requireBlock(context, params["ip"] ?? "").filter((address) => state.reverses[address] !== undefined),
    "POST /ip/{ip}/reverse": async (request, params) => {
      const block = requireBlock(context, params["ip"] ?? "");
      const body = readBody(request, { ipReverse: required(string), reverse: optional(string) });
      const ip = String(body["ipReverse"]);
      if (!block.includes(ip)) throw badRequest(`IP ${ip} is not in block ${params["ip"]}`);
      const reverse = `${((body["reverse"] as string | undefined) ?? "").replace(/\.$/, "")}.`;
      if (!/^([a-z0-9_-]+\.)+$/i.test(reverse)) throw badRequest(`Invalid reverse: ${reverse}`);
      const addresses = await context.resolve(reverse);
      if (!addresses.includes(ip)) throw badRequest(`Cannot check if ${reverse} resolves to ${ip}`);
      state.reverses[ip] = reverse;
      return { ipReverse: ip, reverse };
    },
    "GET /ip/{ip}/reverse/{ipReverse}": (_, params) => {
      const ip = addressOf(params);
      return { ipReverse: ip, reverse: state.reverses[ip] };
    },
    "DELETE /ip/{ip}/reverse/{ipReverse}": (_, params) => {
      delete state.reverses[addressOf(params)];
      return null;
    },
  };
}

/** The name that an address of the account answers to, set by the user or OVH's own. */
export function reverseOf(state: OvhState, ip: string): string | undefined {
  const owner = ownerOf(state, ip);
  return state.reverses[ip] ?? (owner && `${owner.serviceName}.`);
}

/** The account's addresses in a block: one, as a VPS has them, written with or without its length. */
export function requireBlock(context: OvhContext, block: string): readonly string[] {
  const [address = "", length] = block.split("/");
  const whole = isIPv4(address) ? "32" : "128";
  const server = ownerOf(context.state, address);
  if (!server || (length !== undefined && length !== whole)) throw notFound("This service does not exist");
  return [address];
}

function ownerOf(state: OvhState, ip: string): VpsService | undefined {
  return state.servers.find((server) => addressesOf(server).includes(ip));
}
