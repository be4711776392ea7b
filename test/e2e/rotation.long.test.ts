/** Each secret that is generated, rotated on a real server while visitors ask: none of them gets an error. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { rotations } from "../../secrets/rotations.ts";
import type { SecretName } from "../../secrets/catalog.ts";
import { history, npm } from "./deployments.ts";
import {
  ask,
  askHealth,
  ensureStarted,
  expectQuiet,
  onServer,
  operator,
  set,
  startAgain,
  traffic,
  up,
} from "./rehearsal.ts";

/** Generated, and in use in the rehearsal's stack. */
const SECRETS: readonly SecretName[] = [
  ...(["n8nJwtSecret", "n8nRunnersToken", "n8nOwnerPassword", "qdrantApiKey", "postgresPassword"] as const),
];

/** How long a request may wait while n8n restarts, as `services.gateway.hold.maxSeconds` allows. */
const PATIENCE_MS = 65_000;

/** A path of n8n's own, which is held while n8n restarts; it answers 404 to what no workflow has published, and never 5xx. */
async function askN8n(): Promise<void> {
  const { status, body } = await ask("/webhook/rotation", {
    method: "POST",
    body: "{}",
    timeoutMs: PATIENCE_MS,
  });
  if (status >= 500) throw new Error(`status ${status}: ${body}`);
}

const rotate = (...args: string[]) => npm("secrets", "--", "test", "rotate", ...args, "--yes");

/** The value in the stack's settings. */
async function valueOf(name: SecretName): Promise<string> {
  const { stdout } = await operator(["pulumi", "config", "get", `technicia:${name}`, "--stack", "test"]);
  return stdout.trim();
}

const askQdrant = (key: string) =>
  onServer(
    `curl --silent --output /dev/null --write-out '%{http_code}' --header @<(printf 'api-key: %s' '${key}') http://127.0.0.1:6333/collections`,
  );

beforeAll(async () => {
  await ensureStarted();
  await set("technicia:services.gateway.hold.enabled", "true");
  await set("technicia:services.n8n.database", "postgres");
  await npm("secrets", "--", "test", "--init");
  await up();
}, 1_800_000);
// Rewrites the settings, which reverts what the tests changed.
afterAll(startAgain, 1_800_000);

describe.each(SECRETS)("the rotation of %s", (name) => {
  it("fails no request, and ends with another value", async () => {
    const before = await valueOf(name);
    const [visitors, workflows] = [traffic(askHealth), traffic(askN8n)];
    const { code, stdout, stderr } = await rotate(name);
    const results = await Promise.all([visitors.stop(), workflows.stop()]);

    expect(code, `${stdout}\n${stderr}`).toBe(0);
    expect(results.flatMap(({ failures }) => failures)).toEqual([]);
    expect(Math.min(...results.map(({ asked }) => asked))).toBeGreaterThan(10);
    const after = await valueOf(name);
    expect(after).not.toBe(before);
    expect(`${stdout}${stderr}`).not.toContain(before);
    expect(`${stdout}${stderr}`).not.toContain(after);
    if (name === "qdrantApiKey")
      expect([await askQdrant(before), await askQdrant(after)]).toEqual(["401", "200"]);
  }, 3_600_000);

  it("is in the audit", async () => {
    const { events } = await history();
    expect(events.map(({ detail }) => detail)).toContain(`rotation terminée : ${name}`);
  });
});

describe("after all rotations", () => {
  it("the settings are what runs", async () => {
    await expectQuiet();
    expect(Object.keys(rotations).length).toBeGreaterThan(SECRETS.length);
  });

  it("refuses n8n's encryption key, and says why", async () => {
    const { code, stderr } = await rotate("n8nEncryptionKey");
    expect(code).toBe(1);
    expect(stderr).toContain("n8n refuses to start with another one");
  });
});

describe("a rotation that is killed", () => {
  it("is undone with the value of before, and no request fails meanwhile", async () => {
    const before = await valueOf("qdrantApiKey");
    const visitors = traffic(askHealth);
    const child = operator([
      "timeout",
      "--signal=KILL",
      "60",
      "npm",
      "run",
      "secrets",
      "--",
      "test",
      "rotate",
      "qdrantApiKey",
      "--yes",
    ]);
    await child;
    const { code, stdout, stderr } = await rotate("qdrantApiKey", "--undo");

    // Killed before its first write it has left nothing to undo.
    if (!stderr.includes("there is nothing to undo")) expect(code, `${stdout}\n${stderr}`).toBe(0);
    expect((await visitors.stop()).failures).toEqual([]);
    expect(await valueOf("qdrantApiKey")).toBe(before);
    expect(await askQdrant(before)).toBe("200");
    await expectQuiet();
  }, 3_600_000);
});
