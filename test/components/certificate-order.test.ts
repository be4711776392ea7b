import { execFile } from "node:child_process";
import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, it } from "vitest";

const SCRIPT = new URL("../../components/scripts/certificate.sh", import.meta.url);
const NONCE = "JWS has an invalid anti-replay nonce: VIA9ZdodNvoQ";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "technicia-certificate-"));
  const settings = { IMAGE: "certbot", DOMAINS: "technicia.example", EMAIL: "equipe@technicia.example" };
  const paths = { DIRECTORY: "https://acme.example/dir", KEY_TYPE: "ecdsa", TLS: folder, WEBROOT: folder };
  const lines = Object.entries({ ...settings, ...paths, LETSENCRYPT: join(folder, "letsencrypt") });
  await writeFile(
    join(folder, "certificate.env"),
    lines.map(([key, value]) => `${key}='${value}'\n`).join(""),
  );
  const script = await readFile(SCRIPT, "utf8");
  await writeFile(
    join(folder, "certificate"),
    script.replace("/etc/technicia/certificate.env", join(folder, "certificate.env")),
  );
});
afterEach(() => rm(folder, { recursive: true }));

/** Renews by force with a certbot that refuses with these words, one after the other, and then succeeds. */
async function renew(...refusals: readonly string[]) {
  await writeFile(join(folder, "refusals"), refusals.map((refusal) => `${refusal}\n`).join(""));
  await writeFile(
    join(folder, "docker"),
    `#!/bin/sh
echo asked >> ${folder}/asked
refusal=$(sed -n "$(wc -l < ${folder}/asked)p" ${folder}/refusals)
if [ -n "$refusal" ]; then echo "$refusal" >&2; exit 1; fi
echo "Successfully received certificate."
`,
  );
  await chmod(join(folder, "docker"), 0o755);
  const env = { ...process.env, PATH: `${folder}:${process.env["PATH"] ?? ""}` };
  const said = await new Promise<{ stdout: string; stderr: string }>((resolve) => {
    execFile("bash", [join(folder, "certificate"), "renew", "--force"], { env }, (_, stdout, stderr) =>
      resolve({ stdout, stderr }),
    );
  });
  const asked = (await readFile(join(folder, "asked"), "utf8")).trim().split("\n").length;
  return { ...said, asked };
}

describe("an order of a certificate", () => {
  it("is retried when the authority refuses the nonce", async () => {
    const { asked, stdout, stderr } = await renew(NONCE, NONCE);

    expect(asked).toBe(3);
    expect(stdout).toContain("Successfully received certificate.");
    expect(stderr).not.toContain("certificate: expected a certificate");
  });

  it("fails when the authority refuses every nonce", async () => {
    const { asked, stderr } = await renew(NONCE, NONCE, NONCE, NONCE);

    expect(asked).toBe(3);
    expect(stderr).toContain("certificate: expected a certificate from https://acme.example/dir");
  });

  it("is not retried for any other reason, because each order counts against the account's limits", async () => {
    const { asked, stderr } = await renew("too many certificates already issued");

    expect(asked).toBe(1);
    expect(stderr).toContain("too many certificates already issued");
    expect(stderr).toContain("certificate: expected a certificate from https://acme.example/dir");
  });
});
