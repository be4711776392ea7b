/** Waits until a new record is visible, before anything asks for its name. */
import { Resolver } from "node:dns/promises";

import * as pulumi from "@pulumi/pulumi";

import { until } from "../common/until.ts";
import { wantedRecord } from "../provider/dns/records.ts";

const ADDRESS_TYPES = ["A", "AAAA"] as const;
const LIMIT_MS = 120_000;
const EVERY_MS = 1_000;
const ANSWER_MS = 3_000;
/** Answers for a name or a record that does not exist. */
const ABSENT: readonly unknown[] = ["ENOTFOUND", "ENODATA"];

class NotVisible extends Error {}

export interface VisibleNamesArgs {
  readonly zone: string;

  /** @default the addresses of the zone's name servers */
  readonly servers?: readonly string[];

  /** @default two minutes */
  readonly limitMs?: number;

  /** Pause between two looks. @default a second */
  readonly everyMs?: number;
}

/**
 * A hook that runs after a record was created or changed and ends when the zone's own name servers answer with it.
 *
 * Only they are asked. A resolver that is asked too early keeps for the zone's SOA minimum, half an hour at Cloudflare, that the name does
 * not exist; OVH would then refuse the reverse name, and the certificate authority the certificate.
 */
export function namesComeIntoView(args: VisibleNamesArgs): pulumi.ResourceHook {
  const check = async ({ type, newInputs }: pulumi.ResourceHookArgs): Promise<void> => {
    const wanted = wantedRecord(type, newInputs);
    const family = ADDRESS_TYPES.find((one) => one === wanted?.type);
    if (!wanted || !family) return;
    const { name, content = "" } = wanted;
    const servers = await nameServers(args);
    try {
      await until(() => areAnswering(servers, { name, type: family, content }), {
        every: args.everyMs ?? EVERY_MS,
        limit: args.limitMs ?? LIMIT_MS,
        late: () => new NotVisible(),
      });
    } catch (error) {
      if (!(error instanceof NotVisible)) throw error;
      await pulumi.log.warn(
        `dns: the name servers of ${args.zone} do not answer ${name} with ${content} yet; what needs the name may fail now and works later`,
      );
    }
  };
  return new pulumi.ResourceHook("names-come-into-view", check);
}

/** Addresses of the zone's name servers; none where they cannot be found from here. */
async function nameServers({ zone, servers }: VisibleNamesArgs): Promise<readonly string[]> {
  if (servers) return servers;
  const resolver = resolverOf(undefined);
  try {
    const names = await resolver.resolveNs(zone);
    const found = await Promise.all(names.map((name) => resolver.resolve4(name).catch(() => [])));
    return found.flat();
  } catch {
    return [];
  }
}

/** Whether none of them denies the record. One that gives no answer to this machine says nothing about the record. */
async function areAnswering(
  servers: readonly string[],
  wanted: { readonly name: string; readonly type: (typeof ADDRESS_TYPES)[number]; readonly content: string },
): Promise<boolean> {
  const views = await Promise.all(
    servers.map(async (server) => {
      const resolver = resolverOf([server]);
      try {
        const found = await (wanted.type === "A"
          ? resolver.resolve4(wanted.name)
          : resolver.resolve6(wanted.name));
        return found.some((address) => canonical(address) === canonical(wanted.content));
      } catch (error) {
        return !ABSENT.includes((error as NodeJS.ErrnoException).code);
      }
    }),
  );
  return views.every(Boolean);
}

function resolverOf(servers: readonly string[] | undefined): Resolver {
  const resolver = new Resolver({ timeout: ANSWER_MS, tries: 1 });
  if (servers) resolver.setServers(servers);
  return resolver;
}

function canonical(address: string): string {
  return address.includes(":") ? new URL(`http://[${address}]`).hostname : address;
}
