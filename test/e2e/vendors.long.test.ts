/** VoyageAI, Anthropic, Google Document AI and Vision fail in each way: the caller gets a clear error, nothing is lost, and what is safe is tried again. */
import { readFile } from "node:fs/promises";

import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";

import type { Api, Call } from "../../rehearsal/fake-clouds/api/calls.ts";
import type { Fault } from "../../rehearsal/fake-clouds/api/faults.ts";
import { MANUAL, MANUAL_QUESTION } from "../../rehearsal/documents/hydraulic-purge.ts";
import { post, questionOf, rehearsedEntry, uploadOf } from "../../rehearsal/question.ts";
import { npm } from "./deployments.ts";
import { DOMAIN, ensureStarted, management, onServer, until } from "./rehearsal.ts";

interface Vendor {
  readonly api: Api;
  readonly path: string;
}

const VENDORS = {
  voyage: { api: "voyage", path: "^/embeddings$" },
  anthropic: { api: "anthropic", path: "^/messages$" },
  "document-ai": { api: "google", path: ":process$" },
  vision: { api: "google", path: "^/v1/images:annotate$" },
} as const satisfies Readonly<Record<string, Vendor>>;

type Name = keyof typeof VENDORS;

type Way = "refuses" | "429" | "529" | "500" | "slow" | "cut" | "nonsense";
type Failure = Pick<Fault, "status" | "body" | "headers" | "delayMs" | "cut">;

/** What every vendor may answer; its own words are in the body, which no visitor may read. */
const SECRET = "internal words of the vendor";
const WAYS: Readonly<Record<Exclude<Way, "slow">, Failure>> = {
  refuses: { status: 401, body: { error: { message: SECRET } } },
  "429": { status: 429, body: { error: { message: SECRET } }, headers: { "retry-after": "1" } },
  "529": { status: 529, body: { error: { message: SECRET } } },
  "500": { status: 500, body: { error: { message: SECRET } } },
  cut: { cut: "within" },
  nonsense: { status: 200, body: `<html>${SECRET}</html>`, headers: { "content-type": "text/html" } },
};
const EVERY_WAY = [...(Object.keys(WAYS) as Way[]), "slow"] as const;

/** Later than n8n waits for an answer of this, in milliseconds: 20 s for vector-store, 45 s for the model. */
const TOO_SLOW: Readonly<Record<"voyage" | "anthropic", number>> = { voyage: 25_000, anthropic: 50_000 };

/** Slow, and sooner than anybody gives up. */
const PATIENT_MS = 20_000;

/** How often n8n asks in all. */
const TRIES: Readonly<Record<"voyage" | "anthropic", number>> = { voyage: 3, anthropic: 2 };

const ROW_MS = 10 * 60_000;

/** `times`: 0 until it is repaired. */
async function breakVendor(name: Name, failure: Failure, times: number): Promise<void> {
  await management("calls", "DELETE");
  await management("faults", "POST", { ...VENDORS[name], method: "POST", times, ...failure });
}

const repair = () => management("faults", "DELETE");

/** How often it was asked since it broke, whatever it answered. */
async function asked(name: Name): Promise<number> {
  const { api, path } = VENDORS[name];
  const calls = await management<readonly Call[]>(`calls?api=${api}`);
  return calls.filter((call) => new RegExp(path).test(call.path)).length;
}

const entry = () => rehearsedEntry(`https://${DOMAIN}`);
const question = async () => await post(await entry(), questionOf(MANUAL_QUESTION.question));

interface Listed {
  readonly id: string;
  readonly state: string;
  readonly points: number;
}

async function listed(): Promise<Listed[]> {
  const { stdout } = await npm("documents", "--", "test", "list", "--json");
  return JSON.parse(stdout) as Listed[];
}

async function documentIs(id: string, states: readonly string[]): Promise<Listed> {
  let found: Listed | undefined;
  await until(
    `document ${id} to be ${states.join(" or ")}`,
    async () => {
      found = (await listed()).find((one) => one.id === id);
      return found !== undefined && states.includes(found.state);
    },
    300,
  );
  return found!;
}

/** Removes at once what its timer removes within a minute: what failed ingestions have left, and what was stored twice. */
const sweep = () => onServer("systemctl start technicia-documents.service");

/** As it is while nothing fails. Where a passage had to be tried again, all of them are there twice until they are swept. */
async function isWhole(id: string): Promise<void> {
  await documentIs(id, ["ready"]);
  await sweep();
  await until(
    `document ${id} to have its ${whole.points} points`,
    async () => (await listed()).some((one) => one.id === id && one.points === whole.points),
    180,
  );
}

/** Documents of this file. */
const ours: string[] = [];

/** Uploads the manual; gives its id. */
async function upload(): Promise<string> {
  const { status, text } = await post(
    await entry(),
    await uploadOf("notice-pannes.pdf", await readFile(MANUAL)),
  );
  expect(status, text).toBe(200);
  const { document_id: id } = JSON.parse(text) as { document_id: string };
  ours.push(id);
  return id;
}

