/** A gateway fetches the certificate from another server's door, over a socket; certbot, nginx and port 443 are files of two folders. */
import { spawn } from "node:child_process";
import {
  chmod,
  lstat,
  mkdir,
  mkdtemp,
  readFile,
  rm,
  stat,
  symlink,
  utimes,
  writeFile,
} from "node:fs/promises";
import { createServer, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { run, tryRun } from "../../common/run.ts";
import { script } from "../../common/script.ts";
import { renderProgram } from "../../components/certificate-copy.ts";

const NAME = "technicia.example";
const AUTHORITY = "https://acme.example/dir";
const PROOF = "a".repeat(64);
const VALID = `valid for ${NAME}, ecdsa, from ${AUTHORITY}`;

/** The port is that of every door; the address is this test's own. */
const ADDRESS = "127.0.0.78";
const PORT = 7947;

const scriptOf = (path: string) => script(new URL(`../../${path}`, import.meta.url));

let folder: string;
let door: Server | undefined;
/** What the door has answered, one text for each visit that it answered. */
let answers: string[];
const at = (...path: readonly string[]) => join(folder, ...path);
const read = (...path: readonly string[]) => readFile(at(...path), "utf8");

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "technicia-copy-"));
  answers = [];
  for (const side of ["source", "copy"]) await prepare(side);
  await writeFile(at("list"), `gra-2 manager ${PROOF} certificate\n`);
  await writeFile(at("proof"), `${PROOF}\n`);
  await writeProgram(at("source/certificate"), scriptOf("components/scripts/certificate.sh"), {
    "/etc/technicia/certificate.env": at("source/settings"),
    "/opt/technicia/bin/gateway-reload": at("source/bin/gateway-reload"),
  });
  await writeProgram(at("source/door"), scriptOf("infra/scripts/swarm-door.sh"), {
    "/etc/technicia/swarm-door": at("list"),
    "/opt/technicia/bin/certificate": at("source/certificate"),
    "/opt/technicia/gateway/tls": at("source/tls"),
  });
  await writeProgram(at("copy/certificate-copy"), renderProgram(), {
    "/etc/technicia/certificate-copy.env": at("copy/settings"),
    "/etc/technicia/certificate-copy.proof": at("proof"),
    "/run/technicia-certificate-copy.lock": at("copy/lock"),
    "/opt/technicia/bin/gateway-reload": at("copy/bin/gateway-reload"),
  });
  await writeFile(
    at("source/settings"),
    `IMAGE=certbot DOMAINS=${NAME} EMAIL=equipe@${NAME} DIRECTORY=${AUTHORITY} KEY_TYPE=ecdsa
TLS=${at("source/tls")} WEBROOT=${at("acme")} LETSENCRYPT=${at("source")}\n`,
  );
  await writeFile(
    at("copy/settings"),
    `SERVER=gra-2 SOURCE=gra-1 ADDRESS=${ADDRESS} NAME=${NAME} TLS=${at("copy/tls")} COPY=${at("copy/store")}\n`,
  );
});

afterEach(async () => {
  await close();
  await rm(folder, { recursive: true });
});

/** A server whose gateway serves the placeholder; every program that gets arguments notes them. */
async function prepare(side: string): Promise<void> {
  await mkdir(at(side, "bin"), { recursive: true });
  await mkdir(at(side, "tls"), { mode: 0o700 });
  await mkdir(at(side, "live", NAME), { recursive: true });
  const placeholder = { TLS: at(side, "tls"), DOMAIN: NAME };
  await run(["bash", "-s"], {
    input: scriptOf("components/scripts/placeholder-certificate.sh"),
    environment: placeholder,
  });
  await writeFile(at(side, "presented.pem"), await read(side, "tls/fullchain.pem"));
  const note = `printf '%s ' "$0" "$@" >>${at("arguments")}`;
  const programs = {
    docker: "echo 'Certificate not yet due for renewal'",
    "gateway-reload": `echo reload >>${at(side, "reloads")}; cp ${at(side, "tls/fullchain.pem")} ${at(side, "presented.pem")}`,
    openssl: `if [ "$1" = s_client ]; then exec cat ${at(side, "presented.pem")}; fi; exec /usr/bin/openssl "$@"`,
    ...Object.fromEntries(
      ["bash", "sed", "cat", "cp", "sync", "sha256sum", "install", "mv", "timeout"].map((name) => [
        name,
        `exec /usr/bin/${name} "$@"`,
      ]),
    ),
  };
  for (const [name, text] of Object.entries(programs)) {
    await writeFile(at(side, "bin", name), `#!/bin/sh\n${note}\n${text}\n`);
    await chmod(at(side, "bin", name), 0o755);
  }
}

