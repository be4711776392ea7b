/** The mail provider of the rehearsal: it takes mail as a real one does, delivers it to nobody, and shows it to tests. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { tryRun } from "../common/run.ts";
import { INTERNET, STATE, ZONE } from "./addresses.ts";
import { ensureCertificate } from "./authority.ts";
import { answers, ensureContainer, routeThroughRouter, untilReady } from "./containers.ts";
import { docker } from "./docker.ts";

/** Name that servers send to, at port 587. */
export const MAIL_HOST = "smtp.courrier.example";

/** Account there, and the sender of the alerts. */
export const MAIL_USER = `alertes@${ZONE}`;

/** Mailpit's REST API: `/api/v1/messages`, `/api/v1/message/<id>`, `/api/v1/search?query=…`. */
export const MAIL_API = `http://${INTERNET.mail}:8025`;

const CONTAINER = "technicia-rehearsal-mail";

/** Starts it, or leaves it as it is. What it had taken is gone after a new start. */
export async function ensureMail(image: string, password: string): Promise<void> {
  const issued = await ensureCertificate(join(STATE, "authority"), { name: "mail", names: [MAIL_HOST] });
  const accounts = join(STATE, "mail");
  await mkdir(accounts, { recursive: true });
  await writeFile(join(accounts, "accounts"), `${MAIL_USER}:${password}\n`, { mode: 0o600 });
  const args = [
    ...["--network", INTERNET.network, "--ip", INTERNET.mail],
    ...["--volume", `${issued.directory}:/certificates:ro`, "--volume", `${accounts}:/accounts:ro`],
  ];
  const command = mailArguments({
    ...{ smtp: "0.0.0.0:587", api: "0.0.0.0:8025", database: "/tmp/mail.db" },
    ...{ accounts: "/accounts/accounts", certificates: "/certificates" },
  });
  await ensureContainer(CONTAINER, { args, image, command });
  await repairMail();
}

/** What mailpit is started with: it asks for an account and for an encrypted connection. */
export function mailArguments(at: {
  /** Addresses to listen on. */
  readonly smtp: string;
  readonly api: string;
  readonly database: string;
  /** File with lines of `user:password`. */
  readonly accounts: string;
  /** Folder with `cert.pem` and `key.pem`. */
  readonly certificates: string;
}): string[] {
  return [
    ...["--smtp", at.smtp, "--listen", at.api, "--database", at.database, "--max", "5000"],
    ...["--smtp-auth-file", at.accounts, "--smtp-require-starttls"],
    ...["--smtp-tls-cert", join(at.certificates, "cert.pem")],
    ...["--smtp-tls-key", join(at.certificates, "key.pem")],
    // It lets tests make it refuse.
    "--enable-chaos",
    ...["--smtp-disable-rdns", "--disable-version-check"],
  ];
}

/** Down: nothing listens. Silent: it takes connections and says nothing. Refusing: it refuses every recipient for good. */
export type MailFault = "down" | "silent" | "refusing";

/** Makes the mail provider fail until `repairMail`. */
export async function breakMail(fault: MailFault): Promise<void> {
  if (fault === "down") await docker(["stop", CONTAINER]);
  if (fault === "silent") await docker(["pause", CONTAINER]);
  if (fault === "refusing") await setChaos({ Recipient: { ErrorCode: 550, Probability: 100 } });
}

/** Makes it work again; what it had taken before is still there. */
export async function repairMail(): Promise<void> {
  // Fails where it is not paused.
  await tryRun(["docker", "unpause", CONTAINER]);
  await docker(["start", CONTAINER]);
  await routeThroughRouter(CONTAINER);
  await untilReady({ what: "the mail server", isReady: () => answers(`${MAIL_API}/readyz`) });
  await setChaos({});
}

async function setChaos(triggers: Readonly<Record<string, unknown>>): Promise<void> {
  const answer = await fetch(`${MAIL_API}/api/v1/chaos`, { method: "PUT", body: JSON.stringify(triggers) });
  if (!answer.ok)
    throw new Error(`${MAIL_API}/api/v1/chaos: expected 200, got ${answer.status}: ${await answer.text()}`);
}
