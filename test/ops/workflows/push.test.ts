import { readdir } from "node:fs/promises";

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { diffWorkflows, staleCredentials } from "../../../ops/workflows/diff.ts";
import { pullWorkflows } from "../../../ops/workflows/pull.ts";
import { pushWorkflows } from "../../../ops/workflows/push.ts";
import { TestWorld } from "./test-world.ts";

let test: TestWorld;
beforeEach(async () => {
  test = await TestWorld.open();
});
afterEach(() => test[Symbol.asyncDispose]());

const IDS = [
  "technicia-diagnosis-start",
  "technicia-diagnosis-step",
  "technicia-errors",
  "technicia-ingestion",
  "technicia-question",
];
const push = () => pushWorkflows({ stack: "test", yes: true }, test.world);
const diff = () => diffWorkflows({ stack: "test", json: false }, test.world);
const pull = () => pullWorkflows({ stack: "test" }, test.world);
const calls = (pattern: RegExp) => test.n8n.received.filter((call) => pattern.test(call));

/** Changes a parameter of a node in n8n's editor. */
function edit(id: string, node: string, parameters: Record<string, unknown>): void {
  test.n8n.edit(id, (nodes) => {
    const found = nodes.find(({ name }) => name === node)!;
    found["parameters"] = { ...(found["parameters"] as object), ...parameters };
  });
}

describe("the first push", () => {
  it("creates credentials and workflows with their own ids, publishes them, and waits for each webhook", async () => {
    test.n8n.late = 3;
    const { text, exitCode } = await push();

    expect([text, exitCode]).toEqual(["n8n of test has what is in the folder", 0]);
    expect([...test.n8n.workflows.keys()].sort()).toEqual(IDS);
    expect([...test.n8n.workflows.values()].every(({ activeVersion }) => activeVersion !== null)).toBe(true);
    expect(test.n8n.credentials.get("technicia-anthropic")).toEqual({
      id: "technicia-anthropic",
      name: "Anthropic",
      type: "anthropicApi",
      data: { apiKey: test.secrets["anthropicApiKey"], url: "https://api.anthropic.com" },
    });
    expect(test.n8n.tags.map(({ name }) => name)).toEqual(["technicia"]);
    expect(test.waited).toBeGreaterThan(0);
    expect(await test.history()).toEqual([
      `workflows: n8n écrit d'après workflows : technicia-anthropic, technicia-errors, ${IDS.filter((id) => id !== "technicia-errors").join(", ")}`,
    ]);
  });

  it("publishes what handles errors before what fails to it", async () => {
    await push();

    expect(calls(/activate$/)[0]).toBe("POST /api/v1/workflows/technicia-errors/activate");
  });

  it("puts no key, password or value on a command line, prints none, and leaves none behind", async () => {
    const before = await readdir("/dev/shm");
    await push();
    const [key] = test.n8n.keys;
    const lines = await test.commandLines();

    expect(lines).toContain("docker exec");
    for (const secret of [key!.raw, test.secrets["n8nOwnerPassword"]!, test.secrets["anthropicApiKey"]!]) {
      expect(lines).not.toContain(secret);
      expect(test.said.join("\n")).not.toContain(secret);
    }
    expect(
      (await readdir("/dev/shm")).filter((name) => name.startsWith("technicia-") && !before.includes(name)),
    ).toEqual([]);
  });

  it("changes nothing a second time, without a question", async () => {
    await push();
    test.n8n.received.length = 0;
    const { exitCode } = await pushWorkflows({ stack: "test", yes: false }, test.world);

    expect(exitCode).toBe(0);
    expect(calls(/^(PUT|POST|DELETE)/)).toEqual([]);
    expect(test.questions).toEqual([]);
  });

  it("asks first, and changes nothing when the answer is no", async () => {
    test.answer = false;
    const { text, exitCode } = await pushWorkflows({ stack: "test", yes: false }, test.world);

    expect([text, exitCode]).toEqual(["nothing was changed", 1]);
    expect(test.questions).toEqual(["overwrite that in n8n of test?"]);
    expect(test.n8n.workflows.size + test.n8n.credentials.size).toBe(0);
  });

  it("stops before it connects when the folder has problems, or a secret is missing", async () => {
    delete test.secrets["anthropicApiKey"];
    await test.write("technicia-errors.json", "{");

    await expect(push()).rejects.toThrow(
      /technicia-errors\.json: expected JSON[^]+credentials\.yaml: technicia-anthropic\.data\.apiKey: expected the secret/,
    );
    expect(test.n8n.received).toEqual([]);
    expect(test.server.purposes).toEqual([]);
  });

  it("is refused where technicia:workflows.enabled is false, as it is by default", async () => {
    test.workflows = {};

    await expect(push()).rejects.toThrow(/^technicia:workflows\.enabled: expected true, /);
  });
});

