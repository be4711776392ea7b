/** The key of the bucket's administrator, which is in no setting and no state: it is exported for one command. */
import type { StorageKey } from "../../common/object-storage.ts";
import { UserError } from "../../common/user-error.ts";
import { readKey } from "./read-back.ts";

const ADMINISTRATOR_KEY = "BACKUP_ADMINISTRATOR_KEY";

export function administratorKey(variables: Readonly<Record<string, string | undefined>>): StorageKey {
  const given = variables[ADMINISTRATOR_KEY] ?? "";
  if (/^[^:]+:.+$/.test(given)) return readKey(given);
  throw new UserError(
    `${ADMINISTRATOR_KEY}: expected the key of the bucket's administrator, as <access key id>:<secret access key>, got ${given === "" ? "nothing" : "something else"}; export it for this command only`,
  );
}
