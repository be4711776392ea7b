/** DNS records under our names that nobody declared. */
import { NOTHING_EXTRA } from "../../common/nothing-extra.ts";
import type { StateResource } from "../engine/state.ts";
import type { DnsRecord, DnsZone } from "../vendors/dns-records.ts";
import type { Finding } from "./finding.ts";

/** At the top of a zone these belong to the zone: its servers, its mail, its proofs of ownership. */
const OF_THE_ZONE = /^(NS|SOA|MX|TXT|DNSKEY|DS|CDS|CDNSKEY)$/;

export interface ExtraRecordsRequest {
  /** Exactly these are looked at; a host below them is not ours. */
  readonly names: readonly string[];

  /** Name of the zone. */
  readonly zone: string;
  readonly dns: DnsZone;

  /** Resources of the state, of every type. */
  readonly declared: readonly StateResource[];
}

export async function findExtraRecords(request: ExtraRecordsRequest): Promise<DnsRecord[]> {
  const { names, zone, dns, declared } = request;
  const ids = new Set(
    declared.filter(({ type }) => /DnsRecord$|ZoneRecord$/.test(type)).map(({ id = "" }) => id),
  );
  const records: DnsRecord[] = [];
  for (const name of names) {
    const found = (await dns.list(name)).filter(
      (record) => !ids.has(record.id) && !(name === zone && OF_THE_ZONE.test(record.type)),
    );
    records.push(...found);
  }
  return records;
}

export function describeExtraRecord({ name, type, content }: DnsRecord): Finding {
  return {
    layer: "dns",
    resource: name,
    what: `${type} record that nobody declared`,
    expected: [NOTHING_EXTRA],
    found: [`${type} ${content}`],
    repair: "it is deleted; resolvers keep the answer until its time to live ends",
  };
}
