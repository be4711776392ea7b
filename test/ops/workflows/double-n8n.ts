/**
 * A double of n8n 2.3.6 as far as its content goes: the public API as its OpenAPI document has it, the few calls of its own API that make a
 * key, webhooks that are registered some time after they should be, and what its program in the container imports and exports.
 */
import { createHash, randomBytes, randomUUID } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

type Json = Record<string, unknown>;

interface Version {
  versionId: string;
  nodes: Json[];
  connections: Json;
}

export interface KeptWorkflow extends Version {
  id: string;
  name: string;
  settings: Json;
  tags: { id: string; name: string }[];
  isArchived: boolean;
  activeVersion: Version | null;
}

export interface KeptCredential {
  id: string;
  name: string;
  type: string;
  data: Json;
}

interface Key {
  readonly id: string;
  readonly label: string;
  readonly raw: string;
  readonly expiresAt: number;
  readonly scopes: readonly string[];
}

const NODE_KEYS = [
  ...["id", "name", "webhookId", "disabled", "notesInFlow", "notes", "type", "typeVersion", "executeOnce"],
  ...[
    "alwaysOutputData",
    "retryOnFail",
    "maxTries",
    "waitBetweenTries",
    "continueOnFail",
    "onError",
    "position",
  ],
  ...["parameters", "credentials", "createdAt", "updatedAt"],
];
const BODY_KEYS = ["name", "nodes", "connections", "settings", "staticData", "shared"];
const PAGE = 2;

export class DoubleN8n implements AsyncDisposable {
  readonly workflows = new Map<string, KeptWorkflow>();
  readonly credentials = new Map<string, KeptCredential>();
  readonly keys: Key[] = [];
  readonly tags: { id: string; name: string }[] = [];

  /** `PUT /api/v1/workflows/technicia-question`, in the order in which they came. */
  readonly received: string[] = [];
  readonly owner = { email: "admin@exemple.fr", password: "?" };
  isApiOn = true;

  /** How often a webhook is asked for before it is there. */
  late = 0;

  /** Ids of workflows whose next publication answers 200 and registers nothing. */
  readonly ghosts = new Set<string>();

  /** Answers instead of a call: `PUT /api/v1/workflows/x` → status and body. */
  readonly instead = new Map<string, { readonly status: number; readonly body: unknown }>();

  /** Called before a call is answered. */
  before: (call: string) => void = () => undefined;
  readonly #registered = new Map<string, { readonly workflow: string; after: number }>();
  readonly #sessions = new Set<string>();
  readonly #server = createServer((request, response) => void this.#answer(request, response));