describe("the key of the public API", () => {
  it("is made once, with an end, for what n8n knows of the scopes, and used again", async () => {
    await diff();
    await diff();
    const [key, ...others] = test.n8n.keys;
    const days = (key!.expiresAt * 1000 - Date.now()) / 86_400_000;

    expect(others).toEqual([]);
    expect(days).toBeGreaterThan(29.9);
    expect(days).toBeLessThan(30.1);
    expect(key!.scopes).toEqual(["workflow:read", "workflow:update", "workflow:list"]);
    expect(calls(/login/)).toHaveLength(1);
    expect(calls(/logout/)).toHaveLength(1);
  });

  it("is replaced after half of its time, or when n8n does not know it, and the old one is deleted", async () => {
    await diff();
    const [first] = test.n8n.keys;
    test.now = () => new Date(Date.now() + 16 * 86_400_000);
    await diff();
    const [second] = test.n8n.keys;
    test.n8n.keys.length = 0;
    await diff();

    expect(second!.id).not.toBe(first!.id);
    expect(test.n8n.keys).toHaveLength(1);
    expect(calls(/^DELETE/)).toEqual([`DELETE /rest/api-keys/${first!.id}`]);
  });

  it("cannot be made with a wrong password, without one, or where the API is off: each says what to do", async () => {
    test.n8n.owner.password = "another";
    await expect(diff()).rejects.toThrow(/technicia:n8nOwnerPassword/);
    test.n8n.owner.password = test.secrets["n8nOwnerPassword"]!;
    test.n8n.isApiOn = false;
    await expect(diff()).rejects.toThrow(/its public API is off \(N8N_PUBLIC_API_DISABLED\)/);
    delete test.secrets["n8nOwnerPassword"];
    await expect(diff()).rejects.toThrow(
      /^technicia:n8nOwnerPassword: expected a value, because n8n's API key has to be made/,
    );
  });
});

describe("the differences", () => {
  it("are none after a push, whatever n8n adds and wherever nodes are moved to", async () => {
    await push();
    test.n8n.edit("technicia-question", (nodes) =>
      nodes.reverse().forEach((node) => (node["position"] = [1, 2])),
    );
    test.n8n.publish("technicia-question");

    expect(await diff()).toEqual({ text: "n8n has what is in the folder", exitCode: 0 });
  });

  it("name each kind of drift", async () => {
    await push();
    edit("technicia-question", "Chercher", { url: "http://autre:8000/search" });
    test.n8n.publish("technicia-question");
    test.n8n.unpublish("technicia-ingestion");
    test.n8n.workflows.delete("technicia-diagnosis-step");
    test.n8n.workflows.get("technicia-diagnosis-start")!.activeVersion!.nodes[0]!["disabled"] = true;
    test.n8n.workflows.set("maison", {
      ...structuredClone(test.n8n.workflows.get("technicia-errors")!),
      id: "maison",
    });
    test.n8n.credentials.get("technicia-anthropic")!.data["apiKey"] = "sk-ant-autre";
    test.n8n.credentials.set("perso", { id: "perso", name: "Perso", type: "httpBasicAuth", data: {} });
    const { text, exitCode } = await diff();

    expect(exitCode).toBe(1);
    for (const line of [
      "technicia-question: edited in n8n",
      "nodes.Chercher.parameters.url\n    - http://vector-store:8000/search\n    + http://autre:8000/search",
      "technicia-ingestion: not published",
      "technicia-diagnosis-step: not in n8n",
      "technicia-diagnosis-start: an earlier version of it is published",
      "maison: published, and not in the folder",
      "credentials technicia-anthropic: other values than the stack's secrets",
      "credentials perso (Perso, httpBasicAuth): in n8n, and not in the folder; nothing touches them",
    ])
      expect(text).toContain(line);
    expect(text).not.toContain("sk-ant-autre");
  });

  it("say of n8n's credentials alone whether they are current, without a call to its API", async () => {
    const stale = () => staleCredentials({ stack: "test" }, test.world);
    await push();
    test.n8n.received.length = 0;
    edit("technicia-question", "Chercher", { url: "http://autre:8000/search" });
    expect(await stale()).toEqual([]);

    test.secrets["anthropicApiKey"] = `sk-ant-${"next".repeat(10)}`;
    expect(await stale()).toEqual(["credentials technicia-anthropic: other values than the stack's secrets"]);
    test.n8n.credentials.delete("technicia-anthropic");
    expect(await stale()).toEqual(["credentials technicia-anthropic: not in n8n"]);
    expect(calls(/api|rest/)).toEqual([]);
  });

  it("show of code the lines that change, and no key that somebody has typed there", async () => {
    await push();
    test.n8n.edit("technicia-question", (nodes) => {
      const parameters = nodes.find(({ name }) => name === "Composer")!["parameters"] as Record<
        string,
        string
      >;
      parameters["jsCode"] = parameters["jsCode"]!.replace(
        "max_tokens: 1500",
        'key: "sk-ant-api03-0123456789"',
      );
    });
    const { text } = await diff();

    expect(text).toContain("-   max_tokens: 1500,");
    expect(text).toContain('+   key: "[secret]",');
    expect(text).not.toContain("system:");
  });
});

