/** A stack's folder, checked, next to its n8n. */
import { UserError } from "../../common/user-error.ts";
import type { Environment } from "../../stacks/environment.ts";
import { readSettings } from "../engine/settings.ts";
import { onServer } from "../on-server.ts";
import type { Server } from "../server/connection.ts";
import { fillCredentials, type FilledCredential } from "./credential.ts";
import { inFolder, readContent, type Content } from "./folder.ts";
import { N8n } from "./n8n.ts";
import { WorkflowProblems } from "./problem.ts";
import type { WorkflowsWorld } from "./world.ts";

export interface Opened {
  readonly stack: string;
  readonly environment: Environment;
  readonly content: Content;

  /** Place of the folder on this machine. */
  readonly path: string;

  /** Whether the folder is this project's, and not a copy of a repository's. */
  readonly isOurs: boolean;
  readonly credentials: readonly FilledCredential[];
  readonly server: Server;
  readonly n8n: N8n;
}

/** Fails with every problem of the folder and of the secrets before it connects; `mayHaveProblems` is for what repairs the folder. */
export async function onOpened<T>(
  { stack, mayHaveProblems = false }: { readonly stack: string; readonly mayHaveProblems?: boolean },
  world: WorkflowsWorld,
  work: (opened: Opened) => Promise<T>,
): Promise<T> {
  const { environment, secrets } = await readSettings(stack, world.pulumi);
  if (!environment.workflows.enabled)
    throw new UserError(
      `technicia:workflows.enabled: expected true, because the command talks to n8n of ${stack}, got false; set it with pulumi config set --path technicia:workflows.enabled true --stack ${stack}, and deploy`,
    );
  return await inFolder({ ...world, environment }, async ({ path, folder, isOurs }) => {
    const content = await readContent({ path, folder }, environment);
    const { filled, problems } = fillCredentials(content.credentials, { secrets, stack });
    const all = [...content.problems, ...problems];
    if (all.length > 0 && !mayHaveProblems) throw new WorkflowProblems(stack, all);
    return await onServer(stack, world, async (server) => {
      const { address, now } = world;
      const n8n = new N8n(server, { address, now, environment, ownerPassword: secrets["n8nOwnerPassword"] });
      return await work({ stack, environment, content, path, isOurs, credentials: filled, server, n8n });
    });
  });
}
