/**
 * n8n on the server: its public API with a key that never leaves the server, and its own program in its container, which alone can give a
 * workflow or credentials an id of ours.
 */
import { z } from "zod";

import { scriptParts } from "../../common/script.ts";
import { UserError } from "../../common/user-error.ts";
import { RECORDS_FOLDER } from "../../common/release.ts";
import type { Workflow } from "./workflow.ts";

export const LOOPBACK = "http://127.0.0.1:5678";

/** Root's alone; the header with the key, so that curl reads it and no command line has it. */
const KEY_FILE = `${RECORDS_FOLDER}/n8n/api-key`;

/** What a key may do. Without a licence n8n gives every key all of its owner's rights. */
const SCOPES = [
  ...["workflow:create", "workflow:read", "workflow:update", "workflow:list"],
  ...["workflow:activate", "workflow:deactivate"],
  ...["tag:create", "tag:list", "workflowTags:list", "workflowTags:update"],
];

const SCRIPTS = scriptParts(new URL("scripts/n8n.sh", import.meta.url), [
  ...(["call", "look", "make", "ask", "webhooks"] as const),
  ...(["container", "import", "compare"] as const),
]);

/** What n8n stores of one credential: each value in clear. It stays in memory and on standard input. */
export interface FilledCredential {
  readonly id: string;
  readonly name: string;
  readonly type: string;
  readonly data: Readonly<Record<string, string | number | boolean>>;
}

/** Where n8n runs: root's bash on that server. */
export interface N8nServer {
  readonly name: string;
  readonly run: (command: {
    readonly purpose: string;
    readonly script: string;
    readonly variables: Readonly<Record<string, string>>;
    readonly stdin?: string;
  }) => Promise<{ readonly stdout: string }>;
}

/** n8n does not answer: nothing is known then. */
export class N8nSilent extends UserError {
  override readonly name = "N8nSilent";
}

/** n8n answers that it does not accept the request. */
export class N8nRefused extends UserError {
  override readonly name = "N8nRefused";
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

const version = z.looseObject({ nodes: z.array(z.unknown()), connections: z.unknown() });

/** A workflow as the public API gives it. */
export const liveWorkflow = z.looseObject({
  id: z.string(),
  name: z.string(),
  nodes: z.array(z.unknown()),
  connections: z.unknown(),
  settings: z.record(z.string(), z.unknown()).nullish(),
  tags: z.array(z.looseObject({ id: z.string(), name: z.string() })).nullish(),
  active: z.boolean(),
  isArchived: z.boolean().nullish(),
  versionId: z.string().nullish(),

  /** What runs; null: nothing. Versions of n8n before 2 have none of these. */
  activeVersionId: z.string().nullish(),
  activeVersion: version.nullish(),
});

export type LiveWorkflow = z.output<typeof liveWorkflow>;

const page = z.looseObject({ data: z.array(liveWorkflow), nextCursor: z.string().nullish() });
const tag = z.looseObject({ id: z.string(), name: z.string() });
const tagPage = z.looseObject({ data: z.array(tag), nextCursor: z.string().nullish() });

const compared = z.strictObject({
  missing: z.array(z.string()),
  changed: z.array(z.string()),
  extra: z.array(z.strictObject({ id: z.string(), name: z.string(), type: z.string() })),
});

export type ComparedCredentials = z.output<typeof compared>;

export interface Registered {
  readonly path: string;

  /** Methods that are registered; undefined: n8n does not say. */
  readonly methods: readonly string[] | undefined;
}

interface Call {
  readonly method?: "GET" | "POST" | "PUT";

  /** Below `/api/v1`. */
  readonly path: string;
  readonly json?: unknown;
}

export interface Access {
  /** Base address as the server reaches it. @default its loopback */
  readonly address?: string | undefined;

  /** Public name, as browsers call the webhooks. */
  readonly domain: string;

  /** n8n's owner, with whose password a key is made; only a new key takes it. */
  readonly owner: { readonly email: string; readonly password: string | undefined };