describe("a later push", () => {
  it("repairs each kind of drift, leaves alone what is not in the folder, and says so", async () => {
    await push();
    edit("technicia-question", "Chercher", { url: "http://autre:8000/search" });
    test.n8n.unpublish("technicia-ingestion");
    test.n8n.workflows.delete("technicia-diagnosis-step");
    test.n8n.workflows.get("technicia-diagnosis-start")!.isArchived = true;
    test.n8n.credentials.get("technicia-anthropic")!.data["apiKey"] = "autre";
    const other = { ...structuredClone(test.n8n.workflows.get("technicia-errors")!), id: "maison" };
    test.n8n.workflows.set("maison", other);
    const { text, exitCode } = await push();

    expect(exitCode).toBe(0);
    expect(text).toContain("maison: published, and not in the folder");
    expect(test.n8n.workflows.get("maison")).toEqual(other);
    test.n8n.workflows.delete("maison");
    expect((await diff()).exitCode).toBe(0);
    expect(test.n8n.credentials.get("technicia-anthropic")!.data["apiKey"]).toBe(
      test.secrets["anthropicApiKey"],
    );
  });

  it("writes only what differs", async () => {
    await push();
    edit("technicia-question", "Chercher", { url: "http://autre:8000/search" });
    test.n8n.received.length = 0;
    await push();

    expect(calls(/^PUT \/api\/v1\/workflows\/[^/]+$/)).toEqual(["PUT /api/v1/workflows/technicia-question"]);
    expect(calls(/^POST \/cli/)).toEqual([]);
  });

  it("publishes a workflow once more whose activation registers nothing, and fails when that does not help", async () => {
    test.n8n.ghosts.add("technicia-question");
    await push();
    expect(test.said).toContain(
      "technicia-question: n8n has not registered its webhook; publishing it once more",
    );

    test.n8n.unpublish("technicia-question");
    test.n8n.late = 1000;
    await expect(push()).rejects.toThrow(
      "n8n of test has published its workflows, and after 10 s does not answer at POST /webhook/question (technicia-question); look at npm run logs -- test n8n --errors, and push again",
    );
  });

  it("publishes a workflow once more that n8n has, and whose webhook it does not answer", async () => {
    await push();
    test.n8n.forget("technicia-question");
    test.n8n.received.length = 0;
    const { exitCode } = await push();

    expect(exitCode).toBe(0);
    expect(test.said).toContain("POST /webhook/question: n8n does not answer there");
    expect(calls(/activate$/)).toEqual([
      "POST /api/v1/workflows/technicia-question/deactivate",
      "POST /api/v1/workflows/technicia-question/activate",
    ]);
    expect(await test.history()).toHaveLength(1);
  });

  it("reports a conflict with a workflow that is not in the folder, and a refusal of the API", async () => {
    await push();
    const question = test.n8n.workflows.get("technicia-question")!;
    test.n8n.unpublish("technicia-question");
    test.n8n.workflows.set("maison", { ...structuredClone(question), id: "maison" });
    test.n8n.publish("maison");
    await expect(push()).rejects.toThrow(
      "n8n POST /workflows/technicia-question/activate: it refuses with 400: There is a conflict with one of the webhooks: POST /webhook/question",
    );

    test.n8n.instead.set("GET /api/v1/workflows", { status: 500, body: { message: "broken" } });
    await expect(push()).rejects.toThrow(/it refuses with 500: broken/);
  });

  it("takes a tag that somebody else makes at the same moment", async () => {
    test.n8n.before = (call) => {
      if (call === "POST /api/v1/tags" && test.n8n.tags.length === 0)
        test.n8n.tags.push({ id: "t", name: "technicia" });
    };
    await push();

    expect(test.n8n.tags).toHaveLength(1);
    expect(test.n8n.workflows.get("technicia-question")!.tags).toEqual([{ id: "t", name: "technicia" }]);
  });

  it("says of a setting that n8n keeps although the file has none", async () => {
    await push();
    test.n8n.workflows.get("technicia-question")!.settings["timezone"] = "America/New_York";

    await expect(push()).rejects.toThrow(/settings\.timezone[^]+n8n keeps settings that a push leaves out/);
  });

  it("waits for a deployment that is under way", async () => {
    await push();
    test.n8n.unpublish("technicia-ingestion");
    const { holdLock } = await import("../../../ops/server/lock.ts");
    const lock = await holdLock(test.server, {
      ...test.world,
      identity: { who: "bob@laptop", run: "", process: 2 },
      stack: "test",
      why: "deploy",
    });

    await expect(push()).rejects.toThrow(/bob@laptop/);
    await lock.release();
    expect((await push()).exitCode).toBe(0);
  });
});

