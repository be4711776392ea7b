/** The commands on the deployed stack from a checkout and a home whose names shells, URLs and ssh read as something else. */
import { chmod, copyFile, mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { shellQuote } from "../../common/shell-quote.ts";
import { ROOT, STATE } from "../../rehearsal/addresses.ts";
import { ensureStarted, operator, set, startAgain } from "./rehearsal.ts";

const KEY = "~/.ssh/clé d'été";

let above: string;
let checkout: string;
let home: string;

beforeAll(async () => {
  await ensureStarted();
  above = await mkdtemp(join(tmpdir(), "technicia-odd-"));
  // Longer than the path of a socket may be.
  checkout = join(above, `Équipe d'"été" $HOME & (x); %41 #1?`, "é".repeat(100), "technicia");
  home = join(above, `poste de l'"été" $PATH`, "à".repeat(100));
  await mkdir(checkout, { recursive: true });
  await mkdir(join(home, ".ssh"), { recursive: true, mode: 0o700 });
  const key = KEY.replace("~", home);
  await copyFile(join(STATE, "id_ed25519"), key);
  await copyFile(join(STATE, "id_ed25519.pub"), `${key}.pub`);
  await chmod(key, 0o600);
  await set("technicia:ssh.privateKeyFile", KEY);
});
afterAll(async () => {
  await startAgain();
  await rm(above, { recursive: true });
});

/** Runs a command there. The checkout is the same one under another name, with its settings and documents. */
async function there(command: string): Promise<string> {
  const script = `mount --rbind ${shellQuote(ROOT)} ${shellQuote(checkout)} && cd ${shellQuote(checkout)} && ${command}`;
  const path = `${join(checkout, "node_modules/.bin")}:${process.env["PATH"] ?? ""}`;
  const { code, stdout, stderr } = await operator(["sh", "-ec", script], {
    environment: { HOME: home, PATH: path, XDG_CACHE_HOME: undefined },
  });
  expect(code, `${stdout}\n${stderr}`).toBe(0);
  return `${stdout}\n${stderr}`;
}

describe("a checkout and a home with unusual names", () => {
  it("deploy with a key in that home", async () => {
    expect(await there("pulumi up --yes --skip-preview --stack test --non-interactive")).toMatch(
      /Resources:/,
    );
  });

  it("see no difference afterwards", async () => {
    expect(await there("npm run --silent preview -- test")).toContain("nothing changes");
    expect(await there("npm run --silent drift -- test")).toBeTruthy();
  });

  it("print a command for ssh that can be pasted", async () => {
    const [ssh = ""] =
      /ssh -i .* debian@[\d.]+/.exec(
        await there("npm run --silent status -- test --json | grep sshCommand"),
      ) ?? [];
    const plain = JSON.parse(`"${ssh}"`) as string;

    expect(
      await there(
        `${plain.replace("ssh ", "ssh -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null ")} true && echo arrived`,
      ),
    ).toContain("arrived");
  });

  it("write the team's documents into the checkout", async () => {
    expect(await there("npm run --silent report")).toContain("docs/deployment-tracking.md");
    expect(await readFile(join(STATE, "docs/deployment-tracking.md"), "utf8")).toContain("TechnicIA");
  });
});
