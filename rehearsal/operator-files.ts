import { existsSync } from "node:fs";
import { chmod, cp, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { run } from "../common/run.ts";
import { INTERNET, ROOT, STATE } from "./addresses.ts";

/** Creates what the operator's commands need on their machine: a key, a name server, documents of their own. */
export async function ensureOperator(): Promise<void> {
  await ensureOperatorKey();
  await writeFile(join(STATE, "resolv.conf"), `nameserver ${INTERNET.clouds}\n`);
  await cp(join(ROOT, "docs"), join(STATE, "docs"), {
    recursive: true,
    // Documents that the rehearsal's own commands wrote stay.
    filter: (_, to) => !(/deployment-.*\.md$/.test(to) && existsSync(to)),
  });
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