  /** How long a new key is valid. */
  readonly keyDays: number;
  readonly stack: string;
  readonly now: () => Date;
}

export class N8n {
  readonly #server: N8nServer;
  readonly #access: Access;

  constructor(server: N8nServer, access: Access) {
    this.#server = server;
    this.#access = access;
  }

  /** Makes a key of the API where there is none that is valid for long enough, and says whether it did. */
  async ensureKey(): Promise<boolean> {
    const { owner, keyDays, stack, now } = this.#access;
    const [status = "", ends = "0"] = (await this.#run("look at n8n's API key", SCRIPTS.look))
      .trim()
      .split(" ");
    const isFresh = Number(ends) * 1000 - now().getTime() > (keyDays * 86_400_000) / 2;
    // An n8n that is broken says nothing of the key; the next call tells what is wrong.
    if ((status === "200" && isFresh) || status.startsWith("5")) return false;
    if (owner.password === undefined)
      throw new UserError(
        `technicia:n8nOwnerPassword: expected a value, because n8n's API key has to be made, got nothing; set it with pulumi config set --secret technicia:n8nOwnerPassword --stack ${stack}`,
      );
    const login = JSON.stringify({ emailOrLdapLoginId: owner.email, password: owner.password });
    await this.#run("make a key of n8n's API", SCRIPTS.make, {
      variables: { OWNER: login, DAYS: String(keyDays), SCOPES: JSON.stringify(SCOPES) },
    });
    return true;
  }

  async listWorkflows(): Promise<LiveWorkflow[]> {
    return await this.#pages("/workflows?limit=100&excludePinnedData=true", page);
  }

