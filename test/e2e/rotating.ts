/** Rotations on a real server while visitors ask. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { ALLOWED } from "../../rehearsal/bench/changes.ts";
import { type Kind, startLoad, type Visit, visitorsOf } from "../../rehearsal/bench/visitors.ts";
import { rehearsedEntry } from "../../rehearsal/question.ts";
import type { SecretName } from "../../secrets/catalog.ts";
import { history, npm } from "./deployments.ts";
import {
  ask,
  DOMAIN,
  ensureStarted,
  onServer,
  operator,
  pulumi,
  set,
  startAgain,
  traffic,
  up,
} from "./rehearsal.ts";

export interface Rotated {
  readonly name: SecretName;

  /** What a person gives. @default it is generated */
  readonly next?: () => string;

  /** How often Qdrant restarts, which nothing holds: some seconds each, in which what needs it fails (decision 0017). @default 0 */
  readonly restartsOfQdrant?: number;
}

const HOUR_MS = 3_600_000;

/** Visitors in a second, of whom half ask n8n. */
const LOAD = { perSecond: 20, kinds: ["health", "question"] } as const satisfies {
  perSecond: number;
  kinds: readonly Kind[];
};

/** Of one restart of Qdrant. */
const QDRANT_SECONDS = 15;

/** How long a request may wait while n8n restarts, as `services.gateway.hold.maxSeconds` allows. */
const PATIENCE_MS = 65_000;

/** A path of n8n's own, which is held while n8n restarts; it answers 404 to what no workflow has published, and never 5xx. */
export async function askN8n(): Promise<void> {
  const { status, body } = await ask("/webhook/rotation", {
    method: "POST",
    body: "{}",
    timeoutMs: PATIENCE_MS,
  });
  if (status >= 500) throw new Error(`status ${status}: ${body}`);
}

/** Those that failed, in words, beyond what Qdrant's restarts cost. */
function failuresOf(visits: readonly Visit[], restartsOfQdrant: number): string[] {
  const failed = visits.filter(({ isAnswered }) => !isAnswered);
  const allowed = restartsOfQdrant * QDRANT_SECONDS * LOAD.perSecond;
  if (failed.length <= allowed) return [];
  return failed.map(({ at, failure }) => `${new Date(at).toISOString()} ${failure}`);
}

export const rotate = (...args: string[]) => npm("secrets", "--", "test", "rotate", ...args, "--yes");

/** With the next value on standard input, where a person gives it. */
const rotateTo = (name: SecretName, next: string | undefined) =>
  operator(["npm", "run", "--silent", "secrets", "--", "test", "rotate", name, "--yes"], {
    ...(next !== undefined && { input: next }),
  });

/** The value in the stack's settings. */
export async function valueOf(name: SecretName): Promise<string> {
  const { stdout } = await operator(["pulumi", "config", "get", `technicia:${name}`, "--stack", "test"]);
  return stdout.trim();
}

/** The status with which Qdrant answers a key. */
export const askQdrant = (key: string) =>
  onServer(
    `curl --silent --output /dev/null --write-out '%{http_code}' --header @<(printf 'api-key: %s' '${key}') http://127.0.0.1:6333/collections`,
  );

/** A deployment with these settings, in which one address may ask for all visitors; afterwards everything is as it was. */
export function deployedWith(settings: Readonly<Record<string, string>>): void {
  beforeAll(async () => {
    await ensureStarted();
    for (const [path, value] of Object.entries(settings)) await set(`technicia:${path}`, value);
    const { code, stderr } = await pulumi("config", "set-all", "--path", ...ALLOWED);
    expect(code, stderr).toBe(0);
    await npm("secrets", "--", "test", "--init");
    await up();
  }, HOUR_MS);
  // Rewrites the settings, which reverts what the tests changed.
  afterAll(startAgain, HOUR_MS);
}

/** Rotates each of them under load. */
export function testRotations(secrets: readonly Rotated[]): void {
  describe.each(secrets)("the rotation of $name", ({ name, next, restartsOfQdrant = 0 }) => {
    it(
      "fails no request that can be held, and ends with another value",
      async () => {
        const before = await valueOf(name);
        const load = startLoad(await visitorsOf(await rehearsedEntry(`https://${DOMAIN}`)), LOAD);
        const workflows = traffic(askN8n);
        const { code, stdout, stderr } = await rotateTo(name, next?.());
        const [visits, { asked, failures }] = await Promise.all([load.stop(), workflows.stop()]);

        expect(code, `${stdout}\n${stderr}`).toBe(0);
        expect(failures).toEqual([]);
        expect(failuresOf(visits, restartsOfQdrant)).toEqual([]);
        expect(Math.min(asked, visits.length)).toBeGreaterThan(100);
        const after = await valueOf(name);
        expect(after).not.toBe(before);
        expect(`${stdout}${stderr}`).not.toContain(before);
        expect(`${stdout}${stderr}`).not.toContain(after);
        if (name === "qdrantApiKey")
          expect([await askQdrant(before), await askQdrant(after)]).toEqual(["401", "200"]);
      },
      HOUR_MS,
    );

    it("is in the audit", async () => {
      const { events } = await history();
      expect(events.map(({ detail }) => detail)).toContain(`rotation terminée : ${name}`);
    });
  });
}
