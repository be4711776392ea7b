/** Workflows of n8n that answer wrongly or too late: bash for the server that adds and removes them. */

export interface Webhook {
  /** After `/webhook/`. */
  readonly path: string;

  /** @default POST */
  readonly method?: "GET" | "POST";

  /** Node that runs before the answer. @default the answer comes at once, with `status` */
  readonly then?: { readonly type: string; readonly parameters: object };

  /** @default 200 */
  readonly status?: number;
}

const idOf = ({ path }: Webhook) => `faults-${path}`;

function workflowOf(webhook: Webhook) {
  const { path, method = "POST", then, status = 200 } = webhook;
  const node = {
    ...{ id: path, name: path, type: "n8n-nodes-base.webhook", typeVersion: 1, position: [0, 0] },
    webhookId: idOf(webhook),
    parameters: {
      ...{ path, httpMethod: method, options: {} },
      responseMode: then === undefined ? "onReceived" : "lastNode",
      responseCode: status,
    },
  };
  const next = then && { id: "next", name: "next", typeVersion: 1, position: [200, 0], ...then };
  return {
    ...{ id: idOf(webhook), name: idOf(webhook), active: false },
    settings: { executionOrder: "v1" },
    nodes: [node, ...(next ? [next] : [])],
    connections: next ? { [path]: { main: [[{ node: "next", type: "main", index: 0 }]] } } : {},
  };
}

/** Adds them, and starts n8n anew, which reads them then. */
export const addWebhooks = (webhooks: readonly Webhook[]): string => `set -e
n8n=$(docker ps --quiet --filter label=com.docker.swarm.service.name=technicia-n8n)
docker exec --interactive "$n8n" sh -c 'cat > /home/node/.n8n/import.json' <<'J'
${JSON.stringify(webhooks.map(workflowOf))}
J
docker exec "$n8n" n8n import:workflow --input=/home/node/.n8n/import.json
docker exec "$n8n" rm /home/node/.n8n/import.json
${webhooks.map((one) => `docker exec "$n8n" n8n publish:workflow --id=${idOf(one)}`).join("\n")}
docker service scale technicia-n8n=0 >/dev/null
docker service scale technicia-n8n=1 >/dev/null`;

/** Removes all of them, so that a verification finds the n8n of before. */
export const REMOVE_WEBHOOKS = `set -e
docker service scale technicia-n8n=0 >/dev/null
python3 - <<'P'
import sqlite3
connection = sqlite3.connect("/var/lib/docker/volumes/technicia-n8n-data/_data/database.sqlite", timeout=60)
connection.execute("pragma foreign_keys = on")
connection.execute("delete from webhook_entity where workflowId like 'faults-%'")
connection.execute("delete from workflow_entity where id like 'faults-%'")
connection.commit()
P
docker service scale technicia-n8n=1 >/dev/null`;