  /** Replaces name, nodes, connections and settings; n8n publishes that at once where the workflow is published. */
  async updateWorkflow({ id, name, nodes, connections, settings }: Workflow): Promise<void> {
    await this.#ask({
      method: "PUT",
      path: `/workflows/${id}`,
      json: { name, nodes, connections, settings },
    });
  }

  async publish(id: string): Promise<void> {
    // Also in n8n 2.41, where it is another name of `/publish`.
    await this.#ask({ method: "POST", path: `/workflows/${id}/activate`, json: {} });
  }

  async unpublish(id: string): Promise<void> {
    await this.#ask({ method: "POST", path: `/workflows/${id}/deactivate`, json: {} });
  }

  /** Gives the workflow exactly these tags, and makes the ones that n8n lacks. */
  async setTags(id: string, names: readonly string[]): Promise<void> {
    let known = await this.#pages("/tags?limit=100", tagPage);
    for (const name of names.filter((one) => !known.some((tag) => tag.name === one))) {
      await this.#makeTag(name);
    }
    known = await this.#pages("/tags?limit=100", tagPage);
    const ids = known.filter(({ name }) => names.includes(name)).map((one) => ({ id: one.id }));
    await this.#ask({ method: "PUT", path: `/workflows/${id}/tags`, json: ids });
  }

  async #makeTag(name: string): Promise<void> {
    try {
      await this.#ask({ method: "POST", path: "/tags", json: { name } });
    } catch (error) {
      // Somebody made it in the meantime.
      if (!(error instanceof N8nRefused) || error.status !== 409) throw error;
    }
  }

  /** Creates or overwrites by id, with n8n's own program; what it imports is not published. */
  async importWorkflows(workflows: readonly Workflow[]): Promise<void> {
    const list = workflows.map(({ tags: _tags, ...workflow }) => ({
      ...workflow,
      active: false,
      isArchived: false,
    }));
    await this.#import("workflow", list);
  }

  /** Creates or overwrites by id. A running n8n reads them at the next execution. */
  async importCredentials(credentials: readonly FilledCredential[]): Promise<void> {
    await this.#import("credentials", credentials);
  }

  async compareCredentials(wanted: readonly FilledCredential[]): Promise<ComparedCredentials> {
    const printed = await this.#run("compare n8n's credentials", SCRIPTS.container + SCRIPTS.compare, {
      stdin: JSON.stringify(wanted),
    });
    return compared.parse(JSON.parse(printed));
  }

  /** Which methods n8n answers at each path below `/webhook/`. */
  async readWebhooks(paths: readonly string[]): Promise<Registered[]> {
    if (paths.length === 0) return [];
    const origin = `https://${this.#access.domain}`;
    const printed = await this.#run("ask for n8n's webhooks", SCRIPTS.webhooks, {
      variables: { WEBHOOKS: paths.join("\n"), ORIGIN: origin },
    });
    const lines = printed.trim().split("\n");
    return paths.map((path, index) => {
      const [status, allowed = ""] = (lines[index] ?? "").split(" ");
      return { path, methods: status === "204" && allowed !== "" ? allowed.split(",") : undefined };
    });
  }

  async #import(kind: "workflow" | "credentials", list: readonly unknown[]): Promise<void> {
    if (list.length === 0) return;
    await this.#run(
      `import ${kind === "workflow" ? "workflows" : kind} into n8n`,
      SCRIPTS.container + SCRIPTS.import,
      {
        stdin: JSON.stringify(list),
        variables: { KIND: kind, COUNT: String(list.length) },
      },
    );
  }

  async #pages<T>(
    path: string,
    shape: z.ZodType<{ data: T[]; nextCursor?: string | null | undefined }>,
  ): Promise<T[]> {
    const all: T[] = [];
    let cursor: string | null | undefined;
    do {
      const next: string = cursor ? `&cursor=${encodeURIComponent(cursor)}` : "";
      const found = shape.safeParse(await this.#ask({ path: `${path}${next}` }));
      if (!found.success)
        throw new UserError(
          `n8n ${path.replace(/\?.*/, "")}: expected the answer of a version from 2.3 to 2.41, got another; pin one of these in technicia:images.n8n`,
        );
      all.push(...found.data.data);
      cursor = found.data.nextCursor;
    } while (cursor);
    return all;
  }

  async #ask({ method = "GET", path, json }: Call): Promise<unknown> {
    const printed = await this.#run(`ask n8n's API`, SCRIPTS.ask, {
      variables: { METHOD: method, ADDRESS: path },
      ...(json === undefined ? {} : { stdin: JSON.stringify(json) }),
    });
    return judge(`${method} ${path.replace(/\?.*/, "")}`, { printed, name: this.#server.name });
  }

  async #run(
    purpose: string,
    program: string,
    {
      stdin,
      variables = {},
    }: { readonly stdin?: string; readonly variables?: Readonly<Record<string, string>> } = {},
  ): Promise<string> {
    const { stdout } = await this.#server.run({
      purpose,
      script: SCRIPTS.call + program,
      variables: { N8N: this.#access.address ?? LOOPBACK, KEY_FILE, ...variables },
      ...(stdin === undefined ? {} : { stdin }),
    });
    return stdout;
  }
}

const LONGEST_REASON = 300;

function judge(
  call: string,
  { printed, name }: { readonly printed: string; readonly name: string },
): unknown {
  const end = printed.lastIndexOf("\n");
  const [text, last] = [printed.slice(0, Math.max(end, 0)), printed.slice(end + 1)];
  const [, status = "000", why = ""] = /^(\d\d\d) ?(.*)$/.exec(last) ?? [];
  if (status.startsWith("2")) return text === "" ? undefined : (JSON.parse(text) as unknown);
  if (status === "000" || status === "502" || status === "503")
    throw new N8nSilent(
      `n8n on ${name} does not answer (${(status === "000" ? why : status) || "no answer"}); look at it there with docker service ps technicia-n8n`,
    );
  throw new N8nRefused(Number(status), `n8n ${call}: it refuses with ${status}: ${reasonIn(text)}`);
}

function reasonIn(text: string): string {
  try {
    const { message } = JSON.parse(text) as { message?: unknown };
    if (typeof message === "string") return message.slice(0, LONGEST_REASON);
  } catch {
    // No JSON: the text itself says why.
  }
  return text.trim().split("\n")[0]?.slice(0, LONGEST_REASON) || "no reason";
}
