/** OVH's Object Storage: a real S3 server with TLS under OVH's own host name, whose buckets and users the fake OVH administers. */
import { existsSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { ovhStorageAddress } from "../common/object-storage.ts";
import { INTERNET, LABEL, STATE, STORAGE_REGION } from "./addresses.ts";
import { ensureCertificate } from "./authority.ts";
import { docker } from "./docker.ts";
import type { Configuration } from "./fake-clouds/configuration.ts";
import { renderIdentities } from "./fake-clouds/machine/object-store.ts";
import type { Accounts } from "./stack-settings.ts";

export const STORAGE_HOST = new URL(ovhStorageAddress(STORAGE_REGION)).hostname;

const VOLUME = "technicia-rehearsal-storage";
const IDENTITIES = "identities.json";

/** Below the clouds' own folder, for they write it. */
const folder = (): string => join(STATE, "clouds");

/** What the fake OVH has to know of the server. */
export function storeBehindOvh(container: string, accounts: Accounts): NonNullable<Configuration["store"]> {
  return {
    container,
    address: `http://${INTERNET.storage}:8333`,
    identities: join("/clouds", IDENTITIES),
    accessKeyId: accounts.storageAccessKeyId,
    secretAccessKey: accounts.storageSecretAccessKey,
  };
}

/** Prepares certificate, identities and storage; gives the arguments and the command of its container. */
export async function prepareStorage(
  accounts: Accounts,
): Promise<{ readonly args: string[]; readonly command: string[] }> {
  const issued = await ensureCertificate(join(STATE, "authority"), {
    name: "storage",
    names: [STORAGE_HOST],
  });
  await ensureIdentities(accounts);
  // Created here and not by the container, for a label: rehearsal:stop recognizes our volumes by it.
  await docker(["volume", "create", "--label", LABEL, VOLUME]);
  return {
    args: [
      ...["--network", INTERNET.network, "--ip", INTERNET.storage],
      ...["--memory", "1g", "--env", "GOMEMLIMIT=700MiB"],
      ...["--volume", `${VOLUME}:/data`, "--volume", `${folder()}:/clouds:ro`],
      ...["--volume", `${issued.directory}:/certificates:ro`],
    ],
    command: [
      ...["weed", "server", "-dir=/data", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-metricsPort=0", "-filer"],
      ...["-master.volumeSizeLimitMB=64", "-volume.max=80", "-s3", "-s3.ip.bind=0.0.0.0"],
      ...["-s3.port=8333", "-s3.port.https=443"],
      ...["-s3.cert.file=/certificates/cert.pem", "-s3.key.file=/certificates/key.pem"],
      `-s3.config=/clouds/${IDENTITIES}`,
    ],
  };
}

/** The fake OVH writes the users of the account into it; without a file the server would let everybody in. */
async function ensureIdentities(accounts: Accounts): Promise<void> {
  await mkdir(folder(), { recursive: true });
  const file = join(folder(), IDENTITIES);
  if (existsSync(file)) return;
  const administrator = {
    accessKeyId: accounts.storageAccessKeyId,
    secretAccessKey: accounts.storageSecretAccessKey,
  };
  await writeFile(file, renderIdentities(administrator, []), { mode: 0o600 });
}
