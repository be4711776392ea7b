/** n8n's content as the program declares it. */
import * as pulumi from "@pulumi/pulumi";

import type { Content } from "../../provider/n8n/content.ts";
import type { Secrets } from "../../secrets/resolve.ts";
import type { Environment } from "../environment.ts";
import { fillCredentials } from "./credential.ts";
import { inFolder, readContent } from "./folder.ts";
import { WorkflowProblems } from "./problem.ts";

/**
 * The folder's workflows, and its credentials with their values; undefined where the settings leave n8n alone.
 *
 * @throws WorkflowProblems with everything that is wrong in the folder
 */
export async function readWorkflows(
  environment: Environment,
  secrets: Pick<Secrets, "inClear">,
): Promise<Content | undefined> {
  if (!environment.workflows.enabled) return undefined;
  const { name: stack } = environment;
  const { signal } = new AbortController();
  const say = (line: string) => void pulumi.log.info(line);
  return await inFolder({ environment, signal, say }, async ({ path, folder }) => {
    const content = await readContent({ path, folder }, environment);
    const { filled, problems } = fillCredentials(content.credentials, { secrets: secrets.inClear(), stack });
    const all = [...content.problems, ...problems];
    if (all.length > 0) throw new WorkflowProblems(stack, all);
    return { workflows: content.files.map(({ workflow }) => workflow), credentials: filled };
  });
}
