/**
 * DNS records that nobody declared, where they change what a name of this environment answers.
 *
 * The vendor's zone holds other people's records as well, of kinds that only one vendor knows: what does not lead our visitors or a certificate
 * authority elsewhere is neither reported nor touched.
 */
import { NOTHING_EXTRA } from "../../common/nothing-extra.ts";
import { publicNames, type Environment } from "../../stacks/environment.ts";
import type { DnsRecord, DnsZone } from "../../provider/dns/records.ts";
import type { Finding } from "./report.ts";

export interface ForeignRecord extends DnsRecord {
  /** Name of ours whose answers it changes. */
  readonly changes: string;

  /**
   * `delete`: a repair deletes it. `ask`: only when somebody agrees to exactly that, because others may need it. `leave`: never, because it
   * answers only until our own record is back.
   */
  readonly remedy: "delete" | "ask" | "leave";
}

/** Addresses, and who may issue certificates for them. */
const LEADS = /^(A|AAAA|CNAME)$/;
const ISSUES = /^\d+\s+issue(wild)?\s/i;

/** Of these a browser or a resolver takes other addresses; somebody made them for a purpose of their own. */
const REDIRECTS = /^(HTTPS|SVCB|ALIAS|ANAME|DNAME|NS|DS)$/;

/** Of these, one on a name above ours takes every name below. */
const TAKES_ALL_BELOW = /^(DNAME|NS)$/;

/** `declared`: ids of the records that the program declares. */
export async function findForeignRecords(
  { environment, declared }: { readonly environment: Environment; readonly declared: ReadonlySet<string> },
  zone: DnsZone,
): Promise<ForeignRecord[]> {
  const top = environment.dns.zone;
  const listed = new Map<string, Promise<readonly DnsRecord[]>>();
  const list = (name: string) => {
    const known = listed.get(name) ?? zone.list(name);
    listed.set(name, known);
    return known;
  };
  const found = new Map<string, ForeignRecord>();
  const add = (records: readonly DnsRecord[], about: Pick<ForeignRecord, "changes" | "remedy">) => {
    for (const record of records) {
      if (!declared.has(record.id) && !found.has(record.id)) found.set(record.id, { ...record, ...about });
    }
  };
  for (const name of publicNames(environment)) {
    const own = await list(name);
    const others = own.filter((record) => !isRepeated(record, own, declared));
    add(others.filter(leadsElsewhere), { changes: name, remedy: "delete" });
    const isZone = ({ type }: DnsRecord) => name === top && type === "NS";
    add(
      others.filter((record) => REDIRECTS.test(record.type) && !isZone(record)),
      { changes: name, remedy: "ask" },
    );
    for (const above of namesAbove(name, top)) {
      const takers = (await list(above)).filter(({ type }) => TAKES_ALL_BELOW.test(type));
      add(
        takers.filter(({ type }) => above !== top || type !== "NS"),
        { changes: name, remedy: "ask" },
      );
      // A name that exists, with whatever record, is never answered by a wildcard.
      if (own.length > 0) continue;
      const wild = (await list(`*.${above}`)).filter(
        (record) => leadsElsewhere(record) || REDIRECTS.test(record.type),
      );
      add(wild, { changes: name, remedy: "leave" });
    }
  }
  return [...found.values()];
}

function leadsElsewhere({ type, content }: DnsRecord): boolean {
  return LEADS.test(type) || (type === "CAA" && ISSUES.test(content));
}

/** A record that says once more what a declared one says changes no answer. */
function isRepeated(
  { type, content }: DnsRecord,
  all: readonly DnsRecord[],
  declared: ReadonlySet<string>,
): boolean {
  return all.some((other) => declared.has(other.id) && other.type === type && other.content === content);
}

/** `a.b.exemple.fr` in the zone `exemple.fr` → `b.exemple.fr`, `exemple.fr`. */
function namesAbove(name: string, top: string): string[] {
  if (name === top) return [];
  const labels = name.slice(0, -(top.length + 1)).split(".");
  return [...labels.slice(1).map((_, index) => [...labels.slice(index + 1), top].join(".")), top];
}

const REPAIRS: Readonly<Record<ForeignRecord["remedy"], (record: ForeignRecord) => string>> = {
  delete: () => "it is deleted; resolvers keep the answer until its time to live ends",
  ask: ({ name, type }) =>
    `it may serve something else, so it is deleted only by a repair that you confirm yourself, without --yes; or delete the ${type} record of ${name} at the vendor`,
  leave: ({ changes }) =>
    `it is kept; it answers for ${changes} only until the records of ${changes} are back`,
};

export function describeForeignRecord(record: ForeignRecord): Finding {
  const { name, type, content, changes, remedy } = record;
  return {
    layer: "dns",
    resource: name,
    what: `${type} record that nobody declared${name === changes ? "" : `, which answers for ${changes}`}`,
    expected: [NOTHING_EXTRA],
    found: [`${type} ${content}`],
    repair: REPAIRS[remedy](record),
  };
}
