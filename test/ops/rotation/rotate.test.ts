import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { rotate, type RotateRequest } from "../../../ops/rotation/rotate.ts";
import { readHistory } from "../../../ops/server/records.ts";
import { catalog, type SecretName } from "../../../secrets/catalog.ts";
import { rotations } from "../../../secrets/rotations.ts";
import { strongSecrets } from "../../support/fixtures.ts";
import { failing, ok } from "../deploy/test-stack.ts";
import { RotatingStack } from "./rotating-stack.ts";

const OLD = strongSecrets();
const NEXT_VOYAGE = `pa-${"next-of-voyage".repeat(3)}`;

let rotating: RotatingStack;

beforeEach(async () => {
  rotating = await RotatingStack.open();
});
afterEach(() => rotating[Symbol.asyncDispose]());

function run(name: SecretName, change: Partial<RotateRequest> = {}) {
  rotating.watched = name;
  const request = { stack: "test", name, undo: false, yes: true, emergency: false, reason: "", ...change };
  return rotate(request, rotating.world);
}

/** Ctrl-C in the middle of the second deployment; the first one goes through. */
function stopAtSecond(): void {
  const { stop } = rotating.stack;
  rotating.up = () => {
    if (rotating.seen.length === 2) stop.abort(new Error("stopped by Ctrl-C"));
    return Promise.resolve(rotating.seen.length === 2 ? { error: "canceled", changed: true } : undefined);
  };
}

/** Every text that a person or a record got. */
async function everythingSaid(): Promise<string> {
  const { events } = await readHistory(rotating.stack.server);
  return JSON.stringify([rotating.stack.printed, events, rotating.stack.calls.map(({ args }) => args)]);
}

describe("the rotation of a secret of which two values may be valid", () => {
  it("has both accepted, then the next one used, then the old one refused", async () => {
    const outcome = await run("qdrantApiKey");

    expect(outcome).toMatchObject({ exitCode: 0 });
    const next = rotating.stored.values["qdrantApiKey"]!;
    const old = OLD.qdrantApiKey;
    expect(next).not.toBe(old);
    expect(rotating.seen).toEqual([
      { used: old, accepted: [old, next] },
      { used: next, accepted: [old, next] },
      { used: next, accepted: [next] },
    ]);
    expect(rotating.stored.rotation).toBeUndefined();
  });

  it("records that it has ended, and no value", async () => {
    await run("qdrantApiKey");

    expect(await rotating.stack.history()).toContain("secret: rotation terminée : qdrantApiKey");
    const said = await everythingSaid();
    for (const value of [OLD.qdrantApiKey, rotating.stored.values["qdrantApiKey"]!])
      expect(said).not.toContain(value);
  });

  it("fails while the old value is still accepted, and ends when it is not", async () => {
    rotating.qdrantAnswers = "200";
    await expect(run("qdrantApiKey")).rejects.toThrow("expected it to refuse the old key, got 200");
    expect(rotating.stored.rotation).toMatchObject({ step: "remove", isDone: false });

    rotating.qdrantAnswers = "401";
    expect((await run("qdrantApiKey")).exitCode).toBe(0);
    expect(rotating.seen.at(-1)!.accepted).toHaveLength(1);
  });

  describe("that n8n's own credentials may have", () => {
    const withWorkflows = () =>
      rotating.change((config) => (config["technicia:workflows"] = { enabled: true }));
    const STALE = "credentials technicia-qdrant: other values than the stack's secrets";

    it("compares them before the old value is refused", async () => {
      withWorkflows();
      rotating.up = () => {
        if (rotating.seen.at(-1)!.accepted.length === 1) expect(rotating.comparisons).toBe(1);
        return Promise.resolve(undefined);
      };
      await run("qdrantApiKey");

      expect(rotating.comparisons).toBe(1);
    });

    it("goes back while they have another value, and never refuses the old one", async () => {
      withWorkflows();
      rotating.stale = () => [STALE];
      const { exitCode, text } = await run("qdrantApiKey");

      expect(exitCode).toBe(4);
      expect(text).toContain(STALE);
      const [old, next] = [OLD.qdrantApiKey, rotating.stored.rotation!.values.qdrantApiKey];
      expect(rotating.seen.at(-1)).toEqual({ used: old, accepted: [old, next] });
      expect(rotating.seen.every(({ accepted }) => accepted.includes(old))).toBe(true);
    });

    it("is undone once they have the old value again", async () => {
      withWorkflows();
      stopAtSecond();
      await run("qdrantApiKey");
      rotating.stack.stop = new AbortController();
      rotating.up = () => Promise.resolve(undefined);
      rotating.stale = () => [STALE];
      const { exitCode, text } = await run("qdrantApiKey", { undo: true });
      expect(exitCode).toBe(1);
      expect(text).toContain("switch of qdrantApiKey could not be taken back; run --undo again");

      rotating.stale = () => [];
      expect((await run("qdrantApiKey", { undo: true })).exitCode).toBe(0);
      expect(rotating.stored).toEqual({ values: OLD, rotation: undefined });
    });
  });
});

