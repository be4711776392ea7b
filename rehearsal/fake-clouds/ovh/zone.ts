import { isIPv4, isIPv6 } from "node:net";

import type { JobHandler } from "../jobs.ts";
import type { Params, Routes } from "../api/routes.ts";
import { long, oneOf, optional, readBody, required, string } from "./body.ts";
import { newId, type OvhContext } from "./context.ts";
import { badRequest, notFound } from "./errors.ts";
import type { Zone, ZoneRecord } from "./state.ts";

const TYPES = ["A", "AAAA", "CAA", "CNAME", "MX", "NS", "SRV", "TXT"];

/** Zones held at OVH. Records are answered by the name servers only after a refresh. */
export function zoneRoutes(context: OvhContext): Routes {
  return {
    ...wholeZoneRoutes(context),
    ...recordRoutes(context),
  };
}

function wholeZoneRoutes(context: OvhContext): Routes {
  const { state } = context;
  return {
    "GET /domain/zone": () => state.zones.map((zone) => zone.name),
    "GET /domain/zone/{zoneName}": (_, params) => ({
      name: zoneOf(context, params).name,
      hasDnsAnycast: false,
      dnssecSupported: true,
      lastUpdate: new Date(context.clock.now()).toISOString(),
      nameServers: ["dns10.ovh.net", "ns10.ovh.net"],
    }),
  };
}

function recordRoutes(context: OvhContext): Routes {
  const { jobs, delays } = context;
  return {
    "GET /domain/zone/{zoneName}/record": ({ query }, params) =>
      zoneOf(context, params)
        .records.filter((record) => !query.has("fieldType") || record.fieldType === query.get("fieldType"))
        .filter((record) => !query.has("subDomain") || record.subDomain === query.get("subDomain"))
        .map((record) => record.id),
    "POST /domain/zone/{zoneName}/record": (request, params) => {
      const zone = zoneOf(context, params);
      const body = readBody(request, {
        fieldType: required(oneOf("zone.NamedResolutionFieldTypeEnum", TYPES)),
        subDomain: optional(string),
        target: required(string),
        ttl: optional(long),
      });
      const record = readRecord(newId(context), body);
      requireRoom(zone, record);
      zone.records.push(record);
      return renderRecord(zone, record);
    },
    "GET /domain/zone/{zoneName}/record/{id}": (_, params) =>
      renderRecord(zoneOf(context, params), recordOf(context, params)),
    "PUT /domain/zone/{zoneName}/record/{id}": (request, params) => {
      const zone = zoneOf(context, params);
      const record = recordOf(context, params);
      const body = readBody(request, {
        subDomain: optional(string),
        target: optional(string),
        ttl: optional(long),
      });
      const changed = readRecord(record.id, { ...record, ...(body as Partial<ZoneRecord>) });
      requireRoom({ ...zone, records: zone.records.filter((other) => other !== record) }, changed);
      Object.assign(record, changed);
      return null;
    },
    "DELETE /domain/zone/{zoneName}/record/{id}": (_, params) => {
      const zone = zoneOf(context, params);
      const record = recordOf(context, params);
      zone.records = zone.records.filter((other) => other !== record);
      return null;
    },
    "POST /domain/zone/{zoneName}/refresh": (_, params) => {
      jobs.add("zone:publish", { name: zoneOf(context, params).name }, delays.zoneRefreshMs);
      return null;
    },
  };
}

function zoneOf({ state }: OvhContext, params: Params): Zone {
  const zone = state.zones.find(({ name }) => name === params["zoneName"]);
  if (!zone) throw notFound("This service does not exist");
  return zone;
}

function recordOf(context: OvhContext, params: Params): ZoneRecord {
  const record = zoneOf(context, params).records.find(({ id }) => String(id) === params["id"]);
  if (!record) throw notFound("The requested object (id) does not exist");
  return record;
}

export function zoneJobs(context: OvhContext): Readonly<Record<string, JobHandler>> {
  return {
    "zone:publish": ({ name }) => {
      const zone = context.state.zones.find((candidate) => candidate.name === name);
      if (!zone) return;
      zone.published = structuredClone(zone.records);
      zone.serial += 1;
    },
  };
}

/** A record as OVH keeps it: text quoted, values checked. */
export function readRecord(id: number, given: Partial<ZoneRecord>): ZoneRecord {
  const fieldType = given.fieldType ?? "";
  const ttl = given.ttl ?? 0;
  if (ttl !== 0 && ttl < 60) throw badRequest("[ttl] Given data must be 0 or at least 60");
  const target = given.target ?? "";
  const bad =
    target === "" ||
    (fieldType === "A" && !isIPv4(target)) ||
    (fieldType === "AAAA" && !isIPv6(target)) ||
    (fieldType === "CAA" && !/^\d{1,3} (issue|issuewild|iodef) "?[^"]*"?$/.test(target));
  if (bad) throw badRequest(`[target] Given data (${target}) is not valid for a record of type ${fieldType}`);
  const isBareText = fieldType === "TXT" && !target.startsWith('"');
  return {
    id,
    fieldType,
    subDomain: given.subDomain ?? "",
    target: isBareText ? `"${target}"` : target,
    ttl,
  };
}

function requireRoom(zone: Zone, record: ZoneRecord): void {
  const beside = zone.records.filter((other) => other.subDomain === record.subDomain);
  if (beside.some((other) => other.fieldType === record.fieldType && other.target === record.target)) {
    throw badRequest("This record already exists");
  }
  if (beside.some((other) => (other.fieldType === "CNAME") !== (record.fieldType === "CNAME"))) {
    throw badRequest("A CNAME record cannot stand beside another record of the same name");
  }
}

function renderRecord(zone: Zone, record: ZoneRecord): unknown {
  return { zone: zone.name, ...record };
}
