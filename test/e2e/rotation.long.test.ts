/** Each secret that is generated, rotated on a real server while visitors ask. */
import { describe, expect, it } from "vitest";

import { rotations } from "../../secrets/rotations.ts";
import { expectQuiet, operator, traffic } from "./rehearsal.ts";
import { askN8n, askQdrant, deployedWith, rotate, type Rotated, testRotations, valueOf } from "./rotating.ts";

/** Those that are in use in the rehearsal's stack. */
const SECRETS: readonly Rotated[] = [
  { name: "n8nJwtSecret" },
  { name: "n8nRunnersToken" },
  { name: "n8nOwnerPassword" },
  { name: "qdrantApiKey", restartsOfQdrant: 2 },
  { name: "postgresPassword" },
];

/** Longer than the first step takes to begin, in seconds. */
const KILLED_AFTER = "60";

deployedWith({
  "services.gateway.hold.enabled": "true",
  "services.n8n.database": "postgres",
  "services.qdrant.apiKey": "true",
});

testRotations(SECRETS);

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
  it("is undone with the value of before, and n8n answers meanwhile", async () => {
    const before = await valueOf("qdrantApiKey");
    const visitors = traffic(askN8n);
    const killed = ["timeout", "--signal=KILL", KILLED_AFTER];
    await operator([
      ...killed,
      ...["npm", "run", "secrets", "--", "test", "rotate", "qdrantApiKey", "--yes"],
    ]);
    const { code, stdout, stderr } = await rotate("qdrantApiKey", "--undo");

    // Killed before its first write it has left nothing to undo.
    if (!stderr.includes("there is nothing to undo")) expect(code, `${stdout}\n${stderr}`).toBe(0);
    expect((await visitors.stop()).failures).toEqual([]);
    expect(await valueOf("qdrantApiKey")).toBe(before);
    expect(await askQdrant(before)).toBe("200");
    await expectQuiet();
  }, 3_600_000);
});
