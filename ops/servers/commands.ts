import { systemFetch } from "../../common/system-trust.ts";
import { onlyStack, readArguments, type Command, type Commands, type Outcome } from "../command.ts";
import { misused, operating } from "../deploy/commands.ts";
import { addServers, parseNewServer, type AddRequest } from "./add.ts";
import { drainServer, undrainServer } from "./drain.ts";
import { failover } from "./failover.ts";
import { showServers } from "./overview.ts";
import { removeServer } from "./remove.ts";
import { opened, type ServersWorld } from "./world.ts";

export const commands: Commands = {
  servers: {
    usage:
      "npm run servers -- <stack> [drain|undrain|remove <name> [--gone] [--yes] | add <name>:<role>[=<service name>]… [--order <country>:<euros>]]",
    summary:
      "prints role, state, work, load, patches and last backup of each server; moves the work of one away or back, takes one out, or prints the list with further ones",
    async run(args) {
      const { values, positionals } = readArguments(this.usage, args, {
        gone: { type: "boolean", default: false },
        order: { type: "string" },
        yes: { type: "boolean", default: false },
      });
      const stack = onlyStack(this.usage, positionals.slice(0, 1));
      const [verb, ...names] = positionals.slice(1);
      const { gone: isGone, order, yes } = values;
      if (isGone && verb !== "remove") throw misused(this, "--gone belongs to remove");
      if (order !== undefined && verb !== "add") throw misused(this, "--order belongs to add");
      if (verb === undefined) return await inWorld((world) => opened(stack, world, showServers));
      if (verb === "add") {
        if (names.length === 0)
          throw misused(this, "name the servers to add: add <name>:<role>, such as gra-2:manager");
        const request = { stack, servers: names.map(parseNewServer), order: orderOf(this, order) };
        return await inWorld((world) => addServers(request, world));
      }
      const name = onlyName(this, verb, names);
      return await inWorld((world) =>
        opened(stack, world, (all) => {
          if (verb === "drain") return drainServer({ stack, name, yes }, all);
          if (verb === "undrain") return undrainServer({ stack, name, yes }, all);
          return removeServer({ stack, name, isGone, yes }, all);
        }),
      );
    },
  },

  failover: {
    usage: "npm run failover -- <stack> --from <name> [--drill] [--yes]",
    summary:
      "takes a server that is down out of DNS and of the Swarm's work, after others have confirmed that, and verifies the rest; --drill changes nothing",
    async run(args) {
      const { values, positionals } = readArguments(this.usage, args, {
        from: { type: "string" },
        drill: { type: "boolean", default: false },
        yes: { type: "boolean", default: false },
      });
      const stack = onlyStack(this.usage, positionals);
      const { from, drill: isDrill, yes } = values;
      if (from === undefined) throw misused(this, "name the server that is down: add --from <name>");
      return await inWorld((world) =>
        opened(stack, world, (all) => failover({ stack, from, isDrill, yes }, all)),
      );
    },
  },
};

const VERBS = ["drain", "undrain", "remove"];

function onlyName(command: Command, verb: string, names: readonly string[]): string {
  if (!VERBS.includes(verb))
    throw misused(command, `expected one of ${VERBS.join(", ")} and add, got ${JSON.stringify(verb)}`);
  const [name, ...rest] = names;
  if (name !== undefined && rest.length === 0) return name;
  throw misused(command, `expected the name of one server to ${verb}, got ${names.length}`);
}

/** `FR:15` */
function orderOf(command: Command, text: string | undefined): AddRequest["order"] {
  if (text === undefined) return undefined;
  const [, subsidiary = "", price = ""] = /^([A-Z]{2}):(\d+(?:\.\d+)?)$/.exec(text) ?? [];
  if (subsidiary !== "") return { subsidiary, maxMonthlyPriceEur: Number(price) };
  throw misused(
    command,
    `--order: expected a country and the highest price in euros a month, such as FR:15, got ${JSON.stringify(text)}`,
  );
}

function inWorld(work: (world: ServersWorld) => Promise<Outcome>): Promise<Outcome> {
  return operating((operator) => work({ ...operator, fetch: systemFetch }));
}
