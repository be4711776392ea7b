/** DNS records under our names that nobody declared. */
import { NOTHING_EXTRA } from "../../common/nothing-extra.ts";
import type { DnsRecord, DnsZone } from "../vendors/dns-records.ts";
import type { Finding } from "./finding.ts";
import type { StateResource } from "../engine/state.ts";

export interface ExtraRecords {
  readonly records: readonly DnsRecord[];
  readonly findings: readonly Finding[];
}

/** At the top of a zone these belong to the zone: its servers, its mail, its proofs of ownership. */
const OF_THE_ZONE = /^(NS|SOA|MX|TXT|DNSKEY|DS|CDS|CDNSKEY)$/;

/** Looks under exactly these names; a host below them is none of ours. */
export async function findExtraRecords(
  names: readonly string[],
  { zone, of }: { readonly zone: string; readonly of: DnsZone },
  things: readonly StateResource[],
): Promise<ExtraRecords> {
  const declared = new Set(
    things.filter(({ type }) => /DnsRecord$|ZoneRecord$/.test(type)).map(({ id = "" }) => id),
  );
  const records: DnsRecord[] = [];
  for (const name of names) {
    const found = (await of.list(name)).filter(
      (record) => !declared.has(record.id) && !(name === zone && OF_THE_ZONE.test(record.type)),
    );
    records.push(...found);
  }
  return { records, findings: records.map(findingOf) };
}

function findingOf({ name, type, content }: DnsRecord): Finding {
  return {
    layer: "dns",
    resource: name,
    what: `${type} record that nobody declared`,
    expected: [NOTHING_EXTRA],
    found: [`${type} ${content}`],
    repair: "it is deleted; resolvers keep the answer until its time to live is over",
  };
}
