/** Takes out of the state what is lost with a server's disk, or with the server itself. */
import { ONLY_SERVER } from "../../common/servers.ts";
import { nameOf } from "../../common/urn.ts";
import { UserError } from "../../common/user-error.ts";
import { wantedRecord } from "../../provider/dns/records.ts";
import { commandsFor, nameOf as nameOfSetting, type SettingPath } from "../../stacks/config-command.ts";
import { serverOf } from "../../stacks/inventory-servers.ts";
import { homeOf } from "../../stacks/servers.ts";
import type { Effects } from "../effects.ts";
import { FIRST, keyOf } from "../engine/deployed-servers.ts";
import { forgetReinstalled, forgetServer, NotReinstalled } from "../engine/reinstalled.ts";
import { readEnvironment } from "../engine/settings.ts";
import { readState } from "../engine/state.ts";

type World = Pick<Effects, "pulumi" | "say">;

/** What our provider records of an ordered server that OVH no longer has. */
const GONE = "gone";

/** Of several servers: the one of the data, whose sets of backups come back. */
export async function forgetLost(stack: string, world: World): Promise<void> {
  const { pulumi, say } = world;
  const { resources } = await readState(stack, pulumi);
  if (!resources.some(({ type }) => type === "technicia:host:HostKey")) {
    say("the state knows nothing that was on a server");
    return;
  }
  const { source, key } = await wantedHome(stack, world);
  await forgetRecords(stack, world);
  const known = await readServer(stack, key, world);
  const name = known?.serviceName ?? "the server";
  const forget = async (why: string, isGone: boolean) => {
    const names = await forgetServer(stack, pulumi, { isGone, server: key });
    say(`${why}: removed ${names.length} resources from the state`);
  };
  if (source.kind === "adopt" && known !== undefined && known.serviceName !== source.serviceName) {
    await pulumi({
      args: ["refresh", "--yes", "--skip-preview", "--stack", stack, "--target", known.urn],
    });
    const isGone = isLost(await readServer(stack, key, world));
    const rest = isGone ? "is gone at OVH" : "stays as it is at OVH";
    await forget(`${source.serviceName} takes the place of ${name}, which ${rest}`, isGone);
    return;
  }
  try {
    const names = await forgetReinstalled(stack, pulumi);
    say(`removed ${names.length} resources of the lost installation from the state`);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    if (isLost(await readServer(stack, key, world))) await forget(`OVH no longer has ${name}`, true);
    else if (error instanceof NotReinstalled)
      say(
        "OVH has not reinstalled the server since the last deployment: it stays as it is, and its data is overwritten",
      );
    else throw error;
  }
}

/** Of several servers a failover may have removed some at the vendor: the next update creates what the state does not have. */
async function forgetRecords(stack: string, { pulumi }: World): Promise<void> {
  const { servers } = await readEnvironment(stack, pulumi);
  if (servers.length < 2) return;
  const { resources } = await readState(stack, pulumi);
  const records = resources.filter(({ type, inputs }) => wantedRecord(type, inputs ?? {})?.type === "A");
  const targets = records.flatMap(({ urn }) => ["--target", urn]);
  if (targets.length === 0) return;
  await pulumi({ args: ["refresh", "--yes", "--skip-preview", "--stack", stack, ...targets] });
}

/**
 * A server costs money: in place of a lost one another is ordered only where the settings say so. The state cannot tell any more, nor can
 * OVH, which forgets its orders.
 */
export async function requireServerOrConsent(stack: string, world: World): Promise<void> {
  const { source, key, path } = await wantedHome(stack, world);
  if (source.kind === "adopt" || source.again !== undefined) return;
  if ((await readServer(stack, key, world)) !== undefined) return;
  const { set } = commandsFor(stack);
  throw new UserError(
    `${settingOf([...path, "order", "again"])}: expected the name of the lost server before another one is ordered, got nothing; if it exists, name it with ` +
      `${set([...path, "serviceName"], "<its name>")}; to order and pay one more, ` +
      `${set([...path, "order", "again"], "<its name>")} (OVH's invoices have the name)`,
  );
}

/** As the messages of an only server have it. */
function settingOf(path: SettingPath): string {
  return path[0] === "server" ? path.join(".") : nameOfSetting(path);
}

/** The server of the data as the settings have it; `key`: in the names of its resources. */
async function wantedHome(stack: string, { pulumi }: World) {
  const environment = await readEnvironment(stack, pulumi);
  const { name, source } = homeOf(environment);
  const index = environment.servers.findIndex((server) => server.name === name);
  // Without a list, it is in the section of its own.
  const path = name === ONLY_SERVER && environment.servers.length === 1 ? ["server"] : ["servers", index];
  return { source, path, key: keyOf(environment, name) };
}

interface KnownServer {
  readonly urn: string;
  readonly serviceName: string | undefined;
  readonly state: unknown;
}

/** A refresh takes an adopted server that OVH no longer has out of the state, and keeps an ordered one with a mark. */
function isLost(server: KnownServer | undefined): boolean {
  return server === undefined || server.state === GONE;
}

/** The server as the state has it; undefined where the state has none. */
async function readServer(stack: string, key: string, { pulumi }: World): Promise<KnownServer | undefined> {
  const { resources } = await readState(stack, pulumi);
  const server = resources.find(
    ({ urn, type }) => type === "technicia:ovh:Vps" && (serverOf(nameOf(urn)) ?? FIRST) === key,
  );
  if (server === undefined) return undefined;
  const { serviceName, state } = server.outputs ?? {};
  const { urn } = server;
  return { urn, serviceName: typeof serviceName === "string" ? serviceName : undefined, state };
}
