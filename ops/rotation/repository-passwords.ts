/** The passwords of the backups' repository: restic knows several at once, so the next one is added before anybody uses it. */
import { z } from "zod";

import { administratorKey } from "../backup/administrator.ts";
import { repositoryOf } from "../backup/prune.ts";
import { restic, WrongPassword, type Repository } from "../backup/repository.ts";
import { addGivenPassword } from "../backup/second-password.ts";
import type { BackupWorld } from "../backup/world.ts";
import { readSettings } from "../engine/settings.ts";
import { UserError } from "../../common/user-error.ts";

export interface RepositoryPasswords {
  /** Adds another one, unless it opens the repository already. `by`: one that does. */
  readonly add: (password: string, by: string) => Promise<void>;

  /** Removes one, unless it opens nothing already. `by`: another one that does. */
  readonly remove: (password: string, by: string) => Promise<void>;
}

const keys = z.array(z.looseObject({ id: z.string(), current: z.boolean() }));

/** Needs `BACKUP_ADMINISTRATOR_KEY`: the server's own key removes nothing. */
export async function passwordsOf(stack: string, world: BackupWorld): Promise<RepositoryPasswords> {
  const key = administratorKey(world.variables);
  const repository = { ...repositoryOf(await readSettings(stack, world.pulumi)), key };
  return passwordsIn(repository, world);
}

export function passwordsIn(
  repository: Repository,
  { signal }: Pick<BackupWorld, "signal">,
): RepositoryPasswords {
  /** Id of the key that the password opens; undefined: none. */
  const keyOf = async (password: string) => {
    const words = ["key", "list", "--json", "--no-lock"];
    try {
      const listed = await restic(
        { ...repository, password },
        { purpose: "list the passwords", words, signal },
      );
      return keys.parse(JSON.parse(listed)).find(({ current }) => current)?.id;
    } catch (error) {
      if (error instanceof WrongPassword) return undefined;
      throw error;
    }
  };
  return {
    async add(password, by) {
      if ((await keyOf(password)) !== undefined) return;
      const user = `rotation-${new Date().toISOString().slice(0, 10)}`;
      await addGivenPassword({ ...repository, password: by }, { password, user, signal });
      if ((await keyOf(password)) === undefined)
        throw new UserError(
          "the repository was given another password, but does not open with it; run this again",
        );
    },
    async remove(password, by) {
      const id = await keyOf(password);
      if (id === undefined) return;
      const words = ["key", "remove", id];
      await restic({ ...repository, password: by }, { purpose: "remove a password", words, signal });
      if ((await keyOf(password)) !== undefined)
        throw new UserError(
          "the repository still opens with the password that was removed; it was added twice, so run this again",
        );
    },
  };
}