async function writeProgram(
  path: string,
  text: string,
  moved: Readonly<Record<string, string>>,
): Promise<void> {
  const placed = Object.entries(moved).reduce((now, [from, to]) => now.replaceAll(from, to), text);
  await writeFile(path, placed);
  await chmod(path, 0o755);
}

const pathOf = (side: string) => ({ PATH: `${at(side, "bin")}:/usr/bin:/bin` });

/** The authority gives a certificate for so many days, and the server that orders installs it. */
async function renew(days = 90): Promise<void> {
  const live = (file: string) => at("source/live", NAME, file);
  await run([
    ...["/usr/bin/openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"],
    ...["-nodes", "-days", String(days), "-subj", `/CN=${NAME}`, "-addext", `subjectAltName=DNS:${NAME}`],
    ...["-keyout", live("privkey.pem"), "-out", live("cert.pem")],
  ]);
  await writeFile(live("fullchain.pem"), await readFile(live("cert.pem"), "utf8"));
  await mkdir(at("source/renewal"), { recursive: true });
  await writeFile(at("source/renewal", `${NAME}.conf`), `server = ${AUTHORITY}\nkey_type = ecdsa\n`);
  const { code, stderr } = await tryRun(["bash", at("source/certificate"), "renew"], {
    environment: pathOf("source"),
  });
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
}

/** As systemd does it: a process of the door's program for each connection. */
function openDoor(): Promise<void> {
  return listen((socket) => {
    const { stdin, stdout } = spawn("bash", [at("source/door")], {
      env: { ...process.env, ...pathOf("source") },
      stdio: ["pipe", "pipe", "ignore"],
    });
    let visit: number | undefined;
    stdin.on("error", () => undefined);
    // Kept before it is sent: who is answered must not look for it here too early.
    stdout.on("data", (data: Buffer) => {
      visit ??= answers.push("") - 1;
      answers[visit] += data.toString();
    });
    socket.pipe(stdin);
    stdout.pipe(socket);
  });
}

/** A door that says these words to who says something. */
const openDoorThatSays = (words: string) => listen((socket) => socket.once("data", () => socket.end(words)));

function listen(serve: (socket: Socket) => void): Promise<void> {
  const server = createServer((socket) => {
    socket.on("error", () => undefined);
    serve(socket);
  });
  door = server;
  return new Promise((resolve) => server.listen(PORT, ADDRESS, resolve));
}

async function close(): Promise<void> {
  const open = door;
  door = undefined;
  if (open) await new Promise((resolve) => open.close(resolve));
}

async function copy(command: "status" | "fetch") {
  const { code, stdout, stderr } = await tryRun(["/usr/bin/bash", at("copy/certificate-copy"), command], {
    environment: pathOf("copy"),
  });
  const reloads = (await read("copy/reloads").catch(() => "")).split("\n").length - 1;
  return { code, said: stdout.trim(), complained: stderr.trim(), reloads };
}

/** What the gateway presents and what nginx may read are the pair of the server that orders. */
async function expectCopied(): Promise<void> {
  for (const file of ["privkey.pem", "fullchain.pem"]) {
    expect(await read("copy/tls", file)).toBe(await read("source/tls", file));
  }
  expect(await read("copy/presented.pem")).toBe(await read("source/presented.pem"));
}