  static async start(): Promise<DoubleN8n> {
    const double = new DoubleN8n();
    await new Promise<void>((resolve) => double.#server.listen(0, "127.0.0.1", resolve));
    return double;
  }

  get address(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** A change that somebody makes in the editor and saves, without publishing it. */
  edit(id: string, change: (nodes: Json[]) => void): void {
    const kept = this.workflows.get(id)!;
    kept.nodes = structuredClone(kept.nodes);
    change(kept.nodes);
    kept.versionId = randomUUID();
  }

  publish(id: string): void {
    const kept = this.workflows.get(id)!;
    const { versionId, nodes, connections } = structuredClone(kept);
    kept.activeVersion = { versionId, nodes, connections };
    this.#register(kept);
  }

  unpublish(id: string): void {
    this.workflows.get(id)!.activeVersion = null;
    this.forget(id);
  }

  /** Answers none of its webhooks any more, and still says that it is published. */
  forget(id: string): void {
    for (const [route, { workflow }] of this.#registered) if (workflow === id) this.#registered.delete(route);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const text = Buffer.concat(chunks).toString();
    const url = new URL(request.url ?? "", "http://x");
    const call = `${request.method} ${url.pathname}`;
    this.received.push(call);
    this.before(call);
    const send = (status: number, body: unknown, headers: Record<string, string> = {}) =>
      void response.writeHead(status, headers).end(typeof body === "string" ? body : JSON.stringify(body));
    const instead = this.instead.get(call);
    if (instead) return send(instead.status, instead.body);
    if (url.pathname.startsWith("/cli/")) return send(200, this.#program(url.pathname, text));
    if (request.method === "OPTIONS")
      return send(204, "", { "Access-Control-Allow-Methods": this.#methodsAt(url.pathname).join(", ") });
    const body = text === "" ? undefined : (JSON.parse(text) as Json);
    if (url.pathname.startsWith("/rest/")) return this.#session(call, { request, body, send });
    return this.#public(call, { request, body, send, query: url.searchParams });
  }

  #session(
    call: string,
    { request, body, send }: { request: IncomingMessage; body: Json | undefined; send: Send },
  ): void {
    if (call === "POST /rest/login") {
      const isOwner =
        body?.["emailOrLdapLoginId"] === this.owner.email && body["password"] === this.owner.password;
      if (!isOwner) return send(401, { message: "Wrong username or password. Do you have caps lock on?" });
      const session = randomBytes(8).toString("hex");
      this.#sessions.add(session);
      return send(
        200,
        { data: {} },
        { "Set-Cookie": `n8n-auth=${session}; Max-Age=604800; Path=/; HttpOnly; Secure; SameSite=Lax` },
      );
    }
    const session = /n8n-auth=(\w+)/.exec(request.headers.cookie ?? "")?.[1] ?? "";
    if (!this.#sessions.has(session)) return send(401, { message: "Unauthorized" });
    if (call === "POST /rest/logout") return void (this.#sessions.delete(session) && send(200, { data: {} }));
    if (!this.isApiOn) return send(404, "");
    if (call === "GET /rest/api-keys/scopes")
      return send(200, { data: ["workflow:read", "workflow:list", "workflow:update", "user:delete"] });
    if (call === "GET /rest/api-keys")
      return send(200, { data: this.keys.map(({ raw: _raw, ...key }) => key) });
    if (call.startsWith("DELETE /rest/api-keys/")) {
      this.keys.splice(
        this.keys.findIndex(({ id }) => call.endsWith(`/${id}`)),
        1,
      );
      return send(200, { data: { success: true } });
    }
    const { label, expiresAt, scopes } = body as { label: string; expiresAt: number; scopes: string[] };
    const key = {
      id: randomUUID(),
      label,
      raw: `eyJ.${randomBytes(24).toString("hex")}.x`,
      expiresAt,
      scopes,
    };
    this.keys.push(key);
    return send(200, { data: { id: key.id, label, apiKey: "******", rawApiKey: key.raw, expiresAt } });
  }

  #public(
    call: string,
    {
      request,
      body,
      send,
      query,
    }: { request: IncomingMessage; body: unknown; send: Send; query: URLSearchParams },
  ): void {
    if (!this.isApiOn) return send(404, "");
    const key = this.keys.find(({ raw }) => raw === request.headers["x-n8n-api-key"]);
    if (key === undefined || key.expiresAt * 1000 < Date.now()) return send(401, { message: "unauthorized" });
    const page = (all: readonly unknown[]) => {
      const from = Number(query.get("cursor") ?? 0);
      const nextCursor = from + PAGE < all.length ? String(from + PAGE) : null;
      return send(200, { data: all.slice(from, from + PAGE), nextCursor });
    };
    if (call === "GET /api/v1/workflows") return page([...this.workflows.values()].map(shown));
    if (call === "GET /api/v1/tags") return page(this.tags);
    if (call === "POST /api/v1/tags") {
      const { name } = body as { name: string };
      if (this.tags.some((tag) => tag.name === name)) return send(409, { message: "Tag already exists" });
      this.tags.push({ id: randomUUID(), name });
      return send(201, this.tags.at(-1));
    }
    const [, id = "", action = ""] = /^\w+ \/api\/v1\/workflows\/([^/]+)(?:\/(\w+))?$/.exec(call) ?? [];
    const kept = this.workflows.get(id);
    if (kept === undefined) return send(404, { message: "Not Found" });
    if (action === "tags") {
      kept.tags = (body as { id: string }[]).map((tag) => this.tags.find((one) => one.id === tag.id)!);
      return send(200, kept.tags);
    }
    if (action === "deactivate") {
      this.unpublish(id);
      return send(200, shown(kept));
    }
    if (action === "activate") return this.#activate(kept, send);
    return this.#update(kept, { body: body as Json, send });
  }

  #activate(kept: KeptWorkflow, send: Send): void {
    const routes = routesOf(kept);
    const taken = routes.find((route) => (this.#registered.get(route)?.workflow ?? kept.id) !== kept.id);
    if (taken !== undefined)
      return send(400, { message: `There is a conflict with one of the webhooks: ${taken}` });
    const handler = kept.settings["errorWorkflow"];
    if (typeof handler === "string" && this.workflows.get(handler)?.activeVersion == null)
      return send(400, { message: `Cannot publish workflow: ${handler} is not published` });
    const { versionId, nodes, connections } = structuredClone(kept);
    kept.activeVersion = { versionId, nodes, connections };
    if (!this.ghosts.delete(kept.id)) this.#register(kept);
    return send(200, shown(kept));
  }

  #update(kept: KeptWorkflow, { body, send }: { body: Json; send: Send }): void {
    const extra = Object.keys(body).filter((key) => !BODY_KEYS.includes(key));
    const odd = (body["nodes"] as Json[]).flatMap((node) =>
      Object.keys(node).filter((key) => !NODE_KEYS.includes(key)),
    );
    if (extra.length + odd.length > 0)
      return send(400, {
        message: `request/body must NOT have additional properties: ${[...extra, ...odd].join()}`,
      });
    const { nodes, connections } = body as unknown as Version;
    Object.assign(kept, {
      name: body["name"],
      nodes,
      connections,
      settings: { ...kept.settings, ...(body["settings"] as Json) },
    });
    kept.versionId = randomUUID();
    if (kept.activeVersion !== null) this.publish(kept.id);
    return send(200, shown(kept));
  }

  /** What the program prints. */
  #program(path: string, text: string): unknown {
    if (path === "/cli/export/credentials") return [...this.credentials.values()];
    const list = JSON.parse(text) as (KeptWorkflow & KeptCredential)[];
    for (const one of list) {
      if (path === "/cli/import/credentials") this.credentials.set(one.id, one);
      else {
        const { id, name, nodes, connections, settings } = one;
        const known = this.workflows.get(id);
        if (known) this.unpublish(id);
        const kept = {
          id,
          name,
          nodes,
          connections,
          settings,
          isArchived: one.isArchived,
          versionId: randomUUID(),
        };
        this.workflows.set(id, { ...kept, tags: known?.tags ?? [], activeVersion: null });
      }
    }
    return `{"level":"info","message":"Successfully imported ${list.length} ${path.endsWith("workflow") ? "workflows" : "credentials"}."}\n`;
  }

  #register(kept: KeptWorkflow): void {
    for (const route of routesOf(kept)) this.#registered.set(route, { workflow: kept.id, after: this.late });
  }

  #methodsAt(path: string): string[] {
    const found = [...this.#registered].filter(([route, state]) => {
      if (!route.endsWith(` ${path}`)) return false;
      state.after -= 1;
      return state.after < 0;
    });
    return ["OPTIONS", ...found.map(([route]) => route.split(" ")[0]!)];
  }
}

type Send = (status: number, body: unknown, headers?: Record<string, string>) => void;

function routesOf({ nodes }: Pick<KeptWorkflow, "nodes">): string[] {
  return nodes
    .filter(({ type }) => type === "n8n-nodes-base.webhook")
    .map(({ parameters }) => {
      const { httpMethod = "GET", path } = parameters as Record<string, string>;
      return `${httpMethod} /webhook/${path}`;
    });
}

/** As n8n gives one: with what it adds, and its own defaults. */
function shown(kept: KeptWorkflow): Json {
  const { activeVersion, settings, ...rest } = kept;
  return {
    ...rest,
    settings: {
      availableInMCP: false,
      callerPolicy: "workflowsFromSameOwner",
      binaryMode: "separate",
      ...settings,
    },
    active: activeVersion !== null,
    activeVersionId: activeVersion?.versionId ?? null,
    activeVersion,
    createdAt: "2026-11-01T00:00:00.000Z",
    updatedAt: "2026-11-01T00:00:00.000Z",
    versionCounter: 3,
    triggerCount: 1,
    staticData: null,
    meta: { templateId: createHash("sha256").update(kept.id).digest("hex") },
    shared: [{ role: "workflow:owner", workflowId: kept.id }],
  };
}
