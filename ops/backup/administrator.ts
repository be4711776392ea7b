/** The administrator of the backups' bucket. Its key is in no setting and no state: a command makes and prints it once, and it is exported for one command. */
import type { StorageKey } from "../../common/object-storage.ts";
import { UserError } from "../../common/user-error.ts";
import { until } from "../../common/until.ts";
import { administratorPolicy } from "../../common/storage-policies.ts";
import { credentialsOf, OvhClient } from "../../provider/ovh/client.ts";
import type { Outcome } from "../command.ts";
import { readSettings } from "../engine/settings.ts";
import { placeOf, readKey } from "./read-back.ts";
import type { BackupWorld } from "./world.ts";

const ADMINISTRATOR_KEY = "BACKUP_ADMINISTRATOR_KEY";
const READY_MS = 120_000;

export function administratorKey(variables: Readonly<Record<string, string | undefined>>): StorageKey {
  const given = variables[ADMINISTRATOR_KEY] ?? "";
  if (/^[^:]+:.+$/.test(given)) return readKey(given);
  throw new UserError(
    `${ADMINISTRATOR_KEY}: expected the key of the bucket's administrator, as <access key id>:<secret access key>, got ${given === "" ? "nothing" : "something else"}; export it for this command only`,
  );
}

interface OvhUser {
  readonly id: number;
  readonly description: string;
  readonly status: string;
}

/**
 * Makes the administrator at OVHcloud and prints the key. OVH's key needs the rights of the set-up.
 *
 * Until it has a policy a user may do everything in the project, so it gets its key last.
 */
export async function makeAdministrator(stack: string, world: BackupWorld): Promise<Outcome> {
  const { environment, secrets } = await readSettings(stack, world.pulumi);
  const { bucket } = placeOf(environment);
  const { project, bucket: own } = environment.backup;
  if (own !== undefined)
    throw new UserError(
      `${stack}: expected a bucket that the program makes, got ${own.name} of your own (backup.bucket); make its administrator where you made it`,
    );
  const client = new OvhClient({
    endpoint: environment.ovh.endpoint,
    credentials: credentialsOf(secrets),
    fetch: world.fetch,
  });
  const users = `/cloud/project/${project}/user`;
  const description = `technicia backup administrator ${stack}`;
  const known = (await client.get<OvhUser[]>(users)).find((user) => user.description === description);
  if (known)
    throw new UserError(
      `${stack} has an administrator already, the user ${known.id} "${description}" of the project ${project}; if its key is lost, delete the user in OVHcloud's console and run this again`,
    );
  const { id } = await client.post<OvhUser>(users, { description, roles: ["objectstore_operator"] });
  await until(async () => (await client.get<OvhUser>(`${users}/${id}`)).status === "ok", {
    limit: READY_MS,
    every: 1000,
    signal: world.signal,
    late: () =>
      new UserError(
        `OVHcloud: the user ${id} is not ready after ${READY_MS / 1000} s; delete it in the console and run this again`,
      ),
  });
  await client.post(`${users}/${id}/policy`, { policy: JSON.stringify(administratorPolicy(bucket)) });
  const { access, secret } = await client.post<{ access: string; secret: string }>(
    `${users}/${id}/s3Credentials`,
  );
  const text = `the key of the administrator of ${bucket.bucket}, shown this once: put it in a safe, or into the environment ${stack}-backup of your CI

${ADMINISTRATOR_KEY}=${access}:${secret}`;
  return { text, exitCode: 0 };
}
