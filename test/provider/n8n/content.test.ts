import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { differences } from "../../../provider/plugin/diff.ts";
import type { Call, Existing } from "../../../provider/plugin/definition.ts";
import { content } from "../../../provider/n8n/resource.ts";
import { keepWorkflow } from "../../../provider/n8n/workflow.ts";
import { UserError } from "../../../common/user-error.ts";
import { readWorkflows } from "../../../stacks/workflows/read.ts";
import { environmentWith } from "../../support/fixtures.ts";
import { TestWorld } from "../../ops/workflows/test-world.ts";

type Resource = Existing<
  Parameters<typeof content.create>[1],
  { readonly credentialStates: Readonly<Record<string, string>> }
>;

let test: TestWorld;
let call: Call;
beforeEach(async () => {
  test = await TestWorld.open();
  const { server } = test;
  call = {
    urn: "urn:pulumi:test::technicia::technicia:n8n:Content::n8n-content",
    host: server,
    signal: new AbortController().signal,
    log: { info: () => undefined, warning: () => undefined, debug: () => undefined, status: () => undefined },
  } as unknown as Call;
});
afterEach(() => test[Symbol.asyncDispose]());

async function declared(): Promise<Resource["inputs"]> {
  const environment = environmentWith({ workflows: { enabled: true }, documents: { enabled: true } });
  const found = await readWorkflows(environment, { inClear: () => test.secrets });
  return {
    workflows: Object.fromEntries(found!.workflows.map((one) => [one.id, keepWorkflow(one)])),
    credentials: Object.fromEntries(found!.credentials.map(({ id, ...one }) => [id, one])),
    domain: "technicia.exemple.fr",
    owner: { email: "admin@exemple.fr", password: test.secrets["n8nOwnerPassword"]! },
    keyDays: 30,
    webhookSeconds: 10,
    address: test.n8n.address,
  };
}

async function created(): Promise<Resource> {
  const inputs = await declared();
  return { inputs, ...(await content.create(call, inputs)) };
}

/** Paths at which a refresh sees another n8n than was deployed, each with what it finds there. */
async function drift(resource: Resource) {
  const found = (await content.read(call, resource))!;
  return {
    resource: found as Resource,
    paths: differences(resource.inputs, found.inputs).map(({ path, kind }) => `${kind} ${path}`),
  };
}

const QUESTION = "technicia-question";

function edit(): void {
  test.n8n.edit(QUESTION, (nodes) => {
    const node = nodes.find(({ name }) => name === "Chercher")!;
    node["parameters"] = { ...(node["parameters"] as object), url: "http://elsewhere:1/search" };
    node["position"] = [9, 9];
  });
}

describe("n8n's content as a resource", () => {
  it("is created, published, and read back as it was declared", async () => {
    const resource = await created();

    expect([...test.n8n.workflows.values()].every(({ activeVersion }) => activeVersion !== null)).toBe(true);
    expect(resource.outputs).toEqual({ credentialStates: { "technicia-anthropic": "as declared" } });
    expect(await drift(resource)).toMatchObject({ paths: [], resource: { outputs: resource.outputs } });
  });

  it("shows what was edited, and only that; an update puts it back", async () => {
    const resource = await created();
    edit();

    const { paths, resource: found } = await drift(resource);
    expect(paths).toEqual([`update workflows["${QUESTION}"].nodes.Chercher.parameters.url`]);
    await content.update(call, found, resource.inputs);
    expect((await drift(resource)).paths).toEqual([]);
  });

  it("shows a workflow that runs no longer, in an earlier version, or that is gone; an update repairs each", async () => {
    const resource = await created();
    test.n8n.unpublish(QUESTION);
    test.n8n.workflows.delete("technicia-ingestion");

    const { paths, resource: found } = await drift(resource);
    expect(paths.sort()).toEqual([
      'delete workflows["technicia-ingestion"]',
      `update workflows["${QUESTION}"].runs`,
    ]);
    expect(found.inputs.workflows[QUESTION]).toMatchObject({ runs: "nothing" });
    await content.update(call, found, resource.inputs);
    expect((await drift(resource)).paths).toEqual([]);
  });

  it("shows a credential with other values without a value, and writes it again", async () => {
    const resource = await created();
    test.n8n.credentials.get("technicia-anthropic")!.data = { apiKey: "somebody-elses", url: "x" };

    const { resource: found } = await drift(resource);
    expect(found.outputs).toEqual({ credentialStates: { "technicia-anthropic": "other values" } });
    expect(JSON.stringify(found)).not.toContain("somebody-elses");
    await content.update(call, found, resource.inputs);
    expect(test.n8n.credentials.get("technicia-anthropic")!.data).toMatchObject({
      apiKey: test.secrets["anthropicApiKey"],
    });
  });

  it("shows a published workflow that nobody declared, and unpublishes it once a person has agreed to that", async () => {
    const resource = await created();
    const other = { ...structuredClone(test.n8n.workflows.get(QUESTION)!), id: "intruder", name: "Intrus" };
    test.n8n.workflows.set("intruder", other);

    const { paths, resource: found } = await drift(resource);
    expect(paths).toEqual(["add workflows.intruder"]);
    // An update for another reason, which nobody was shown it in.
    await content.update(call, resource, { ...resource.inputs, keyDays: 20 });
    expect(test.n8n.workflows.get("intruder")!.activeVersion).not.toBeNull();
    await content.update(call, found, resource.inputs);
    expect(test.n8n.workflows.get("intruder")!.activeVersion).toBeNull();
  });

  it("unpublishes a workflow that is no longer declared, and leaves it in n8n", async () => {
    const resource = await created();
    const workflows = { ...resource.inputs.workflows };
    delete workflows["technicia-diagnosis-step"];
    await content.update(call, resource, { ...resource.inputs, workflows });

    expect(test.n8n.workflows.get("technicia-diagnosis-step")!.activeVersion).toBeNull();
  });

  it("keeps in the state what it could not finish, and finishes it the next time", async () => {
    test.n8n.instead.set(`POST /api/v1/workflows/${QUESTION}/activate`, {
      status: 400,
      body: { message: "no" },
    });
    const inputs = await declared();
    const failure = await content.create(call, inputs).catch((error: unknown) => error);

    expect(failure).toBeInstanceOf(UserError);
    expect(failure).toMatchObject({ id: "n8n", outputs: { credentialStates: {} } });
    test.n8n.instead.clear();
    await content.update(call, { id: "n8n", inputs, outputs: { credentialStates: {} } }, inputs);
    expect((await drift({ id: "n8n", inputs, outputs: { credentialStates: {} } })).paths).toEqual([]);
  });
});
