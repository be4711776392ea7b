/** n8n's workflows between the editor, the files, and the next environment; test/e2e/drift.test.ts has what a check says of an edited one. */
import { cp, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { shellQuote } from "../../common/shell-quote.ts";
import type { Ended } from "../../common/run.ts";
import { ROOT, STATE } from "../../rehearsal/addresses.ts";
import { deploy, history, npm } from "./deployments.ts";
import { ask, ensureStarted, onServer, operator } from "./rehearsal.ts";
import { CALL } from "./workflow-drifts.ts";

const FILE = "technicia-question.json";

/** A colleague's checkout: its own workflows, and settings of prod that are filled in. */
const colleague = join(STATE, "colleague");
const settings = join(colleague, "Pulumi.prod.yaml");
const fileText = () => readFile(join(colleague, "workflows", FILE), "utf8");

function inCheckout(command: string): Promise<Ended> {
  const mounts = ["workflows", "Pulumi.prod.yaml"].map(
    (name) => `mount --bind ${shellQuote(join(colleague, name))} ${shellQuote(join(ROOT, name))}`,
  );
  return operator(["sh", "-ec", [...mounts, command].join("; ")]);
}

const workflows = (action: string) => inCheckout(`npm run --silent workflows -- test ${action}`);
const promote = () => inCheckout("npm run --silent promote -- test prod");

async function errorsOf(question: string): Promise<string> {
  const { body } = await ask("/api/question", {
    ...{ method: "POST", body: JSON.stringify({ question }), timeoutMs: 60_000 },
    headers: { "content-type": "application/json" },
  });
  return body;
}

/** As somebody does in the editor: another text in a node, saved and published. */
const editText = (from: string, to: string) =>
  onServer(
    `${CALL}; call /workflows/technicia-question | jq '{ name, connections, settings: { executionOrder: .settings.executionOrder, errorWorkflow: .settings.errorWorkflow }, nodes: [.nodes[] | if .name == "Vérifier" then .parameters.jsCode |= sub("${from}"; "${to}") else . end] }' | call /workflows/technicia-question --request PUT --data-binary @- >/dev/null; call /workflows/technicia-question/activate --request POST --data '{}' >/dev/null`,
  );

beforeAll(async () => {
  await ensureStarted();
  await rm(colleague, { recursive: true, force: true });
  await cp(join(ROOT, "workflows"), join(colleague, "workflows"), { recursive: true });
  const test = await readFile(join(STATE, "Pulumi.test.yaml"), "utf8");
  await writeFile(settings, test.replaceAll("test.technicia", "prod.technicia"));
});
afterAll(async () => {
  const { code, stdout, stderr } = await npm("workflows", "--", "test", "push", "--yes");
  expect(code, `${stdout}\n${stderr}`).toBe(0);
  await inCheckout("pulumi stack rm prod --yes --preserve-config");
  await rm(colleague, { recursive: true });
});

describe("a change made in the editor", () => {
  it("is shown, taken into the file, and then no difference", async () => {
    await editText("La question est vide", "Posez une question");

    const shown = await workflows("diff");
    expect(shown.code, shown.stderr).toBe(1);
    expect(shown.stdout).toContain("technicia-question: edited in n8n");
    const before = await fileText();
    const pulled = await workflows("pull");
    expect(pulled.code, pulled.stderr).toBe(0);
    expect(pulled.stdout).toContain(`written: workflows/${FILE}`);
    // Nothing but that text: a reviewer reads what a person did.
    expect(await fileText()).toBe(before.replace("La question est vide", "Posez une question"));
    const again = await workflows("diff");
    expect(again.code, again.stdout).toBe(0);
  });
});

describe("a change made in the file", () => {
  it("answers visitors once it is pushed", async () => {
    const text = await fileText();
    await writeFile(
      join(colleague, "workflows", FILE),
      text.replace("Posez une question", "Écrivez votre question"),
    );

    const pushed = await workflows("push --yes");
    expect(pushed.code, `${pushed.stdout}\n${pushed.stderr}`).toBe(0);
    expect(await errorsOf(" ")).toContain("Écrivez votre question.");
    expect((await history()).events.at(-1)).toMatchObject({ action: "workflows" });
  });
});

describe("promotion", () => {
  beforeAll(async () => {
    const made = await inCheckout("pulumi stack init prod");
    expect(made.code, made.stderr).toBe(0);
    const { code, stdout, stderr } = await deploy();
    expect(code, `${stdout}\n${stderr}`).toBe(0);
  });

  it("refuses a checkout with other workflows than those that were verified", async () => {
    const before = await readFile(settings, "utf8");

    const { code, stderr } = await promote();
    expect(code).toBe(1);
    expect(stderr).toContain("workflows: expected those that test has verified");
    expect(await readFile(settings, "utf8")).toBe(before);
  });

  it("writes the images into prod's settings where the checkout has those workflows", async () => {
    await cp(join(ROOT, "workflows"), join(colleague, "workflows"), { recursive: true });

    const { code, stdout, stderr } = await promote();
    expect(code, stderr).toBe(0);
    expect(stdout).toContain("of test is now in Pulumi.prod.yaml");
    expect(await readFile(settings, "utf8")).toMatch(/vectorStore: \S+@sha256:[0-9a-f]{64}/);
  });
});
