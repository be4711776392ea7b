/** `npm run workflows -- <stack> pull`: takes what was changed in the editor into the folder, as a difference for review. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";

import { UserError } from "../../common/user-error.ts";
import type { Outcome } from "../command.ts";
import { asFile, compareWorkflows } from "../../provider/n8n/differences.ts";
import { onOpened } from "./open.ts";
import { nothingInClear } from "../../stacks/workflows/rules/texts.ts";
import { WorkflowProblems, type Problem } from "../../stacks/workflows/problem.ts";
import type { WorkflowsWorld } from "./world.ts";
import { ID, renderWorkflow, type Workflow } from "../../provider/n8n/workflow.ts";

export async function pullWorkflows(
  { stack }: { readonly stack: string },
  world: WorkflowsWorld,
): Promise<Outcome> {
  return await onOpened(
    { stack, mayHaveProblems: true },
    world,
    async ({ n8n, content, path, isOurs, environment }) => {
      if (!isOurs)
        throw new UserError(
          `technicia:workflows.source: expected a folder of this project, because a pull writes files, got a repository at a commit; pull in a checkout of it, without that setting`,
        );
      await n8n.ensureKey();
      const live = await n8n.listWorkflows();
      const ours = content.files.map(({ workflow }) => workflow);
      const compared = compareWorkflows(ours, live).filter(
        ({ state }) => state === "changed" || state === "extra",
      );
      const problems: Problem[] = [];
      const files: { readonly name: string; readonly file: string; readonly workflow: Workflow }[] = [];
      for (const { id } of compared) {
        const known = content.files.find(({ workflow }) => workflow.id === id);
        const file = known?.file ?? `${content.folder}/${id}.json`;
        const workflow = asFile(
          live.find((one) => one.id === id)!,
          known?.workflow,
        );
        if (workflow === undefined || !ID.test(id))
          problems.push({
            path: file,
            text: "expected a workflow that a file can hold, got one from a newer n8n; export it from the editor",
          });
        else files.push({ file, workflow, name: file.slice(content.folder.length + 1) });
      }
      // A key would be in git's history for ever.
      const inClear = nothingInClear({ ...content, files, environment, known: undefined });
      if (problems.length + inClear.length > 0) throw new WorkflowProblems(stack, [...problems, ...inClear]);
      for (const { name, workflow } of files)
        await writeFile(join(path, name), await renderWorkflow(workflow));
      if (files.length === 0) return { text: "n8n has no change that the folder does not have", exitCode: 0 };
      return {
        text: `${files.map(({ file }) => `written: ${file}`).join("\n")}\nlook at them with git diff, and check them with npm run workflows -- ${stack} check`,
        exitCode: 0,
      };
    },
  );
}
