import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { readContent } from "../../../stacks/workflows/folder.ts";
import {
  renderWorkflow,
  workflow as schema,
  type Node,
  type Workflow,
} from "../../../provider/n8n/workflow.ts";
import { environmentWith } from "../../support/fixtures.ts";

const OWN = fileURLToPath(new URL("../../../workflows", import.meta.url));
const NAMES = ["diagnosis-start", "diagnosis-step", "errors", "ingestion", "question"].map(
  (name) => `technicia-${name}`,
);

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "technicia-check-"));
  await cp(OWN, folder, { recursive: true });
});
afterEach(() => rm(folder, { recursive: true }));

async function problems(changes: Readonly<Record<string, unknown>> = {}): Promise<string[]> {
  const environment = environmentWith({ documents: { enabled: true }, ...changes });
  const { problems } = await readContent({ path: folder, folder: "workflows" }, environment);
  return problems.map(({ path, text }) => `${path}: ${text}`);
}

const read = async (name: string) =>
  schema.parse(JSON.parse(await readFile(join(folder, `${name}.json`), "utf8")));
const write = (name: string, text: string) => writeFile(join(folder, name), text);

async function change(name: string, edit: (workflow: Workflow & { nodes: Node[] }) => void): Promise<void> {
  const workflow = structuredClone(await read(name)) as Workflow & { nodes: Node[] };
  edit(workflow);
  await write(`${name}.json`, JSON.stringify(workflow));
}

const pinned = (version: string) => ({
  "images.n8n": `n8nio/n8n:${version}`,
  "images.n8nRunners": `n8nio/runners:${version}`,
});

/** Changes a node of the workflow that answers questions. */
const changeNode = (name: string, edit: (node: Node) => void) =>
  change("technicia-question", ({ nodes }) => edit(nodes.find((node) => node.name === name)!));

const callTo = (url: string) => changeNode("Chercher", ({ parameters }) => void (parameters["url"] = url));

describe("our own workflows", () => {
  it.each(["2.3.6", "2.41.3"])("have no problem with n8n %s", async (version) => {
    expect(await problems(pinned(version))).toEqual([]);
  });

  it("are in the files as a pull would write them", async () => {
    for (const name of NAMES) {
      const text = await readFile(join(folder, `${name}.json`), "utf8");
      expect(text).toBe(await renderWorkflow(await read(name)));
    }
  });
});

