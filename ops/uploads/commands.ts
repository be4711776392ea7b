import { UserError } from "../../common/user-error.ts";
import { onlyStack, readArguments, type Command, type Commands } from "../command.ts";
import { realEffects } from "../effects.ts";
import { untilStopped } from "../terminal.ts";
import { deleteDocument, listDocuments, reindexDocuments } from "./uploads.ts";

const ACTIONS = ["list", "delete", "reindex"] as const;

export const commands: Commands = {
  documents: {
    usage: "npm run documents -- <stack> list [--json] | delete <id> [--yes] | reindex <id>|--all",
    summary:
      "lists the documents that visitors have uploaded, deletes one with its points, files and images, or indexes them again from their PDFs",
    async run(args) {
      const { values, positionals } = readArguments(this.usage, args, {
        json: { type: "boolean", default: false },
        yes: { type: "boolean", default: false },
        all: { type: "boolean", default: false },
      });
      const { json, yes, all } = values;
      const [given, wanted, id, ...rest] = positionals;
      const stack = onlyStack(this.usage, given === undefined ? [] : [given]);
      const action = ACTIONS.find((one) => one === wanted);
      if (action === undefined)
        throw misused(this, `expected one of ${ACTIONS.join(", ")}, got ${JSON.stringify(wanted ?? "")}`);
      if (rest.length > 0) throw misused(this, "expected one id, got several");
      if (json && action !== "list") throw misused(this, "--json belongs to list");
      if (yes && action !== "delete") throw misused(this, "--yes belongs to delete");
      if (all && action !== "reindex") throw misused(this, "--all belongs to reindex");
      return await untilStopped((stop) => {
        const world = realEffects(stop);
        if (action === "list") {
          if (id !== undefined) throw misused(this, "list takes no id");
          return listDocuments({ stack, json }, world);
        }
        if (action === "delete") return deleteDocument({ stack, id: idOf(this, id), yes }, world);
        if (all && id !== undefined) throw misused(this, "expected an id or --all, got both");
        return reindexDocuments({ stack, ids: all ? [] : [idOf(this, id)] }, world);
      });
    },
  },
};

/** As the program on the server names files by it. */
function idOf(command: Command, id: string | undefined): string {
  if (id !== undefined && /^[A-Za-z0-9][\w-]{0,63}$/.test(id)) return id;
  throw misused(command, `expected the id of a document, got ${JSON.stringify(id ?? "")}; list prints them`);
}

function misused({ usage }: Pick<Command, "usage">, problem: string): UserError {
  return new UserError(`${problem}\nusage: ${usage}`);
}
