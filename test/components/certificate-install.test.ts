import { execFile } from "node:child_process";
import { chmod, lstat, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { run } from "../../common/run.ts";

const SCRIPT = new URL("../../components/scripts/certificate.sh", import.meta.url);
const PLACEHOLDER = new URL("../../components/scripts/placeholder-certificate.sh", import.meta.url);
const NAME = "technicia.example";

let folder: string;
const at = (...path: readonly string[]) => join(folder, ...path);
const read = (...path: readonly string[]) => readFile(at(...path), "utf8");

/** certbot, nginx and port 443 are files of the folder; everything else is real. */
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "technicia-certificate-"));
  await Promise.all([mkdir(at("tls"), { mode: 0o700 }), mkdir(at("live", NAME), { recursive: true })]);
  await writeFile(
    at("certificate.env"),
    `IMAGE=certbot DOMAINS=${NAME} EMAIL=equipe@${NAME} DIRECTORY=https://acme.example/dir KEY_TYPE=ecdsa
TLS=${at("tls")} WEBROOT=${at("acme")} LETSENCRYPT=${folder}\n`,
  );
  const script = (await readFile(SCRIPT, "utf8"))
    .replace("/etc/technicia/certificate.env", at("certificate.env"))
    .replace("/opt/technicia/bin/gateway-reload", at("bin/gateway-reload"));
  await writeFile(at("certificate"), script);
  await mkdir(at("bin"));
  const programs = {
    docker: "echo 'Certificate not yet due for renewal'",
    "gateway-reload": `echo reload >>${at("reloads")}; cp ${at("tls/fullchain.pem")} ${at("presented.pem")}`,
    openssl: `if [ "$1" = s_client ]; then exec cat ${at("presented.pem")}; fi; exec /usr/bin/openssl "$@"`,
    sync: `echo "sync $*" >>${at("syncs")}; exec /usr/bin/sync "$@"`,
  };
  for (const [name, text] of Object.entries(programs)) {
    await writeFile(at("bin", name), `#!/bin/sh\n${text}\n`);
    await chmod(at("bin", name), 0o755);
  }
  await begin();
});

afterEach(() => rm(folder, { recursive: true }));

/** The gateway's first certificate is served, and another one has come. */
async function begin(): Promise<void> {
  await rm(at("tls"), { recursive: true });
  await mkdir(at("tls"), { mode: 0o700 });
  await run(["bash", "-s"], {
    input: await readFile(PLACEHOLDER, "utf8"),
    environment: { TLS: at("tls"), DOMAIN: NAME },
  });
  await writeFile(at("presented.pem"), await read("tls/fullchain.pem"));
  await receive();
}

/** What a visit of certbot leaves when a certificate was due. */
async function receive(): Promise<void> {
  await run([
    ...["/usr/bin/openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"],
    ...["-nodes", "-days", "90", "-subj", `/CN=${NAME}`],
    ...["-keyout", at("live", NAME, "privkey.pem"), "-out", at("live", NAME, "fullchain.pem")],
  ]);
}

async function renew(): Promise<{ code: number; stderr: string; reloads: number }> {
  const env = { ...process.env, PATH: `${at("bin")}:${process.env["PATH"] ?? ""}` };
  const { code, stderr } = await new Promise<{ code: number; stderr: string }>((resolve) => {
    execFile("bash", [at("certificate"), "renew"], { env }, (error, _stdout, stderr) =>
      resolve({ code: error ? 1 : 0, stderr }),
    );
  });
  const reloads = await read("reloads").catch(() => "");
  return { code, stderr, reloads: reloads.split("\n").length - 1 };
}

async function expectInstalled(): Promise<void> {
  for (const file of ["privkey.pem", "fullchain.pem"]) {
    expect(await read("tls", file)).toBe(await read("live", NAME, file));
    expect((await lstat(at("tls", file))).isSymbolicLink()).toBe(true);
  }
  expect((await stat(at("tls/privkey.pem"))).mode & 0o777).toBe(0o600);
  expect((await readdir(at("tls"))).sort()).toEqual([
    "current",
    "fullchain.pem",
    "privkey.pem",
    expect.stringMatching(/^version\.2/),
  ]);
}

describe("an installation of a certificate", () => {
  it("changes key and chain by one rename, after both are on the disk", async () => {
    expect(await renew()).toMatchObject({ code: 0, stderr: "", reloads: 1 });

    await expectInstalled();
    const syncs = (await read("syncs")).split("\n");
    expect(syncs.some((line) => /version\.2\S+privkey\.pem .*fullchain\.pem/.test(line))).toBe(true);
  });

  it("leaves the pair that nginx may read whole, wherever it ends", async () => {
    const script = await read("certificate");
    // Each step that changes something in the folder.
    for (const step of ["install ", "cp ", "mv --no-target-directory", "ln --symbolic", "rm -rf", "sync "]) {
      await begin();
      const watched = `{ cp -rL ${at("tls")} ${at("seen")}.$RANDOM$RANDOM; }; ${step}`;
      await writeFile(at("certificate"), script.replaceAll(step, watched));
      expect(await renew(), step).toMatchObject({ code: 0 });
    }
    const seen = (await readdir(folder)).filter((name) => name.startsWith("seen."));
    expect(seen.length).toBeGreaterThan(12);
    for (const name of seen) {
      const key = await run(["/usr/bin/openssl", "pkey", "-in", at(name, "privkey.pem"), "-pubout"]);
      const chain = await run([
        "/usr/bin/openssl",
        "x509",
        "-in",
        at(name, "fullchain.pem"),
        "-noout",
        "-pubkey",
      ]);
      expect(chain, name).toBe(key);
    }
  });

  it("does not make nginx read its files again when the same certificate is presented", async () => {
    await renew();

    expect(await renew()).toMatchObject({ code: 0, reloads: 1 });
    expect(await renew()).toMatchObject({ code: 0, reloads: 1 });
  });

  it("makes nginx read its files again when an earlier run ended before that", async () => {
    await renew();
    await writeFile(at("presented.pem"), await readFile(at("live", NAME, "fullchain.pem"), "utf8"));
    await receive();
    await renew();

    expect(await read("presented.pem")).toBe(await read("live", NAME, "fullchain.pem"));
  });

  it("puts a key right that was changed by hand", async () => {
    await renew();
    await writeFile(at("tls/privkey.pem"), "another");

    expect(await renew()).toMatchObject({ code: 0 });
    await expectInstalled();
  });
});
