import { UserError } from "../../common/user-error.ts";
import { onlyStack, readArguments, type Commands, type Outcome } from "../command.ts";
import { readEnvironment } from "../engine/settings.ts";
import { diffWorkflows } from "./diff.ts";
import { inFolder, readContent } from "../../stacks/workflows/folder.ts";
import { renderProblems } from "../../stacks/workflows/problem.ts";
import { pullWorkflows } from "./pull.ts";
import { pushWorkflows } from "./push.ts";
import { inWorld, type WorkflowsWorld } from "./world.ts";

interface Request {
  readonly stack: string;
  readonly yes: boolean;
  readonly json: boolean;
}

type Action = (request: Request, world: WorkflowsWorld) => Promise<Outcome>;

const ACTIONS: Readonly<Record<string, Action>> = {
  check: checkStack,
  diff: diffWorkflows,
  push: pushWorkflows,
  pull: pullWorkflows,
};

export const commands: Commands = {
  workflows: {
    usage: "npm run workflows -- <stack> check|diff|push|pull [--yes] [--json]",
    summary:
      "checks n8n's workflows as files, shows how n8n differs from them, makes n8n like them, or takes changes made in the editor into them",
    async run(args) {
      const { values, positionals } = readArguments(this.usage, args, {
        yes: { type: "boolean", default: false },
        json: { type: "boolean", default: false },
      });
      const stack = onlyStack(this.usage, positionals.slice(0, 1));
      const [action = "", ...rest] = positionals.slice(1);
      const work = Object.hasOwn(ACTIONS, action) ? ACTIONS[action] : undefined;
      if (work === undefined || rest.length > 0)
        throw new UserError(
          `expected one of ${Object.keys(ACTIONS).join(", ")}, got ${JSON.stringify([action, ...rest].join(" "))}\nusage: ${this.usage}`,
        );
      return await inWorld((world) => work({ stack, ...values }, world));
    },
  },
};

/** Needs no server, and no secret. */
export async function checkStack({ stack }: Pick<Request, "stack">, world: WorkflowsWorld): Promise<Outcome> {
  const environment = await readEnvironment(stack, world.pulumi);
  return await inFolder({ ...world, environment }, async (place) => {
    const { files, credentials, problems } = await readContent(place, environment);
    const counts = `${files.length} workflows, ${credentials.length} credentials`;
    if (problems.length === 0) return { text: `${place.folder}: ${counts}, no problem`, exitCode: 0 };
    return {
      text: `${renderProblems(problems)}\n${place.folder}: ${counts}, ${problems.length} problems`,
      exitCode: 1,
    };
  });
}