describe("the rotation of a secret that has one value at a time", () => {
  it("changes it by one deployment", async () => {
    await run("n8nJwtSecret");

    expect(rotating.seen).toHaveLength(1);
    expect(rotating.seen[0]!.used).toBe(rotating.stored.values["n8nJwtSecret"]);
    expect(rotating.stored.values["n8nJwtSecret"]).not.toBe(OLD.n8nJwtSecret);
  });

  it("takes a value of the user's, and says what to do with the old one", async () => {
    rotating.given = [NEXT_VOYAGE];
    const { text } = await run("voyageApiKey");

    expect(rotating.stored.values["voyageApiKey"]).toBe(NEXT_VOYAGE);
    expect(text).toContain("delete the old one at VoyageAI");
    expect(await everythingSaid()).not.toContain(NEXT_VOYAGE);
  });

  it("changes together what is one key", async () => {
    const given = ["a", "b", "c"].map((letter) => `${letter}0123456789`.repeat(4));
    rotating.given = given;
    await run("ovhApplicationSecret");

    const { ovhApplicationKey, ovhApplicationSecret, ovhConsumerKey } = rotating.stored.values;
    expect([ovhApplicationKey, ovhApplicationSecret, ovhConsumerKey]).toEqual(given);
    expect(rotating.seen).toHaveLength(1);
  });

  it.each([
    ["too short", "short", "expected at least 20 characters, got 5"],
    ["the one that it has", OLD.voyageApiKey, "got the value that it has already"],
    ["another secret's", OLD.anthropicApiKey, "got that of anthropicApiKey"],
  ])("refuses a value that is %s, before it writes anything", async (_what, value, problem) => {
    rotating.given = [value];

    await expect(run("voyageApiKey")).rejects.toThrow(problem);
    expect(rotating.stored).toEqual({ values: OLD, rotation: undefined });
  });
});

describe("the rotation of the backups' password", () => {
  it("adds the next one, has the server use it, and removes the old one", async () => {
    rotating.passwords.add(OLD.backupPassword);
    rotating.up = () => {
      expect(rotating.passwords.size).toBe(2);
      return Promise.resolve(undefined);
    };
    await run("backupPassword");

    expect([...rotating.passwords]).toEqual([rotating.stored.values["backupPassword"]]);
    expect(rotating.seen).toHaveLength(1);
  });

  it("is undone with the password of before alone", async () => {
    rotating.passwords.add(OLD.backupPassword);
    rotating.stack.preflight = () => Promise.resolve([failing]);
    await run("backupPassword");
    expect(rotating.passwords.size).toBe(2);

    expect((await run("backupPassword", { undo: true })).exitCode).toBe(0);
    expect([...rotating.passwords]).toEqual([OLD.backupPassword]);
    expect(rotating.stored).toEqual({ values: OLD, rotation: undefined });
  });
});

describe("a rotation whose values other environments share", () => {
  const TOKEN = "0123456789abcdef".repeat(3);

  it("makes one step each time that it is run", async () => {
    rotating.given = [TOKEN];
    const first = await run("neighbourToken");
    expect(first.text).toContain("run the same command with the same value in every other environment");
    expect(rotating.seen).toEqual([{ used: OLD.neighbourToken, accepted: [OLD.neighbourToken, TOKEN] }]);

    await run("neighbourToken");
    expect(rotating.seen).toHaveLength(2);
    expect(rotating.seen[1]!.used).toBe(TOKEN);

    await run("neighbourToken");
    expect(rotating.seen[2]).toEqual({ used: TOKEN, accepted: [TOKEN] });
    expect(rotating.stored.rotation).toBeUndefined();
  });
});