describe("a gateway that does not order the certificate", () => {
  it("fetches the pair through the other server's door, and presents what that one presents", async () => {
    await renew();
    await openDoor();

    expect(await copy("status")).toMatchObject({
      said: "port 443 presents another certificate than the one of gra-1",
    });
    expect(await copy("fetch")).toEqual({ code: 0, said: "", complained: "", reloads: 1 });
    await expectCopied();
    expect(await copy("status")).toMatchObject({ code: 0, said: VALID });
  });

  it("changes key and chain by one rename, and lets only root read the key", async () => {
    await renew();
    await openDoor();
    await copy("fetch");

    for (const file of ["privkey.pem", "fullchain.pem"]) {
      expect((await lstat(at("copy/tls", file))).isSymbolicLink()).toBe(true);
    }
    for (const file of ["tls/privkey.pem", "store/live/privkey.pem"]) {
      expect((await stat(at("copy", file))).mode & 0o777, file).toBe(0o600);
    }
    expect((await stat(at("copy/store"))).mode & 0o777).toBe(0o700);
  });

  it("has neither key nor proof on a command line, and says neither", async () => {
    await renew();
    await openDoor();
    const { said, complained } = await copy("fetch");
    const key = (await read("source/tls/privkey.pem")).split("\n")[1]!;
    const seen = `${await read("arguments")}${said}${complained}`;

    expect(answers.join("")).toContain(key);
    expect(seen).toContain("bin/openssl");
    expect(seen).not.toContain(key);
    expect(seen).not.toContain(PROOF);
  });

  it("is not sent again what it has, and does not make nginx read its files again", async () => {
    await renew();
    await openDoor();
    await copy("fetch");

    expect(await copy("fetch")).toEqual({ code: 0, said: "", complained: "", reloads: 1 });
    expect(answers.at(-1)).toBe(`same ${VALID}\n`);
  });

  it("presents a renewed pair after its next visit", async () => {
    await renew();
    await openDoor();
    await copy("fetch");
    const before = await read("copy/presented.pem");
    await renew();

    expect(await copy("fetch")).toMatchObject({ code: 0, reloads: 2 });
    await expectCopied();
    expect(await read("copy/presented.pem")).not.toBe(before);
  });

  it("puts a key right that was changed by hand, where it serves it from and where it keeps it", async () => {
    await renew();
    await openDoor();
    await copy("fetch");
    await writeFile(at("copy/tls/privkey.pem"), "another");
    await writeFile(at("copy/store/live/privkey.pem"), "another");

    expect(await copy("fetch")).toMatchObject({ code: 0 });
    await expectCopied();
  });

  it("serves on what it has where nobody answers, and says so by its status after two days", async () => {
    await renew();
    await openDoor();
    await copy("fetch");
    await close();

    expect(await copy("fetch")).toMatchObject({
      code: 1,
      complained: `certificate-copy: expected gra-1 to give its certificate, got no connection to ${ADDRESS}; what was served before is served on. Look at wg show, and on gra-1 at systemctl status technicia-swarm-door.socket`,
      reloads: 1,
    });
    await expectCopied();
    expect(await copy("status")).toMatchObject({ said: VALID });

    const long = new Date(Date.now() - 49 * 3_600_000);
    await utimes(at("copy/store/answered"), long, long);
    expect((await copy("status")).said).toBe(
      `gra-1 has given no certificate since ${long.toISOString().slice(0, 19)}Z`,
    );
  });

  it("serves the placeholder until the other server has a certificate, and names what that one presents", async () => {
    await openDoor();

    expect(await copy("fetch")).toMatchObject({
      code: 1,
      complained:
        "certificate-copy: expected gra-1 to give its certificate, got none (port 443 presents the placeholder); what was served before is served on. Run /opt/technicia/bin/certificate status there",
      reloads: 0,
    });
    expect(await read("copy/presented.pem")).toContain("BEGIN CERTIFICATE");
    expect(answers.join("")).not.toContain("PRIVATE KEY");
  });

  it.each([
    ["a list without its right to the certificate", `gra-2 manager ${PROOF}\n`],
    ["another proof in the list", `gra-2 manager ${"b".repeat(64)} certificate\n`],
    ["another server's name in the list", `gra-3 manager ${PROOF} certificate\n`],
  ])("is refused by a door with %s, and gets no key", async (_what, list) => {
    await renew();
    await writeFile(at("list"), list);
    await openDoor();

    expect(await copy("fetch")).toMatchObject({
      code: 1,
      complained:
        "certificate-copy: expected gra-1 to give its certificate, got refused; what was served before is served on. Deploy again, because its list of servers is older than this one",
    });
    expect(answers).toEqual(["refused\n"]);
  });

  it("keeps the pair that it has where another one comes in part, or with a key that is not its own", async () => {
    await renew();
    await openDoor();
    await copy("fetch");
    await close();
    const [chain, key] = [await read("source/tls/fullchain.pem"), await read("source/tls/privkey.pem")];
    await renew();
    const other = await read("source/tls/privkey.pem");
    const words = {
      "a part of it": `pair ${VALID}\n${chain}${key.slice(0, 80)}`,
      "a key that is another one's": `pair ${VALID}\n${chain}${other}end\n`,
      "no answer": "",
    };

    for (const [what, said] of Object.entries(words)) {
      await openDoorThatSays(said);
      const { code, complained, reloads } = await copy("fetch");
      expect({ code, reloads }, what).toEqual({ code: 1, reloads: 1 });
      expect(complained).toContain(`got ${what};`);
      await close();
    }
    expect(await read("copy/tls/fullchain.pem")).toBe(chain);
    expect(await read("copy/tls/privkey.pem")).toBe(key);
    expect((await copy("status")).said).toBe(VALID);
  });

  it("gives no certificate that is about to end, and says of its own when it ends", async () => {
    await renew();
    await openDoor();
    await copy("fetch");
    await renew(6);

    expect((await copy("fetch")).complained).toContain(
      "got none (port 443 presents a certificate that ends ",
    );
    expect((await copy("status")).said).toBe(VALID);

    // As it is some weeks later.
    for (const place of ["presented.pem", "store/live/fullchain.pem"]) {
      await rm(at("copy", place));
      await symlink(at("source/live", NAME, "fullchain.pem"), at("copy", place));
    }
    expect((await copy("status")).said).toMatch(/^port 443 presents a certificate that ends .+ GMT$/);
  });
});
