/** Takes out of the state what is lost with a server's disk, or with the server itself. */
import { UserError } from "../../common/user-error.ts";
import type { Effects } from "../effects.ts";
import { forgetReinstalled, forgetServer, NotReinstalled } from "../engine/reinstalled.ts";
import { readEnvironment } from "../engine/settings.ts";
import { readState } from "../engine/state.ts";

type World = Pick<Effects, "pulumi" | "say">;

/** What our provider records of an ordered server that OVH no longer has. */
const GONE = "gone";

export async function forgetLost(stack: string, world: World): Promise<void> {
  const { pulumi, say } = world;
  const { resources } = await readState(stack, pulumi);
  if (!resources.some(({ type }) => type === "technicia:host:HostKey")) {
    say("the state knows nothing that was on a server");
    return;
  }
  const { source } = (await readEnvironment(stack, pulumi)).server;
  const known = await readServer(stack, world);
  const name = known?.serviceName ?? "the server";
  const forget = async (why: string, isGone: boolean) => {
    const names = await forgetServer(stack, pulumi, { isGone });
    say(`${why}: removed ${names.length} resources from the state`);
  };
  if (source.kind === "adopt" && known !== undefined && known.serviceName !== source.serviceName) {
    await pulumi({
      args: ["refresh", "--yes", "--skip-preview", "--stack", stack, "--target", known.urn],
    });
    const isGone = isLost(await readServer(stack, world));
    const rest = isGone ? "is gone at OVH" : "stays as it is at OVH";
    await forget(`${source.serviceName} takes the place of ${name}, which ${rest}`, isGone);
    return;
  }
  try {
    const names = await forgetReinstalled(stack, pulumi);
    say(`removed ${names.length} resources of the lost installation from the state`);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    if (isLost(await readServer(stack, world))) await forget(`OVH no longer has ${name}`, true);
    else if (error instanceof NotReinstalled)
      say(
        "OVH has not reinstalled the server since the last deployment: it stays as it is, and its data is overwritten",
      );
    else throw error;
  }
}

/**
 * A server costs money: in place of a lost one another is ordered only where the settings say so. The state cannot tell any more, nor can
 * OVH, which forgets its orders.
 */
export async function requireServerOrConsent(stack: string, world: World): Promise<void> {
  const { source } = (await readEnvironment(stack, world.pulumi)).server;
  if (source.kind === "adopt" || source.again !== undefined) return;
  if ((await readServer(stack, world)) !== undefined) return;
  throw new UserError(
    `server.order.again: expected the name of the lost server before another one is ordered, got nothing; if it exists, name it with ` +
      `pulumi config set --path technicia:server.serviceName <its name> --stack ${stack}; to order and pay one more, ` +
      `pulumi config set --path technicia:server.order.again <its name> --stack ${stack} (OVH's invoices have the name)`,
  );
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
async function readServer(stack: string, { pulumi }: World): Promise<KnownServer | undefined> {
  const { resources } = await readState(stack, pulumi);
  const server = resources.find(({ type }) => type === "technicia:ovh:Vps");
  if (server === undefined) return undefined;
  const { serviceName, state } = server.outputs ?? {};
  const { urn } = server;
  return { urn, serviceName: typeof serviceName === "string" ? serviceName : undefined, state };
}
