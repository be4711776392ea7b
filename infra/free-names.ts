/** Keeps the names of an environment free of records that somebody else wrote. */
import * as pulumi from "@pulumi/pulumi";

import {
  type DnsRecord,
  type DnsZone,
  isWanted,
  wantedRecord,
  type WantedRecord,
} from "../provider/dns/records.ts";

/** Kinds of records that change where visitors of the name go, or beside which an address record is refused. */
const RIVALS: readonly string[] = ["A", "AAAA", "CNAME", "DNAME", "HTTPS", "NS", "SVCB"];

export interface FreeNamesArgs {
  /** Zone that holds the names, for example `exemple.fr`. */
  readonly zone: string;

  /** Where a person edits the zone's records, in a sentence. */
  readonly panel: string;

  readonly records: DnsZone;

  /** Addresses of our servers, to all of which the names lead. @default - that of the record alone */
  readonly ours?: ReadonlySet<string>;
}

/**
 * A hook that runs before a record is created, in the preview too.
 *
 * The engine creates only what its state lacks, so whatever the vendor has under the name already is somebody else's. It is named before
 * anything is ordered or changed: beside it ours would be refused, or visitors would reach two servers in turn. A record that is exactly
 * ours is taken over: the vendor refuses a second one, so it makes room just before ours is created.
 */
export function namesStayFree(args: FreeNamesArgs): pulumi.ResourceHook {
  const lists = new Map<string, Promise<readonly DnsRecord[]>>();
  const list = (name: string): Promise<readonly DnsRecord[]> => {
    const known = lists.get(name) ?? args.records.list(name);
    lists.set(name, known);
    return known;
  };
  const check = async ({ type, newInputs }: pulumi.ResourceHookArgs): Promise<void> => {
    const wanted = wantedRecord(type, newInputs);
    if (wanted === undefined) return;
    const present = await list(wanted.name);
    const ours = present.find((record) => isWanted(record, wanted));
    const foreign = present.filter(
      (record) => record !== ours && isRival(record, wanted) && !leadsToUs(record, args),
    );
    if (foreign.length > 0) refuse(wanted, foreign, args);
    if (ours) await takeOver(ours, args.records);
  };
  return new pulumi.ResourceHook("names-stay-free", check, { onDryRun: true });
}

// Of CAA records there may be several: each names one more authority.
function isRival(record: DnsRecord, wanted: WantedRecord): boolean {
  return wanted.type === "A" && RIVALS.includes(record.type);
}

/** Of several servers; a proxied record leads to the vendor first. */
function leadsToUs({ type, content, proxied }: DnsRecord, { ours }: FreeNamesArgs): boolean {
  return type === "A" && proxied !== true && ours?.has(content) === true;
}

function refuse({ name }: WantedRecord, foreign: readonly DnsRecord[], { zone, panel }: FreeNamesArgs): void {
  // A zone's own name servers are records of its apex.
  const rivals = foreign.filter(({ type }) => type !== "NS" || name !== zone);
  if (rivals.length === 0) return;
  const found = rivals.map(
    ({ type, content, proxied }) => `${type} ${content}${proxied ? " (proxied)" : ""}`,
  );
  const message =
    `dns: expected no records of ${name} besides ours, got ${found.join(" and ")}; if nothing uses them, delete them ${panel}, ` +
    "or choose another name with pulumi config set technicia:domain <name>";
  // Whoever compares or repairs wants to see them among the other differences; a repair deletes them first.
  if (pulumi.runtime.isDryRun() && process.env["TECHNICIA_DRIFT"] === "1") return;
  throw new Error(message);
}

async function takeOver(record: DnsRecord, zone: DnsZone): Promise<void> {
  const what = `${record.name}: the record ${record.type} ${record.content} exists already`;
  if (pulumi.runtime.isDryRun()) {
    await pulumi.log.info(`${what} and is taken over`);
    return;
  }
  // Not published: OVH's name servers go on answering with it until ours is there.
  await zone.remove(record, { publish: false });
  await pulumi.log.info(`${what}; it was taken over`);
}
