/** A gateway's addresses in the names that visitors use: taken out before it stops, and put back after it takes tasks again. */
import { SHORT_TTL_SECONDS } from "../../common/servers.ts";
import { UserError } from "../../common/user-error.ts";
import { wantedRecord, type DnsRecord, type DnsZone } from "../../provider/dns/records.ts";
import { publicNames } from "../../stacks/environment.ts";
import { deployedSettings } from "../drift/deployed-settings.ts";
import { readDeployedState } from "../drift/state.ts";
import { readConfiguration } from "../engine/settings.ts";
import type { StateResource } from "../engine/state.ts";
import type { Fleet, Member } from "../fleet/fleet.ts";
import { openZone, type Opened } from "./world.ts";

/** What a server has in the names. */
export interface Named {
  readonly zone: DnsZone;

  /** Its own. */
  readonly records: readonly DnsRecord[];

  /** Names that lead to no other address. */
  readonly onlyHere: readonly string[];
}

export async function findNamed(opened: Opened, { ssh }: Member): Promise<Named> {
  const zone = await openZone(opened);
  const found = await Promise.all(
    publicNames(opened.fleet.environment).map(async (name) => {
      const addresses = (await zone.list(name)).filter(({ type }) => type === "A");
      const own = addresses.filter(({ content }) => content === ssh?.address);
      return { name, own, isOnly: own.length > 0 && own.length === addresses.length };
    }),
  );
  return {
    zone,
    records: found.flatMap(({ own, isOnly }) => (isOnly ? [] : own)),
    onlyHere: found.filter(({ isOnly }) => isOnly).map(({ name }) => name),
  };
}

export function describeRecord({ name, type, content }: DnsRecord): string {
  return `${name} ${type} ${content}`;
}

/** Removes its records, but never the last one of a name. */
export async function takeOut({ zone, records }: Named, { world }: Opened): Promise<void> {
  for (const record of records) {
    await zone.remove(record);
    world.say(`removed from DNS: ${describeRecord(record)}`);
  }
}

/** Longest that a resolver goes on answering with what was removed, in seconds. */
export function lifetime({ fleet: { environment, isSeveral } }: Opened): number {
  const { ttlSeconds } = environment.dns;
  return isSeveral ? Math.min(ttlSeconds, SHORT_TTL_SECONDS) : ttlSeconds;
}

/**
 * Has the engine write the records again, so that its state knows them: it reads them and creates those that are missing, with the settings of
 * the last deployment.
 */
export async function putBack({ fleet, world }: Opened, { name, ssh }: Member): Promise<number> {
  const { stack } = fleet;
  const { pulumi, say } = world;
  const own = recordsOf(fleet, { ssh });
  if (own.length === 0)
    throw new UserError(
      `${name}: the state has no DNS record of its address, so none can be written again; see npm run drift -- ${stack}`,
    );
  const [{ record }, configuration] = await Promise.all([
    readDeployedState(stack, pulumi),
    readConfiguration({ stack, showSecrets: true }, pulumi),
  ]);
  const settings = deployedSettings({ stack, configuration, record, readFile: world.readSettingsFile });
  const targets = own.flatMap(({ urn }) => ["--target", urn]);
  await settings.during((options) =>
    pulumi({
      args: [
        ...["up", "--refresh", "--yes", "--skip-preview", "--color", "never"],
        ...["--message", `${name} takes visitors again`, ...options, "--stack", stack, ...targets],
      ],
      onLine: say,
    }),
  );
  return own.length;
}

/** Takes out of the state what is no longer at the vendor: the next update creates it, for whatever address there is then. */
export async function forgetRecords({ fleet, world }: Opened, member: Member): Promise<void> {
  const targets = recordsOf(fleet, member).flatMap(({ urn }) => ["--target", urn]);
  if (targets.length === 0) return;
  await world.pulumi({
    args: ["refresh", "--yes", "--skip-preview", "--stack", fleet.stack, ...targets],
  });
}

function recordsOf({ resources }: Fleet, { ssh }: Pick<Member, "ssh">): readonly StateResource[] {
  if (ssh === undefined) return [];
  return resources.filter(({ type, inputs }) => wantedRecord(type, inputs ?? {})?.content === ssh.address);
}
