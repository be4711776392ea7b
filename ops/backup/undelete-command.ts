/** `npm run backups -- <stack> --undelete`, with the administrator's key, which is kept nowhere. */
import type { Outcome } from "../command.ts";
import { readEnvironment } from "../engine/settings.ts";
import { administratorKey } from "./administrator.ts";
import { placeOf } from "./read-back.ts";
import { bringBack } from "./undelete.ts";
import type { BackupWorld } from "./world.ts";

export async function undeleteSets(
  { stack, until, yes }: { readonly stack: string; readonly until: Date | undefined; readonly yes: boolean },
  world: BackupWorld,
): Promise<Outcome> {
  const key = administratorKey(world.variables);
  const { bucket, prefix } = placeOf(await readEnvironment(stack, world.pulumi));
  const added = until === undefined ? "" : `, and every object that came after ${until.toISOString()}`;
  const question = `remove what came after the first version of every object of ${stack} in ${bucket.bucket}${added}?`;
  if (!yes && !(await world.confirm(question))) return { text: "nothing was changed", exitCode: 1 };
  const { fetch, signal } = world;
  const { objects, removed } = await bringBack(prefix, { ...bucket, key, until, fetch, signal });
  const text =
    objects === 0
      ? `nothing was deleted or written over${until === undefined ? "; what somebody has added goes with --as-of <time>, the last one at which nobody else had the server's key" : ""}`
      : `brought back ${objects} objects; ${removed} later versions and delete markers are gone`;
  return { text: `${text}\nlook at the sets with npm run backups -- ${stack}`, exitCode: 0 };
}
