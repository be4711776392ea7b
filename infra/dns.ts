// Importing a whole SDK loads its hundreds of resources at every preview.
import { DnsRecord } from "@pulumi/cloudflare/dnsRecord.js";
import type { Provider as CloudflareProvider } from "@pulumi/cloudflare/provider.js";
import { ZoneRecord } from "@ovhcloud/pulumi-ovh/domain/zoneRecord.js";
import { Reverse } from "@ovhcloud/pulumi-ovh/ip/reverse.js";
import type { Provider as OvhProvider } from "@ovhcloud/pulumi-ovh/provider.js";
import * as pulumi from "@pulumi/pulumi";

import type { DnsZone } from "../provider/dns/records.ts";
import * as technicia from "../provider/resources.ts";
import { namesStayFree } from "./free-names.ts";
import { namesComeIntoView } from "./visible-names.ts";

/** Where a person edits a zone, in a sentence. */
const PANELS = {
  cloudflare: "in Cloudflare's dashboard (DNS, Records)",
  ovh: "in OVHcloud's control panel (Web Cloud, Domain names, DNS zone)",
} as const;

/** The vendor that holds the zone. */
export type DnsVendor =
  | { readonly kind: "cloudflare"; readonly provider: CloudflareProvider; readonly zoneId: string }
  | { readonly kind: "ovh"; readonly provider: OvhProvider };

/** What an environment decides about its names. */
export interface DnsArgs {
  readonly vendor: DnsVendor;

  /** Connection to OVH's API. */
  readonly cloud: technicia.Connection;

  /** OVH's provider: the reverse names belong to the address, wherever the zone is. */
  readonly ovh: OvhProvider;

  /** Zone that holds the names, for example `exemple.fr`. */
  readonly zone: string;

  /** Names that point to the server; the first one is also its reverse name. */
  readonly names: readonly string[];

  readonly ipv4: pulumi.Input<string>;

  /** Other servers to which the names point as well. @default - none */
  readonly others?: readonly { readonly name: string; readonly ipv4: pulumi.Input<string> }[];

  readonly ttlSeconds: number;

  /** What the vendor has under the names. */
  readonly zoneRecords: DnsZone;

  /** Certificate authorities that may issue for the first name; none means that no CAA record is written. */
  readonly caaIssuers: readonly string[];
}

interface Entry {
  readonly key: string;

  /** Where it leads, of several servers. */
  readonly server?: string;
  readonly name: string;
  readonly type: "A" | "CAA";
  readonly value: pulumi.Input<string>;
}

/**
 * The names of an environment: A and CAA at the zone's vendor, and the reverse name at OVH.
 *
 * There is no AAAA record: Docker's engines would give the gateway one address for all visitors over IPv6, in its log, its limits and the
 * editor's allow list.
 */
export class Dns extends pulumi.ComponentResource {
  /** Records that must exist before anybody asks for the names. */
  readonly records: pulumi.CustomResource[];

  constructor(name: string, args: DnsArgs, opts?: pulumi.ComponentResourceOptions) {
    super("technicia:infra:Dns", name, {}, opts);

    const { zone, vendor, zoneRecords, others = [] } = args;
    const ours = new Set<string>();
    for (const { ipv4 } of [args, ...others]) pulumi.output(ipv4).apply((address) => ours.add(address));
    const comeIntoView = namesComeIntoView({ zone });
    const hooks = {
      beforeCreate: [namesStayFree({ zone, panel: PANELS[vendor.kind], records: zoneRecords, ours })],
      afterCreate: [comeIntoView],
      // A record that now leads to another server.
      afterUpdate: [comeIntoView],
    };
    this.records = entries(args).map((entry) =>
      createRecord(
        entry.server === undefined ? `${name}-${entry.key}` : `${entry.server}/${name}-${entry.key}`,
        { ...args, entry },
        { parent: this, hooks },
      ),
    );
    createReverse(`${name}-reverse`, args, { parent: this, dependsOn: this.records });
    for (const other of others) {
      const ofOther = { ...args, ipv4: other.ipv4 };
      createReverse(`${other.name}/${name}-reverse`, ofOther, { parent: this, dependsOn: this.records });
    }
    this.registerOutputs({});
  }
}

/** The name that an address of ours leads back to. */
function createReverse(
  name: string,
  { names, zone, ipv4, cloud, ovh }: DnsArgs,
  opts: pulumi.CustomResourceOptions,
): void {
  const { accepted } = new technicia.ReverseName(
    `${name}-name`,
    // The API answers with the trailing dot; without it every refresh would show a difference.
    { ip: ipv4, name: `${names[0] ?? zone}.` },
    { ...opts, provider: cloud },
  );
  new Reverse(
    `${name}-v4`,
    {
      ip: pulumi.interpolate`${ipv4}/32`,
      ReverseIp: ipv4,
      ReverseValue: accepted,
      // OVH refuses a reverse name until it sees the forward name point here.
      readinessTimeoutDuration: "5m",
    },
    // Both have the same key: a replacement that comes first is cleared when the old one is deleted.
    { ...opts, provider: ovh, deleteBeforeReplace: true },
  );
}

function entries({ others = [], ...args }: DnsArgs): Entry[] {
  const addresses = args.names.flatMap((name): Entry[] => {
    const entry = { key: `${label(name, args.zone)}-a`, name, type: "A" } as const;
    return [
      { ...entry, value: args.ipv4 },
      ...others.map((other) => ({ ...entry, server: other.name, value: other.ipv4 })),
    ];
  });
  const first = args.names[0] ?? args.zone;
  const authorities = args.caaIssuers.map((issuer): Entry => ({
    key: `caa-${issuer}`,
    name: first,
    type: "CAA",
    value: issuer,
  }));
  return [...addresses, ...authorities];
}

function createRecord(
  name: string,
  { entry, ...args }: DnsArgs & { readonly entry: Entry },
  parent: pulumi.CustomResourceOptions,
): pulumi.CustomResource {
  // The vendor refuses a record of another type while the one that it replaces exists.
  const opts = { ...parent, provider: args.vendor.provider, deleteBeforeReplace: true };
  if (args.vendor.kind === "cloudflare") {
    return new DnsRecord(
      name,
      {
        zoneId: args.vendor.zoneId,
        name: entry.name,
        type: entry.type,
        ttl: args.ttlSeconds,
        proxied: false,
        ...(entry.type === "CAA"
          ? { data: { flags: 0, tag: "issue", value: entry.value } }
          : { content: entry.value }),
      },
      opts,
    );
  }
  return new ZoneRecord(
    name,
    {
      zone: args.zone,
      subdomain: subdomain(entry.name, args.zone),
      fieldtype: entry.type,
      ttl: args.ttlSeconds,
      target: entry.type === "CAA" ? pulumi.interpolate`0 issue "${entry.value}"` : entry.value,
    },
    opts,
  );
}

function subdomain(name: string, zone: string): string {
  return name === zone ? "" : name.slice(0, -(zone.length + 1));
}

function label(name: string, zone: string): string {
  return subdomain(name, zone) || "apex";
}
