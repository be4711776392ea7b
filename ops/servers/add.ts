/** `npm run servers -- <stack> add`: the list with further servers, judged by the rules of the settings; a deployment does the work. */
import { ONLY_SERVER, SERVER_ROLES, type ServerRole } from "../../common/servers.ts";
import { UserError } from "../../common/user-error.ts";
import { nameOf as settingName } from "../../stacks/config-command.ts";
import type { Environment } from "../../stacks/environment.ts";
import type { Outcome } from "../command.ts";
import { EXIT } from "../deploy/release-progress.ts";
import { readFleet } from "../fleet/fleet.ts";
import { renderLosses } from "../losses.ts";
import { entriesOf, renderEntries, settingsOf, withServers, type Entry } from "./lists.ts";
import type { ServersWorld } from "./world.ts";

/** A server to add, as somebody has typed it: `gra-2:manager`, `gra-2:manager=vps-1a2b3c4d.vps.ovh.net`. */
export interface NewServer {
  readonly name: string;
  readonly role: ServerRole;

  /** Name of a server that exists; undefined: one is ordered. */
  readonly serviceName: string | undefined;
}

export interface AddRequest {
  readonly stack: string;
  readonly servers: readonly NewServer[];

  /** For those that are ordered. */
  readonly order: { readonly subsidiary: string; readonly maxMonthlyPriceEur: number } | undefined;
}

const FORM = /^(?<name>[^:=]+):(?<role>[^:=]+)(?:=(?<serviceName>[^:=]+))?$/;

/** @throws UserError for what is no server */
export function parseNewServer(text: string): NewServer {
  const { name = "", role, serviceName } = FORM.exec(text)?.groups ?? {};
  const known = SERVER_ROLES.find((one) => one === role);
  if (known !== undefined) return { name, role: known, serviceName };
  throw new UserError(
    `server: expected <name>:<role>, such as gra-2:manager or gra-2:worker=vps-1a2b3c4d.vps.ovh.net (roles: ${SERVER_ROLES.join(", ")}), got ${JSON.stringify(text)}`,
  );
}

export async function addServers(
  { stack, servers, order }: AddRequest,
  world: ServersWorld,
): Promise<Outcome> {
  const fleet = await readFleet(stack, world);
  const before = currentEntries(fleet.environment, entriesOf(fleet), settingsOf(fleet));
  const after = [...before, ...servers.map((server) => entryOf(server, order))];
  const environment = withServers(fleet, after);
  const key = settingName(["wireguardKey"]);
  const isKeyMissing = fleet.configuration[key] === undefined;
  const text = [
    `with ${servers.map(({ name }) => name).join(" and ")}, ${stack} survives:`,
    renderLosses(environment.servers),
    "",
    `write this into Pulumi.${stack}.yaml, under config${entriesOf(fleet).length > 0 ? ", in place of the list that is there" : ", and take serviceName or order out of technicia:server"}:`,
    "",
    renderEntries(after),
    "",
    ...(servers.some(({ role }) => role === "witness")
      ? [
          "a witness may be smaller, and in another region: vcores, memoryGib, diskGib, datacentre of its entry",
          "",
        ]
      : []),
    "then:",
    ...(isKeyMissing
      ? [
          `  npm run secrets -- ${stack} --init     # makes ${key}, from which each server's key of the tunnel follows`,
        ]
      : []),
    `  npm run preview -- ${stack}     # says what moves, what is interrupted, and what all servers cost a month`,
    `  npm run deploy -- ${stack}      # orders what is to be ordered, sets it up, and lets it into the Swarm`,
  ];
  return { text: text.join("\n"), exitCode: EXIT.ok };
}

/** The list as it is; where there is none, of the one server in `technicia:server`. */
function currentEntries(
  { servers: [first] }: Environment,
  entries: readonly Entry[],
  { server }: Readonly<Record<string, unknown>>,
): readonly Entry[] {
  if (entries.length > 0) return entries;
  const { serviceName, order } = (server ?? {}) as Readonly<Record<string, unknown>>;
  const source = serviceName === undefined ? { order } : { serviceName };
  return [{ name: ONLY_SERVER, role: "manager", ...source, labels: first.labels }];
}

function entryOf({ name, role, serviceName }: NewServer, order: AddRequest["order"]): Entry {
  const source = serviceName === undefined ? { ...(order && { order }) } : { serviceName };
  return { name, role, ...source };
}