describe("a rotation that does not go well", () => {
  it("is not begun for n8n's encryption key, and says why", async () => {
    await expect(run("n8nEncryptionKey")).rejects.toThrow("n8n refuses to start with another one");
  });

  it("is not begun beside another one", async () => {
    rotating.given = ["0123456789abcdef".repeat(3)];
    await run("neighbourToken");

    await expect(run("qdrantApiKey")).rejects.toThrow(
      "a rotation of neighbourToken is under way; finish it with npm run secrets -- test rotate neighbourToken",
    );
  });

  it("leaves the settings as they were when the deployment is refused", async () => {
    rotating.stack.preflight = () => Promise.resolve([failing]);
    const outcome = await run("qdrantApiKey");

    expect(outcome.exitCode).toBe(3);
    expect(rotating.stored).toEqual({ values: OLD, rotation: undefined });
    expect(rotating.seen).toEqual([]);
  });

  it("deploys the value of before again when the verification fails", async () => {
    rotating.given = [NEXT_VOYAGE];
    rotating.stack.verify = () =>
      Promise.resolve([rotating.seen.at(-1)?.used === NEXT_VOYAGE ? failing : ok]);
    const outcome = await run("voyageApiKey");

    expect(outcome.exitCode).toBe(4);
    expect(rotating.seen.map(({ used }) => used)).toEqual([NEXT_VOYAGE, OLD.voyageApiKey]);
    expect(rotating.stored).toEqual({ values: OLD, rotation: undefined });
  });

  it("goes on after an interruption with the same values", async () => {
    const { stop } = rotating.stack;
    rotating.up = () => {
      if (rotating.seen.length < 2) return Promise.resolve(undefined);
      stop.abort(new Error("stopped by Ctrl-C"));
      return Promise.resolve({ error: "update canceled", changed: true });
    };
    const outcome = await run("qdrantApiKey");
    expect(outcome.text).toContain("npm run secrets -- test rotate qdrantApiKey goes on with it");
    const { rotation } = rotating.stored;
    expect(rotation).toMatchObject({ step: "switch", isDone: false });

    rotating.stack.stop = new AbortController();
    rotating.up = () => Promise.resolve(undefined);
    await run("qdrantApiKey");
    expect(rotating.stored.values["qdrantApiKey"]).toBe(rotation!.values.qdrantApiKey);
    expect(rotating.seen).toHaveLength(4);
  });

  it("is undone step by step, and leaves nothing", async () => {
    stopAtSecond();
    await run("qdrantApiKey");
    rotating.stack.stop = new AbortController();
    rotating.seen.length = 0;
    rotating.up = () => Promise.resolve(undefined);
    expect((await run("qdrantApiKey", { undo: true })).exitCode).toBe(0);

    const old = OLD.qdrantApiKey;
    expect(rotating.seen.map(({ used }) => used)).toEqual([old, old]);
    expect(rotating.seen.map(({ accepted }) => accepted.length)).toEqual([2, 1]);
    expect(rotating.stored).toEqual({ values: OLD, rotation: undefined });
  });

  // Each write of the configuration, of which the CLI makes one at a time.
  it.each(Array.from({ length: 10 }, (_, index) => index))(
    "is whole again when it is run once more after it was killed at write %i",
    async (at) => {
      let writes = 0;
      rotating.onWrite = () => {
        if (writes++ === at) throw new Error("killed");
      };
      await expect(run("qdrantApiKey")).rejects.toThrow("killed");
      rotating.onWrite = () => undefined;
      const { seen } = rotating;
      const before = seen.length;
      expect((await run("qdrantApiKey")).exitCode).toBe(0);

      const next = rotating.stored.values["qdrantApiKey"]!;
      // Nobody ever used a value that was not accepted.
      for (const { used, accepted } of seen) expect(accepted).toContain(used);
      expect(seen.length).toBeGreaterThanOrEqual(before);
      expect(seen.at(-1)).toEqual({ used: next, accepted: [next] });
      expect(rotating.stored.rotation).toBeUndefined();
    },
  );
});

describe("the table of rotations", () => {
  it("says of each secret of the catalog how it changes, or why it does not", () => {
    expect(Object.keys(rotations)).toEqual(expect.arrayContaining(Object.keys(catalog)));
    const refused = Object.entries(rotations).filter(
      ([, { steps }]) => (steps as readonly string[]).length === 0,
    );
    expect(refused.map(([name]) => name)).toEqual(["n8nEncryptionKey"]);
  });
});
