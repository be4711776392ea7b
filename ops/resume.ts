/**
 * After a run that was killed: the state knows what was being made, the server knows what was made.
 *
 * A service that Docker has made and the state has not would make the next `up` fail for its name; its id is looked up and the resource is
 * taken into the state. What was not made is forgotten. Our own provider's resources are made again safely and need none of this.
 */
import { spawn } from "node:child_process";

import { z } from "zod";

import type { Pulumi } from "./pulumi.ts";
import { UserError } from "./user-error.ts";

const resource = z.looseObject({
  urn: z.string(),
  type: z.string(),
  provider: z.string().optional(),
  inputs: z.record(z.string(), z.unknown()).default({}),
});
const exported = z.looseObject({
  deployment: z.looseObject({
    resources: z.array(resource).default([]),
    pending_operations: z.array(z.looseObject({ type: z.string(), resource })).optional(),
  }),
});
type Resource = z.output<typeof resource>;

/** Docker's command that prints the id of what a resource type names. */
const LOOKUPS: Readonly<Record<string, string>> = {
  "docker:index/network:Network": "docker network inspect --format '{{.Id}}'",
  "docker:index/volume:Volume": "docker volume inspect --format '{{.Name}}'",
  "docker:index/secret:Secret": "docker secret inspect --format '{{.ID}}'",
  "docker:index/service:Service": "docker service inspect --format '{{.ID}}'",
  "docker:index/container:Container": "docker container inspect --format '{{.Id}}'",
};

/** Runs a command on the server that a docker provider of the state names; undefined when it fails there. */
export type OnServer = (provider: Resource, command: string) => Promise<string | undefined>;

export interface Resumed {
  readonly adopted: readonly string[];
  readonly forgotten: readonly string[];
}

/** Settles the operations that an earlier run left pending. */
export async function resume(stack: string, pulumi: Pulumi, onServer: OnServer = overSsh): Promise<Resumed> {
  const { deployment } = exported.parse(
    JSON.parse(await pulumi({ args: ["stack", "export", "--stack", stack] })),
  );
  const pending = (deployment.pending_operations ?? []).filter(({ type }) => type === "creating");
  if (pending.length === 0) return { adopted: [], forgotten: [] };

  const found: { readonly urn: string; readonly id: string }[] = [];
  for (const { resource: made } of pending) {
    const lookup = LOOKUPS[made.type];
    const { name } = made.inputs;
    const provider = deployment.resources.find(({ urn }) => made.provider?.startsWith(`${urn}::`) === true);
    if (lookup === undefined || typeof name !== "string" || provider === undefined) continue;
    const id = (await onServer(provider, `${lookup} '${name}'`))?.trim();
    if (id) found.push({ urn: made.urn, id });
  }
  const refresh = ["refresh", "--yes", "--skip-preview", "--stack", stack];
  if (found.length > 0) {
    const imports = found.flatMap(({ urn, id }) => [
      "--import-pending-creates",
      urn,
      "--import-pending-creates",
      id,
    ]);
    await pulumi({ args: [...refresh, "--skip-pending-creates", ...imports] });
  }
  await pulumi({ args: [...refresh, "--clear-pending-creates"] });
  const adopted = found.map(({ urn }) => nameOf(urn));
  return {
    adopted,
    forgotten: pending.map(({ resource: { urn } }) => nameOf(urn)).filter((name) => !adopted.includes(name)),
  };
}

function nameOf(urn: string): string {
  return urn.slice(urn.lastIndexOf("::") + 2);
}

/** Uses the address and the ssh options that the provider itself connects with. */
function overSsh(provider: Resource, command: string): Promise<string | undefined> {
  const { host, sshOpts } = provider.inputs;
  const address = typeof host === "string" ? URL.parse(host) : null;
  // Provider inputs stand in the state as text, lists as JSON.
  const options: unknown = typeof sshOpts === "string" ? JSON.parse(sshOpts) : sshOpts;
  if (address === null || !Array.isArray(options)) {
    throw new UserError(
      "the state: expected a docker provider with an ssh address, got another; run pulumi refresh by hand",
    );
  }
  const target = ["-p", address.port || "22", "-l", address.username, "--", address.hostname, command];
  return new Promise((resolve, reject) => {
    const child = spawn("ssh", [...options.map(String), ...target], { stdio: ["ignore", "pipe", "pipe"] });
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
    child.on("error", reject);
    child.on("close", (code) => {
      // 255 is ssh's own failure: nothing is known then about what exists, so nothing may be forgotten.
      if (code === 255)
        reject(new UserError(`ssh to ${address.hostname}: expected a login, got: ${stderr.trim()}`));
      else resolve(code === 0 ? stdout : undefined);
    });
  });
}
