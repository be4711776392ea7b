import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { tryRun } from "../../common/run.ts";
import { ensureAuthority, ensureCertificate } from "../../rehearsal/authority.ts";
import { MAIL_HOST, MAIL_USER, mailArguments } from "../../rehearsal/mail.ts";
import { freePorts } from "../support/free-ports.ts";
import { monitoringProgram } from "../support/monitoring-programs.ts";
import { until } from "../support/until.ts";

const PASSWORD = "mot-de-passe-0123";

let folder: string;
let smtp: number;
let api: string;
let program: ChildProcess;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "technicia-mail-"));
  await ensureAuthority(folder);
  const { directory } = await ensureCertificate(folder, { name: "mail", names: [MAIL_HOST] });
  await writeFile(join(folder, "accounts"), `${MAIL_USER}:${PASSWORD}\n`);
  const [first = 0, second = 0] = await freePorts(2);
  smtp = first;
  api = `http://127.0.0.1:${second}`;
  const args = mailArguments({
    smtp: `127.0.0.1:${smtp}`,
    api: `127.0.0.1:${second}`,
    database: join(folder, "mail.db"),
    accounts: join(folder, "accounts"),
    certificates: directory,
  });
  program = spawn(await monitoringProgram("mailpit"), args, { stdio: "ignore" });
  const isReady = async () => (await fetch(`${api}/readyz`).catch(() => undefined))?.ok === true;
  await until("the mail server answers", isReady);
});
afterAll(async () => {
  const ended = once(program, "exit");
  program.kill();
  await ended;
  await rm(folder, { recursive: true });
});

/** Sends one mail as Alertmanager would; returns curl's exit code and what the server said. */
async function send(options: readonly string[]): Promise<{ code: number; said: string }> {
  const { code, stderr } = await tryRun(
    [
      ...["curl", "--silent", "--show-error", "--verbose", "--max-time", "20"],
      ...["--connect-to", `::127.0.0.1:${smtp}`, `smtp://${MAIL_HOST}:${smtp}`],
      ...["--mail-from", MAIL_USER, "--mail-rcpt", "astreinte@technicia.example", "--upload-file", "-"],
      ...options,
    ],
    { input: "Subject: P1 n8n\r\nTo: astreinte@technicia.example\r\n\r\nn8n ne répond plus.\r\n" },
  );
  return { code, said: stderr };
}

const encrypted = (): string[] => ["--ssl-reqd", "--cacert", join(folder, "ca.pem")];
const account = (password: string): string[] => ["--user", `${MAIL_USER}:${password}`];

async function setChaos(triggers: unknown): Promise<number> {
  const answer = await fetch(`${api}/api/v1/chaos`, { method: "PUT", body: JSON.stringify(triggers) });
  return answer.status;
}

describe("the mail server of the rehearsal", () => {
  it("takes mail over an encrypted connection from its account, and shows it", async () => {
    expect(await send([...encrypted(), ...account(PASSWORD)])).toMatchObject({ code: 0 });

    const { messages } = (await (await fetch(`${api}/api/v1/messages`)).json()) as {
      messages: { Subject: string; Username: string; To: { Address: string }[] }[];
    };
    expect(messages).toMatchObject([
      { Subject: "P1 n8n", Username: MAIL_USER, To: [{ Address: "astreinte@technicia.example" }] },
    ]);
  });

  it("refuses mail without encryption, without an account and with another password", async () => {
    expect((await send([])).said).toContain("530 5.7.0 Must issue a STARTTLS command first");
    expect((await send(encrypted())).said).toContain("530 5.7.0 Authentication required");
    expect((await send([...encrypted(), ...account("another")])).said).toContain("535 5.7.8");
  });

  it("refuses recipients while it is told to", async () => {
    expect(await setChaos({ Recipient: { ErrorCode: 550, Probability: 100 } })).toBe(200);
    expect((await send([...encrypted(), ...account(PASSWORD)])).said).toContain("550 Chaos");

    expect(await setChaos({})).toBe(200);
    expect(await send([...encrypted(), ...account(PASSWORD)])).toMatchObject({ code: 0 });
  });

  it("has a certificate of the rehearsal's authority only", async () => {
    const { code, said } = await send(["--ssl-reqd", ...account(PASSWORD)]);

    expect(code, said).toBe(60);
  });
});
