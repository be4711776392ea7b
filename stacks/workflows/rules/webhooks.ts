/** The webhooks: each once, as the gateway's routes call them, and answered by the workflow itself. */
import { WEBHOOKS } from "../../../common/services.ts";
import { servedPath, webhookIn, type Webhook } from "../../../provider/n8n/webhooks.ts";
import type { Problem } from "../problem.ts";
import { enabledNodesOf, repeated, type Judged, type PlacedNode } from "./rule.ts";

const ANSWER = "n8n-nodes-base.respondToWebhook";

type PlacedWebhook = PlacedNode & Webhook;

function webhooksOf(judged: Pick<Judged, "files">): PlacedWebhook[] {
  return enabledNodesOf(judged).flatMap((placed) => {
    const webhook = webhookIn(placed.node);
    return webhook === undefined ? [] : [{ ...placed, ...webhook }];
  });
}

export function uniqueWebhooks(judged: Judged): Problem[] {
  const webhooks = webhooksOf(judged);
  const missing = webhooks
    .filter(({ node }) => (node.webhookId ?? "") === "")
    .map(({ at }) => ({
      path: `${at}.webhookId`,
      text: "expected an id, without which n8n registers no webhook, got nothing; choose one",
    }));
  // Forms, chats and other triggers have one as well.
  const named = enabledNodesOf(judged).filter(({ node }) => (node.webhookId ?? "") !== "");
  const ids = repeated(named, ({ node }) => node.webhookId!).map(({ entry, first }) => ({
    path: `${entry.at}.webhookId`,
    text: `expected an id of its own, got ${entry.node.webhookId}, that of ${first.at}; change one of them`,
  }));
  const routes = webhooks.flatMap((webhook) => webhook.methods.map((method) => ({ webhook, method })));
  const twice = repeated(routes, ({ webhook, method }) => `${method} ${servedPath(webhook)}`).map(
    ({ entry, first }) => ({
      path: `${entry.webhook.at}.parameters.path`,
      text: `expected a path of its own, got ${entry.method} ${entry.webhook.path}, that of ${first.webhook.at}; n8n registers only one of them`,
    }),
  );
  return [...missing, ...ids, ...twice];
}

const PLAIN = /^[A-Za-z0-9_~-]+(?:\/(?::?[A-Za-z0-9_~-]+))*$/;

export function publicWebhooks(judged: Judged): Problem[] {
  return webhooksOf(judged)
    .filter((webhook) => !PLAIN.test(servedPath(webhook)))
    .map(({ at, path }) => ({
      path: `${at}.parameters.path`,
      text: `expected letters, digits, -, _ and ~ between slashes, which is all that the gateway passes on, got ${JSON.stringify(path)}; change it`,
    }));
}

/** The gateway passes `/api/<name>` to the webhook `<name>`, as the frontend calls it: POST, JSON, or a form with a file. */
export function gatewayRoutes(judged: Judged): Problem[] {
  const webhooks = webhooksOf(judged);
  return WEBHOOKS.flatMap((name): Problem[] => {
    const found = webhooks.filter(({ path }) => path === name);
    if (found.length === 0) {
      const text = `expected a webhook POST ${name}, because the gateway passes /api/${name} to it, got none; add it to a workflow`;
      return [{ path: judged.folder, text }];
    }
    return found.flatMap((webhook) => [...methodProblems(name, webhook), ...bodyProblems(name, webhook)]);
  });
}

function methodProblems(name: string, { at, methods }: PlacedWebhook): Problem[] {
  if (methods.length === 1 && methods[0] === "POST") return [];
  const text = `expected POST, as the frontend calls /api/${name}, got ${methods.join(", ")}; set it`;
  return [{ path: `${at}.parameters.httpMethod`, text }];
}

function bodyProblems(name: string, { at, node }: PlacedWebhook): Problem[] {
  const { binaryData, rawBody } = (node.parameters["options"] ?? {}) as Record<string, unknown>;
  const path = `${at}.parameters.options`;
  const isFile = name === "upload";
  if (isFile && node.typeVersion < 2 && binaryData !== true)
    return [
      {
        path: `${path}.binaryData`,
        text: `expected true, because the frontend uploads a file to /api/${name}, got ${String(binaryData)}; set it`,
      },
    ];
  if (!isFile && binaryData === true)
    return [
      {
        path: `${path}.binaryData`,
        text: `expected false, because the frontend sends JSON to /api/${name}, got true; remove it`,
      },
    ];
  if (rawBody === true)
    return [
      {
        path: `${path}.rawBody`,
        text: `expected false, because n8n would leave the body of /api/${name} unread, got true; remove it`,
      },
    ];
  return [];
}

/** n8n refuses a request to a workflow whose answer is made in two ways, or in none. */
export function answers(judged: Judged): Problem[] {
  return webhooksOf(judged).flatMap(({ at, node, workflow, path: name }): Problem[] => {
    const path = `${at}.parameters.responseMode`;
    const { responseMode = "onReceived" } = node.parameters;
    const hasAnswer = workflow.nodes.some(({ type, disabled }) => type === ANSWER && disabled !== true);
    if (responseMode === "responseNode" && !hasAnswer)
      return [
        {
          path,
          text: `expected a node ${ANSWER} in the workflow, because the answer is left to one, got none; add it`,
        },
      ];
    if (responseMode !== "responseNode" && hasAnswer)
      return [
        {
          path,
          text: `expected responseNode, because the workflow has a node ${ANSWER}, got ${String(responseMode)}; set it`,
        },
      ];
    if (responseMode === "onReceived" && (WEBHOOKS as readonly string[]).includes(name))
      return [
        {
          path,
          text: `expected responseNode or lastNode, because the frontend reads the answer of /api/${name}, got onReceived; set it`,
        },
      ];
    return [];
  });
}
