import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { tryRun } from "../../common/run.ts";
import { ensureAuthority, ensureCertificate } from "../../rehearsal/authority.ts";

let folder: string;
let authority: string;
let server: Server;
let url: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "technicia-trust-"));
  authority = await ensureAuthority(folder);
  const { directory } = await ensureCertificate(folder, {
    name: "server",
    names: ["localhost"],
    addresses: ["127.0.0.1"],
  });
  const [cert, key] = await Promise.all(
    ["cert.pem", "key.pem"].map((file) => readFile(join(directory, file))),
  );
  server = createServer({ cert, key }, (_, response) => response.end("answered"));
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  url = `https://127.0.0.1:${(server.address() as AddressInfo).port}/`;
});
afterAll(async () => {
  server.close();
  await rm(folder, { recursive: true });
});

/** Asks the server in a process of its own, whose system trusts the authority. */
function ask(fetchExpression: string) {
  const module = join(import.meta.dirname, "../../common/system-trust.ts");
  const script = `import { systemFetch } from ${JSON.stringify(module)};
    console.log(await (await ${fetchExpression}(${JSON.stringify(url)})).text());`;
  // OpenSSL's variable names the system's store; Node.js's own list of authorities does not heed it.
  return tryRun([process.execPath, "--input-type=module", "--eval", script], {
    environment: { ...process.env, SSL_CERT_FILE: authority },
  });
}

describe("systemFetch", () => {
  it("trusts an authority of the operating system", async () => {
    expect(await ask("systemFetch")).toMatchObject({ code: 0, stdout: "answered\n" });
  });

  it("is needed for that: Node.js alone does not", async () => {
    const { code, stderr } = await ask("fetch");

    expect(code).not.toBe(0);
    expect(stderr).toMatch(/UNABLE_TO_VERIFY_LEAF_SIGNATURE|SELF_SIGNED|unable to/);
  });
});