describe("the check of workflows", () => {
  it("tells all problems at once, each with its file", async () => {
    await write("technicia-errors.json", "{ nodes: [");
    await changeNode("Vérifier", (node) => void (node.type = "n8n-nodes-base.mkdir"));
    await callTo("http://vector-engine:8003/api/search");
    const found = await problems();

    expect(found).toContainEqual(
      expect.stringMatching(
        /^workflows\/technicia-errors\.json: expected JSON, got something else \(.+\); export/,
      ),
    );
    expect(found).toContainEqual(
      expect.stringMatching(
        /^workflows\/technicia-question\.json: Vérifier\.type: expected a node that n8n 2\.41\.3 knows, got n8n-nodes-base\.mkdir; /,
      ),
    );
    expect(found).toContainEqual(
      expect.stringContaining("Chercher.parameters.url: expected a host that n8n reaches"),
    );
    expect(found.filter((line) => line.includes("settings.errorWorkflow"))).toHaveLength(4);
  });

  it.each([
    ["document-processor:5000/process", "expected http://document-processor:8000"],
    ["document-processor:5001/process", "expected http://document-processor:8000"],
    ["document-processor:8001/process", "expected http://document-processor:8000"],
    ["vision-classifier:5000/classify", "expected http://vision-classifier:8000"],
    ["vector-service:5000/vectorize", "expected a host that n8n reaches"],
    ["ingestion-service:5000/start", "expected a host that n8n reaches"],
    ["schema-analyzer:8002/api/analyze", "expected a host that n8n reaches"],
    ["vector-engine:8003/api/process", "expected a host that n8n reaches"],
    ["diagnosis-engine:8004/plan", "expected a host that n8n reaches"],
    ["frontend:3000/api/notifications", "expected a host that n8n reaches"],
    ["technicia-frontend:80/api/notifications", "expected a host that n8n reaches"],
    ["qdrant:6333/collections/technicia/points/batch", "which is on no network with n8n"],
  ])("refuses http://%s, which was in the team's workflows", async (address, reason) => {
    await callTo(`http://${address}`);

    expect(await problems()).toEqual([expect.stringContaining(reason)]);
  });

  it.each([
    ["http://localhost:8000/search", "expected a host that n8n reaches"],
    ["http://172.31.0.2:8000/search", "expected a host that n8n reaches"],
    ["https://[::1]/search", "expected a host that n8n reaches"],
    ["https://vector-store:8000/search", "expected http://vector-store:8000"],
    ["http://vector-store/search", "expected http://vector-store:8000"],
    ["http://api.exemple.fr/v1", "expected https:// for a host outside"],
    ["={{ $json.host }}/search", "expected an address whose host is written out"],
    ["vector-store:8000/search", "expected an address whose host is written out"],
  ])("refuses %s", async (url, reason) => {
    await callTo(url);

    expect(await problems()).toEqual([expect.stringContaining(reason)]);
  });

  it.each([
    "http://technicia-vector-store:8000/search",
    "=http://vector-store:8000/{{ $json.path }}",
    "https://api.voyageai.com/v1/embeddings",
  ])("accepts %s", async (url) => {
    await callTo(url);

    expect(await problems()).toEqual([]);
  });

  it("knows which services this environment runs", async () => {
    const off = await problems({ "services.visionClassifier": { memoryMib: 384, cpus: 1, enabled: false } });
    await callTo("http://qdrant:6333/collections/technicia/points/search");

    expect(off).toEqual([
      "workflows/technicia-ingestion.json: Classer.parameters.url: expected a service that n8n reaches, got vision-classifier:8000, which services.visionClassifier.enabled turns off; set it to true",
    ]);
    expect(await problems({ "services.n8n.database": "postgres" })).toEqual([]);
  });

  it("finds files that n8n may not open, and says what to switch on where it opens none", async () => {
    const off = await problems({ documents: { enabled: false } });
    await change("technicia-ingestion", ({ nodes }) => {
      nodes.find(({ name }) => name === "Garder")!.parameters["fileName"] =
        "=/tmp/{{ $json.documentId }}.pdf";
    });

    expect(off.map((line) => line.split(": expected")[0])).toEqual(
      ["Fermer la carte", "Garder", "Lire l'image", "Noter l'échec", "Ouvrir la carte"].map(
        (node) => `workflows/technicia-ingestion.json: ${node}.type`,
      ),
    );
    expect(off[0]).toContain("pulumi config set --path technicia:documents.enabled true --stack test");
    expect(await problems()).toEqual([
      expect.stringMatching(/Garder\.parameters\.fileName: expected a file in \/documents, .* got "\/tmp\//),
    ]);
  });

  it("finds a node from a newer n8n, one that the deployment turns off, and versions that nobody listed", async () => {
    await changeNode("Valide ?", (node) => void (node.typeVersion = 9));
    await changeNode("Vérifier", (node) => void (node.type = "n8n-nodes-base.executeCommand"));

    expect(await problems(pinned("2.3.6"))).toEqual([
      expect.stringContaining(
        "Valide ?.typeVersion: expected a version of n8n-nodes-base.if that n8n 2.3.6 knows (1, 2, 2.1, 2.2, 2.3), got 9, which is from a newer n8n; ",
      ),
      expect.stringContaining(
        "Vérifier.type: expected a node that n8n may run, got n8n-nodes-base.executeCommand",
      ),
    ]);
    expect(await problems(pinned("3.0.0"))).toContain(
      "technicia:images.n8n: expected a version of n8n whose nodes are known here (2.3.6, 2.41.3), got n8nio/n8n:3.0.0; write the list of another one with npx node stacks/workflows/node-list.ts 3.0.0",
    );
  });

  it("takes n8n's own export, and refuses what its public API would refuse", async () => {
    const exported = {
      ...(await read("technicia-question")),
      active: true,
      versionId: "v",
      meta: {},
      pinData: {},
      shared: [],
    };
    const tags = [{ id: "1", name: "technicia", createdAt: "" }];
    await write("technicia-question.json", JSON.stringify({ ...exported, tags }));
    expect(await problems()).toEqual([]);

    await write(
      "technicia-question.json",
      JSON.stringify({ ...exported, tags, surprise: 1, nodes: [{ id: "a" }], settings: undefined }),
    );
    const found = await problems();
    for (const text of [
      "nodes.0.name: expected the name of the node",
      "expected keys that n8n's public API takes, got surprise",
      "settings: expected",
    ])
      expect(found).toContainEqual(expect.stringContaining(text));
  });

  it("wants each id once, in the file of its name, and connections between nodes that exist", async () => {
    await change("technicia-question", (workflow) => {
      workflow.nodes[1] = { ...workflow.nodes[1]!, id: workflow.nodes[0]!.id };
      workflow.connections["Webhook"] = { main: [[{ node: "Verifier", type: "main", index: 0 }]] };
    });
    await write("copie.json", JSON.stringify(await read("technicia-errors")));

    expect(await problems()).toEqual([
      'workflows/copie.json: id: expected the name of the file, got "technicia-errors"; rename the file to technicia-errors.json',
      expect.stringMatching(/technicia-question\.json: nodes: expected each node's id once, got "\w+" again/),
      expect.stringContaining("technicia-question.json: connections: expected the name of a node"),
    ]);
  });

  it("wants a workflow of errors that exists, and sub-workflows that n8n has", async () => {
    await change("technicia-question", ({ settings, nodes }) => {
      settings.errorWorkflow = "technicia-erreurs";
      nodes[0] = {
        ...nodes[0]!,
        type: "n8n-nodes-base.executeWorkflow",
        typeVersion: 1.2,
        parameters: { workflowId: { value: "autre" } },
      };
    });

    expect(await problems()).toEqual([
      expect.stringMatching(
        /parameters\.workflowId: expected a workflow of this folder \(.+\), got "autre"; /,
      ),
      expect.stringContaining(
        'settings.errorWorkflow: expected the workflow that handles errors (technicia-errors), got "technicia-erreurs"; name it',
      ),
    ]);
  });
});

describe("the check of webhooks", () => {
  const webhook = (edit: (node: Node) => void) => changeNode("Webhook", edit);

  it("finds two for the same path, and two with the same id", async () => {
    await webhook(({ parameters, ...node }) => void ((parameters["path"] = "upload"), node));
    await webhook((node) => void (node.webhookId = "technicia-upload"));

    expect(await problems()).toEqual([
      expect.stringContaining(
        "Webhook.webhookId: expected an id of its own, got technicia-upload, that of workflows/technicia-ingestion.json: Webhook",
      ),
      expect.stringContaining(
        "Webhook.parameters.path: expected a path of its own, got POST upload, that of workflows/technicia-ingestion.json: Webhook",
      ),
      "workflows: expected a webhook POST question, because the gateway passes /api/question to it, got none; add it to a workflow",
    ]);
  });

  it.each<[string, (node: Node) => void]>([
    [
      "httpMethod: expected POST, as the frontend calls /api/question, got GET; set it",
      ({ parameters }) => void delete parameters["httpMethod"],
    ],
    [
      "httpMethod: expected POST, as the frontend calls /api/question, got PUT",
      ({ parameters }) => void (parameters["httpMethod"] = "PUT"),
    ],
    [
      "options.binaryData: expected false, because the frontend sends JSON",
      ({ parameters }) => void (parameters["options"] = { binaryData: true }),
    ],
    ["options.rawBody: expected false", ({ parameters }) => void (parameters["options"] = { rawBody: true })],
    [
      "responseMode: expected responseNode, because the workflow has a node",
      ({ parameters }) => void (parameters["responseMode"] = "lastNode"),
    ],
    [
      "webhookId: expected an id, without which n8n registers no webhook",
      (node) => void delete node.webhookId,
    ],
  ])("finds %s", async (reason, edit) => {
    await webhook(edit);

    expect(await problems()).toEqual([expect.stringContaining(reason)]);
  });

  it("finds an upload that would arrive without its file, an answer that nobody makes, and a path that the gateway drops", async () => {
    await change("technicia-ingestion", ({ nodes }) => {
      const at = nodes.findIndex(({ name }) => name === "Webhook");
      nodes[at] = { ...nodes[at]!, typeVersion: 1 };
    });
    await change("technicia-question", (workflow) => {
      workflow.nodes = workflow.nodes.map((node) => ({
        ...node,
        ...(node.type.endsWith("respondToWebhook") ? { disabled: true } : {}),
      }));
    });
    await change("technicia-errors", ({ nodes }) => {
      nodes.push({
        ...nodes[0]!,
        id: "w",
        name: "W",
        type: "n8n-nodes-base.webhook",
        typeVersion: 2,
        webhookId: "w",
        parameters: { path: "a.b" },
      });
    });

    expect(await problems()).toEqual([
      expect.stringContaining("parameters.path: expected letters, digits, -, _ and ~ between slashes"),
      expect.stringContaining(
        "options.binaryData: expected true, because the frontend uploads a file to /api/upload, got undefined",
      ),
      expect.stringContaining(
        "responseMode: expected a node n8n-nodes-base.respondToWebhook in the workflow",
      ),
    ]);
  });
});

describe("the check for secrets and blocked variables", () => {
  it.each([
    ["jsCode", "const key = 'sk-ant-api03-0123456789abcdef';"],
    ["jsCode", "fetch(url, { headers: { authorization: 'Bearer 0123456789abcdef0123' } })"],
    ["text", "-----BEGIN RSA PRIVATE KEY-----\nMIIE"],
    ["text", "AIza0123456789abcdefghijklmnopqrstuv"],
    ["text", "pa-0123456789abcdefghij0123"],
    ["text", "https://user:motdepasse@exemple.fr/x"],
  ])("finds a key in %s without repeating it", async (key, text) => {
    await changeNode("Composer", ({ parameters }) => void (parameters[key] = text));
    const found = await problems();

    expect(found).toEqual([
      expect.stringContaining(`Composer.parameters.${key}: expected no key in clear, got one`),
    ]);
    expect(found.join()).not.toContain(text.slice(-12));
  });

  it("finds a header with a literal key, and accepts an expression in its place", async () => {
    const header = (value: string) =>
      changeNode(
        "Claude",
        ({ parameters }) =>
          void (parameters["headerParameters"] = { parameters: [{ name: "X-Api-Key", value }] }),
      );
    await header("abcdef");
    const inClear = await problems();
    await header("={{ $json.key }}");

    expect(inClear).toEqual([
      expect.stringContaining(
        "headerParameters.parameters[0].value: expected an expression or credentials for a key",
      ),
    ]);
    expect(await problems()).toEqual([]);
  });

  it.each(["={{ $env.ANTHROPIC_MODEL }}", "process.env.KEY"])(
    "finds %s, which the deployment blocks",
    async (text) => {
      await changeNode("Composer", ({ parameters }) => void (parameters["text"] = text));

      expect(await problems()).toEqual([
        expect.stringContaining("expected no variable of n8n's environment"),
      ]);
    },
  );
});