describe("a pull", () => {
  it("writes what was changed in the editor into its file, and nothing else", async () => {
    await push();
    const [before, other] = [
      await test.read("technicia-question.json"),
      await test.read("technicia-errors.json"),
    ];
    edit("technicia-question", "Chercher", { url: "http://technicia-vector-store:8000/search" });
    const { text, exitCode } = await pull();
    const after = await test.read("technicia-question.json");

    expect(exitCode).toBe(0);
    expect(text).toMatch(/^written: workflows\/technicia-question\.json\n/);
    expect(after).toBe(
      before.replace("http://vector-store:8000/search", "http://technicia-vector-store:8000/search"),
    );
    expect(await test.read("technicia-errors.json")).toBe(other);
    expect((await pull()).text).toBe("n8n has no change that the folder does not have");
  });

  it("writes a workflow that runs and has no file", async () => {
    await push();
    test.n8n.workflows.set("maison", {
      ...structuredClone(test.n8n.workflows.get("technicia-errors")!),
      id: "maison",
      name: "Maison",
    });
    await pull();

    expect(JSON.parse(await test.read("maison.json"))).toMatchObject({
      id: "maison",
      name: "Maison",
      tags: ["technicia"],
    });
    expect((await diff()).exitCode).toBe(0);
  });

  it("writes nothing at all where somebody has typed a key into the editor", async () => {
    await push();
    edit("technicia-question", "Composer", { jsCode: "return 'sk-ant-api03-0123456789';" });
    edit("technicia-ingestion", "Compter", { jsCode: "return [];" });
    const before = await test.read("technicia-ingestion.json");

    await expect(pull()).rejects.toThrow(
      /technicia-question\.json: Composer\.parameters\.jsCode: expected no key in clear/,
    );
    expect(await test.read("technicia-ingestion.json")).toBe(before);
  });

  it("brings back a file that is broken or gone", async () => {
    const before = await test.read("technicia-question.json");
    await push();
    await test.write("technicia-question.json", "{");
    await pull();
    const wanted = JSON.parse(before) as { settings: Record<string, unknown> };
    delete wanted.settings["callerPolicy"];

    // What n8n would do anyway is left out: no file says that somebody has chosen it.
    expect(JSON.parse(await test.read("technicia-question.json"))).toEqual(wanted);
    expect((await diff()).exitCode).toBe(0);
  });
});
