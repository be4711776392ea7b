/** A stack's folder, checked, next to its n8n. */
import { UserError } from "../../common/user-error.ts";
import type { Environment } from "../../stacks/environment.ts";
import { readSettings } from "../engine/settings.ts";
import { onServer } from "../on-server.ts";
import type { Server } from "../server/connection.ts";
import { fillCredentials } from "../../stacks/workflows/credential.ts";
import { inFolder, readContent, type Content } from "../../stacks/workflows/folder.ts";
import { N8n, type N8nServer } from "../../provider/n8n/api.ts";
import type { Content as WantedContent } from "../../provider/n8n/content.ts";
import { WorkflowProblems } from "../../stacks/workflows/problem.ts";
import type { WorkflowsWorld } from "./world.ts";

export interface Opened {
  readonly stack: string;
  readonly environment: Environment;
  readonly content: Content;

  /** Place of the folder on this machine. */
  readonly path: string;

  /** Whether the folder is this project's, and not a copy of a repository's. */
  readonly isOurs: boolean;

  /** What n8n is to have. */
  readonly wanted: WantedContent;
  readonly server: Server;
  readonly n8n: N8n;
}

/** n8n of an environment, as the commands reach it. */
export function n8nOf(
  { domain, adminEmail, workflows: { keyDays }, name }: Environment,
  {
    server,
    ownerPassword: password,
    ...rest
  }: {
    readonly server: N8nServer;
    readonly ownerPassword: string | undefined;
    readonly address: string | undefined;
    readonly now: () => Date;
  },
): N8n {
  return new N8n(server, { domain, owner: { email: adminEmail, password }, keyDays, stack: name, ...rest });
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
      const n8n = n8nOf(environment, { server, address, now, ownerPassword: secrets["n8nOwnerPassword"] });
      const wanted = { workflows: content.files.map(({ workflow }) => workflow), credentials: filled };
      return await work({ stack, environment, content, path, isOurs, wanted, server, n8n });
    });
  });
}
