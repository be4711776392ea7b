/** `npm run backups -- <stack> --undelete`, with the administrator's key, which is kept nowhere. */
import { UserError } from "../../common/user-error.ts";
import type { Outcome } from "../command.ts";
import { readEnvironment } from "../engine/settings.ts";
import { placeOf, readKey } from "./read-back.ts";
import { bringBack } from "./undelete.ts";
import type { BackupWorld } from "./world.ts";

export const ADMINISTRATOR_KEY = "BACKUP_ADMINISTRATOR_KEY";

export async function undeleteSets(
  { stack, yes }: { readonly stack: string; readonly yes: boolean },
  world: BackupWorld,
): Promise<Outcome> {
  const given = world.variables[ADMINISTRATOR_KEY] ?? "";
  if (!/^[^:]+:.+$/.test(given)) {
    throw new UserError(
      `${ADMINISTRATOR_KEY}: expected the key of the bucket's administrator, as <access key id>:<secret access key>, got ${given === "" ? "nothing" : "something else"}; export it for this command only`,
    );
  }
  const { bucket, prefix } = placeOf(await readEnvironment(stack, world.pulumi));
  const question = `remove what came after the first version of every object of ${stack} in ${bucket.bucket}?`;
  if (!yes && !(await world.confirm(question))) return { text: "nothing was changed", exitCode: 1 };
  const { fetch, signal } = world;
  const { objects, removed } = await bringBack(prefix, { ...bucket, key: readKey(given), fetch, signal });
  const text =
    objects === 0
      ? "nothing was deleted or written over"
      : `brought back ${objects} objects; ${removed} later versions and delete markers are gone`;
  return { text: `${text}\nlook at the sets with npm run backups -- ${stack}`, exitCode: 0 };
}
