/** `npm run backup -- <stack> --second-password`: another password that opens the sets, for the safe. */
import { randomBytes } from "node:crypto";

import type { Outcome } from "../command.ts";
import { readSettings } from "../engine/settings.ts";
import { administratorKey } from "./administrator.ts";
import { repositoryOf } from "./prune.ts";
import { restic, type Repository } from "./repository.ts";
import type { BackupWorld } from "./world.ts";

export async function addSecondPassword(stack: string, world: BackupWorld): Promise<Outcome> {
  const key = administratorKey(world.variables);
  const repository = { ...repositoryOf(await readSettings(stack, world.pulumi)), key };
  const password = await addPassword(repository, world);
  const text = `another password of the sets of ${stack}, shown this once: put it in a safe, away from the passphrase of the state

${password}`;
  return { text, exitCode: 0 };
}

export async function addPassword(
  repository: Repository,
  { signal }: Pick<BackupWorld, "signal">,
): Promise<string> {
  const password = randomBytes(24).toString("base64url");
  const user = `safe-${new Date().toISOString().slice(0, 10)}`;
  await addGivenPassword(repository, { password, user, signal });
  return password;
}

/** `user`: what restic's list of passwords says of it. */
export async function addGivenPassword(
  repository: Repository,
  {
    password,
    user,
    signal,
  }: { readonly password: string; readonly user: string } & Pick<BackupWorld, "signal">,
): Promise<void> {
  await restic(repository, {
    purpose: "add a password",
    words: ["key", "add", "--user", user, "--host", repository.prefix, "--new-password-file"],
    file: password,
    signal,
  });
}