async function forget(id: string): Promise<void> {
  await npm("documents", "--", "test", "delete", id, "--yes");
  ours.splice(ours.indexOf(id), 1);
}

/** What a visitor may read of it. */
function expectClear({ status, text }: { readonly status: number; readonly text: string }): void {
  expect([status, text]).toEqual([502, expect.stringContaining("Réessayez dans une minute.") as string]);
  expect(JSON.parse(text)).toMatchObject({ success: false });
  expect(text).not.toContain(SECRET);
}

/** Of a document while nothing fails. */
let whole: Listed;

beforeAll(async () => {
  await ensureStarted();
  await repair();
  whole = await documentIs(await upload(), ["ready"]);
  expect(whole.points).toBeGreaterThan(0);
}, ROW_MS);
afterEach(repair);
afterAll(async () => {
  await repair();
  for (const id of [...ours]) await forget(id);
}, ROW_MS);

describe.each(["voyage", "anthropic"] as const)("a question while %s fails", (name) => {
  const failureOf = (way: Way): Failure => (way === "slow" ? { delayMs: TOO_SLOW[name] } : WAYS[way]);

  it.each(EVERY_WAY)(
    "until it is repaired (%s) gets a clear error, and is answered afterwards",
    async (way) => {
      await breakVendor(name, failureOf(way), 0);
      expectClear(await question());
      // What is late is only counted once it has been answered. Nonsense of the model is an answer, which is paid for once.
      if (way !== "slow" && !(name === "anthropic" && way === "nonsense"))
        expect(await asked(name)).toBe(TRIES[name]);

      await repair();
      const { status, text } = await question();
      expect(status, text).toBe(200);
      expect((JSON.parse(text) as { sources: unknown[] }).sources).not.toEqual([]);
    },
    ROW_MS,
  );

  it.each(EVERY_WAY.filter((way) => !(name === "anthropic" && way === "nonsense")))(
    "once (%s) is answered",
    async (way) => {
      await breakVendor(name, failureOf(way), 1);
      const { status, text } = await question();

      expect(status, text).toBe(200);
      expect(text).not.toContain(SECRET);
    },
    ROW_MS,
  );
});

/** How each may fail once without a document noticing: what Google says of itself is tried again, and the rest is final. */
const PASSING: Readonly<Record<"voyage" | "document-ai" | "vision", readonly Way[]>> = {
  voyage: EVERY_WAY,
  "document-ai": ["429", "500", "slow", "cut"],
  vision: ["429", "500", "slow", "cut"],
};

describe.each(["voyage", "document-ai"] as const)("an upload while %s fails", (name) => {
  const failureOf = (way: Way): Failure => (way === "slow" ? { delayMs: PATIENT_MS } : WAYS[way]);

  it.each(EVERY_WAY.filter((way) => way !== "slow"))(
    "until it is repaired (%s) is kept, marked as failed, and indexed from what was kept afterwards",
    async (way) => {
      await breakVendor(name, failureOf(way), 0);
      const id = await upload();
      await documentIs(id, ["failed"]);
      expect(await asked(name)).toBeGreaterThan(0);

      await repair();
      await sweep();
      // What it has left is removed first, so that nobody finds half of it.
      await until(
        "nothing of it to be found",
        async () => (await listed()).some((one) => one.id === id && one.points === 0),
        180,
      );
      const { code, stdout, stderr } = await npm("documents", "--", "test", "reindex", id);
      expect(code, `${stdout}\n${stderr}`).toBe(0);
      await isWhole(id);
      await forget(id);
    },
    ROW_MS,
  );

  it.each(PASSING[name])(
    "once (%s) is indexed as if nothing had happened",
    async (way) => {
      await breakVendor(name, failureOf(way), 1);
      const id = await upload();

      expect((await documentIs(id, ["ready", "failed"])).state).toBe("ready");
      await isWhole(id);
      await forget(id);
    },
    ROW_MS,
  );
});

describe("an upload while Vision fails", () => {
  it.each(EVERY_WAY)(
    "until it is repaired (%s) is indexed without what is read in images, which comes with another indexing",
    async (way) => {
      await breakVendor("vision", way === "slow" ? { delayMs: PATIENT_MS } : WAYS[way], 0);
      const id = await upload();
      const { points } = await documentIs(id, ["ready"]);
      expect(await asked("vision")).toBeGreaterThan(0);
      // What is late comes all the same.
      if (way === "slow") expect(points).toBe(whole.points);
      else expect(points).toBeLessThan(whole.points);

      await repair();
      const { code, stdout, stderr } = await npm("documents", "--", "test", "reindex", id);
      expect(code, `${stdout}\n${stderr}`).toBe(0);
      await isWhole(id);
      await forget(id);
    },
    ROW_MS,
  );

  it.each(PASSING.vision)(
    "once (%s) is indexed as if nothing had happened",
    async (way) => {
      await breakVendor("vision", way === "slow" ? { delayMs: PATIENT_MS } : WAYS[way], 1);
      const id = await upload();

      await isWhole(id);
      await forget(id);
    },
    ROW_MS,
  );
});
