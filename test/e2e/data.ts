/** Data as an environment in use has it, and what a set of backups counts of it. */
import { expect } from "vitest";

import { npm } from "./deployments.ts";
import { ask, onServer, until } from "./rehearsal.ts";

export const POINTS = 10_000;
export const EXECUTIONS = 3;
const PROGRAM = "/opt/technicia/backup/main.py";

const webhook = (path: string, at: number) => ({
  ...{ id: path, name: path, type: "n8n-nodes-base.webhook", typeVersion: 2, position: [0, at * 200] },
  ...{ webhookId: path, parameters: { path, httpMethod: "POST", options: {} } },
});

/** With the frontend's webhooks, as TechnicIA's have them, so that a verification finds an n8n in use. */
const WORKFLOWS = Object.entries({
  ingestion: ["upload"],
  question: ["question"],
  diagnosis: ["start-diagnosis", "diagnosis-step"],
}).map(([name, paths]) => ({
  ...{ id: `recovery-${name}`, name, active: false, connections: {} },
  settings: { executionOrder: "v1", saveDataSuccessExecution: "all" },
  nodes: paths.map(webhook),
}));
const CREDENTIALS = [
  {
    ...{ id: "recovery-key", name: "key", type: "httpHeaderAuth" },
    data: { name: "x-key", value: "canary-of-a-credential" },
  },
];

/** Runs a program where Qdrant listens: it has no port on the server itself. */
const ENTER_QDRANT =
  'nsenter --target "$(docker inspect --format \'{{.State.Pid}}\' "$(docker ps --quiet --filter label=com.docker.swarm.service.name=technicia-qdrant)")" --net';

/** Points with payloads, three workflows with executions, and a credential. Adding them again changes nothing. */
export async function addData(): Promise<void> {
  await onServer(`${ENTER_QDRANT} python3 - <<'P'
import json, pathlib, random, urllib.request
random.seed(1)
path = pathlib.Path("/etc/technicia/backup/qdrant-key")
headers = {"content-type": "application/json", **({"api-key": path.read_text().strip()} if path.exists() else {})}
def ask(method, where, body=None):
    request = urllib.request.Request(f"http://127.0.0.1:6333/collections/technicia{where}", method=method, headers=headers, data=body and json.dumps(body).encode())
    return json.load(urllib.request.urlopen(request))["result"]
size = ask("GET", "")["config"]["params"]["vectors"]["size"]
for start in range(0, ${POINTS}, 500):
    points = [{"id": i, "vector": [round(random.random(), 3) for _ in range(size)], "payload": {"type": "text", "page_number": i % 90, "text": f"page {i}"}} for i in range(start, start + 500)]
    ask("PUT", "/points?wait=true", {"points": points})
P`);
  for (const [kind, content] of [
    ["workflow", WORKFLOWS],
    ["credentials", CREDENTIALS],
  ] as const) {
    await onServer(`
n8n=$(docker ps --quiet --filter label=com.docker.swarm.service.name=technicia-n8n)
docker exec --interactive "$n8n" sh -c 'cat > /home/node/.n8n/import.json' <<'J'
${JSON.stringify(content)}
J
docker exec "$n8n" n8n import:${kind} --input=/home/node/.n8n/import.json
docker exec "$n8n" rm /home/node/.n8n/import.json`);
  }
  await startWorkflows();
}

/** n8n answers the webhooks of a published workflow after its next start. */
async function startWorkflows(): Promise<void> {
  const publish = WORKFLOWS.map(({ id }) => `docker exec "$n8n" n8n publish:workflow --id=${id}`);
  await onServer(`set -e
n8n=$(docker ps --quiet --filter label=com.docker.swarm.service.name=technicia-n8n)
${publish.join("\n")}
docker service scale technicia-n8n=0 >/dev/null
docker service scale technicia-n8n=1 >/dev/null`);
  for (let time = 0; time < EXECUTIONS; time++) {
    await until("the workflow to answer", async () => {
      const { status } = await ask("/api/question", { method: "POST", body: "{}" });
      return status === 200;
    });
  }
  await until("its executions to be saved", async () => (await rows("execution_entity")) >= EXECUTIONS);
}

/** Rows of a table of n8n's. */
async function rows(table: string): Promise<number> {
  const text = await onServer(`python3 -c "
import sqlite3
path = '/var/lib/docker/volumes/technicia-n8n-data/_data/database.sqlite'
print(sqlite3.connect(path, timeout=60).execute('select count(*) from ${table}').fetchone()[0])"`);
  return Number(text);
}

export type Counts = Readonly<Record<string, Readonly<Record<string, number>>>>;

/** Makes a set, and gives what it holds. Records are left out: every command adds some. */
export async function countSet(): Promise<{ readonly id: string; readonly counts: Counts }> {
  const { code, stdout, stderr } = await npm("backup", "--", "test");
  expect(code, `${stdout}\n${stderr}`).toBe(0);
  const id = /^set ([0-9a-f]{8}): /m.exec(stdout)?.[1] ?? "";
  const { items } = JSON.parse(await onServer(`${PROGRAM} show ${id}`)) as {
    items: Record<string, { counts: Record<string, number> }>;
  };
  const kept = ["qdrant", "n8n", "certificates"].map((name) => [name, items[name]?.counts ?? {}]);
  return { id, counts: Object.fromEntries(kept) as Counts };
}

/** What the running services hold now. */
export async function counted(): Promise<{
  readonly qdrant: Readonly<Record<string, number>>;
  readonly workflows: number;
}> {
  const { count } = (await onQdrant("POST", "/points/count", { exact: true })) as { count: number };
  return { qdrant: { technicia: count }, workflows: await rows("workflow_entity") };
}

/** Asks Qdrant for something of the collection, as the server's own programs do; gives the `result`. */
export async function onQdrant(method: string, path: string, body: object): Promise<unknown> {
  const answer =
    await onServer(`${ENTER_QDRANT} curl --silent --show-error --fail-with-body --request ${method} \
  --header 'content-type: application/json' --header "api-key: $(cat /etc/technicia/backup/qdrant-key 2>/dev/null)" \
  --data @- 'http://127.0.0.1:6333/collections/technicia${path}' <<'J'
${JSON.stringify(body)}
J`);
  return (JSON.parse(answer) as { result: unknown }).result;
}
