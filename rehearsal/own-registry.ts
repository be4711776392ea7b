/** The registry for the images of TechnicIA's own services: it lets nobody in without a login. */
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { cp, mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { INTERNET, LABEL, STATE } from "./addresses.ts";
import { ensureCertificate } from "./authority.ts";
import { docker } from "./docker.ts";

export const REGISTRY = `${INTERNET.ownRegistry}/technicia`;
export const REGISTRY_USER = "rehearsal";

const VOLUME = "technicia-rehearsal-own-registry";

/** Where this machine's engine looks for the authority of one registry; it need not restart for it. */
const TRUST = `/etc/docker/certs.d/${INTERNET.ownRegistry}`;

/** Prepares certificate, account and storage; gives the arguments of its container. */
export async function prepareOwnRegistry(options: {
  readonly image: string;
  readonly password: string;
  /** Certificate of the rehearsal's authority. */
  readonly authority: string;
}): Promise<string[]> {
  const { image, password, authority } = options;
  const issued = await ensureCertificate(join(STATE, "authority"), {
    name: "own-registry",
    names: ["registry.rehearsal"],
    addresses: [INTERNET.ownRegistry],
  });
  const accounts = join(STATE, "own-registry");
  if (!existsSync(join(accounts, "htpasswd"))) {
    await mkdir(accounts, { recursive: true });
    const line = `${REGISTRY_USER}:${await hashPassword(image, password)}\n`;
    await writeFile(join(accounts, "htpasswd"), line, { mode: 0o644 });
  }
  await mkdir(TRUST, { recursive: true });
  await cp(authority, join(TRUST, "ca.crt"));
  // Created here and not by the container, for a label: rehearsal:stop recognizes our volumes by it.
  await docker(["volume", "create", "--label", LABEL, VOLUME]);
  return [
    ...["--network", INTERNET.network, "--ip", INTERNET.ownRegistry],
    ...["--volume", `${VOLUME}:/var/lib/registry`],
    ...["--volume", `${issued.directory}:/certificates:ro`, "--volume", `${accounts}:/accounts:ro`],
    ...["--env", "REGISTRY_HTTP_ADDR=:443", "--env", `REGISTRY_HTTP_HOST=https://${INTERNET.ownRegistry}`],
    ...["--env", "REGISTRY_HTTP_TLS_CERTIFICATE=/certificates/cert.pem"],
    ...["--env", "REGISTRY_HTTP_TLS_KEY=/certificates/key.pem"],
    ...["--env", "REGISTRY_AUTH=htpasswd", "--env", "REGISTRY_AUTH_HTPASSWD_REALM=rehearsal"],
    ...["--env", "REGISTRY_AUTH_HTPASSWD_PATH=/accounts/htpasswd"],
  ];
}

/** This machine's engine stops trusting the registry. */
export async function forgetOwnRegistry(): Promise<void> {
  await rm(TRUST, { recursive: true, force: true });
}

/** The registry takes bcrypt only, which the C library of its image knows. */
async function hashPassword(image: string, password: string): Promise<string> {
  // The last character of a salt has two bits.
  const salt = `${randomBytes(16).toString("hex").slice(0, 21)}u`;
  const program = `chomp(my $password = <STDIN>); print crypt($password, '$2b$10$${salt}')`;
  const run = ["run", "--rm", "--interactive", "--label", LABEL, "--entrypoint", "perl", image];
  return await docker([...run, "-e", program], { input: password });
}
