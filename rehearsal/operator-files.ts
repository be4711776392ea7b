import { existsSync } from "node:fs";
import { chmod, cp, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { run } from "../common/run.ts";
import { INTERNET, ROOT, STATE } from "./addresses.ts";
import { ensureAuthority, machineCertificates, writeBundle } from "./authority.ts";

const SYSTEM_TRUST = "/etc/ssl/certs/ca-certificates.crt";

/** Creates what the operator's commands need on their machine: a key, a name server, documents of their own. */
export async function ensureOperator(): Promise<void> {
  await ensureOperatorKey();
  await writeFile(join(STATE, "resolv.conf"), `nameserver ${INTERNET.clouds}\n`);
  await writeTrust();
  await cp(join(ROOT, "docs"), join(STATE, "docs"), {
    recursive: true,
    // Documents that the rehearsal's own commands wrote stay.
    filter: (_, to) => !(/deployment-.*\.md$/.test(to) && existsSync(to)),
  });
}

/** The operator's system trusts this machine's authorities and the rehearsal's. */
async function writeTrust(): Promise<void> {
  const authority = await ensureAuthority(join(STATE, "authority"));
  const [system, own] = await Promise.all([SYSTEM_TRUST, authority].map((file) => readFile(file, "utf8")));
  await writeBundle(join(STATE, "trusted.pem"), [system ?? "", await machineCertificates(), own ?? ""]);
}

export function operatorPublicKey(): Promise<string> {
  return readFile(join(STATE, "id_ed25519.pub"), "utf8").then((text) => text.trim());
}

async function ensureOperatorKey(): Promise<void> {
  const path = join(STATE, "id_ed25519");
  if (existsSync(`${path}.pub`)) return;
  await run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "rehearsal-operator", "-f", path]);
  await chmod(path, 0o600);
}
