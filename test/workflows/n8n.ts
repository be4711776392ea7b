/**
 * Runs a workflow of the folder `workflows/` as n8n does: items pass along the connections, expressions and the code of Code nodes run in a
 * context of their own, and what nodes call is a double.
 */
import { readFileSync } from "node:fs";
import { createContext, runInContext } from "node:vm";

import { workflow as schema, type Node, type Workflow } from "../../provider/n8n/workflow.ts";

export interface Item {
  readonly json: Readonly<Record<string, unknown>>;
  readonly binary?: Readonly<Record<string, unknown>>;
}

export interface HttpCall {
  readonly node: string;
  readonly method: string;
  readonly url: string;

  /** What JSON it sends; undefined for a form. */
  readonly body: unknown;

  /** Names of the form's files → the item's file. */
  readonly files: Readonly<Record<string, unknown>>;
  readonly headers: Readonly<Record<string, string>>;

  /** Id of its credentials. */
  readonly credentials: string | undefined;
}

export type Row = Record<string, unknown>;

export interface World {
  /** Answers a call, or promises to; an error is what the node reports. */
  readonly http?: (call: HttpCall) => unknown;

  /** Path → the content of a file of the volume. Kept between two runs. */
  readonly files?: Map<string, unknown>;

  /** Name → rows. Kept between two runs. */
  readonly tables?: Map<string, Row[]>;
  readonly now?: () => Date;
}

export interface Run {
  /** What the caller of the webhook gets. */
  readonly answer: { readonly status: number; readonly body: unknown } | undefined;

  /** Why the execution failed, which starts the workflow of errors. */
  readonly failure: string | undefined;
  readonly calls: readonly HttpCall[];

  /** Name of a node → its last items, on its first output. */
  readonly results: ReadonlyMap<string, readonly Item[]>;
}

/** A status other than 200, with what the service says. */
export class HttpFailure extends Error {
  readonly status: number;
  readonly body: unknown;

  constructor(status: number, body: unknown) {
    super(`${status} - ${JSON.stringify(body)}`);
    this.status = status;
    this.body = body;
  }
}

export function readOwn(id: string): Workflow {
  const file = new URL(`../../workflows/${id}.json`, import.meta.url);
  return schema.parse(JSON.parse(readFileSync(file, "utf8")));
}

/** Starts at the first webhook, at the trigger of errors, or at the trigger of that name. */
export async function runWorkflow(
  id: string,
  start: Item,
  world: World & { readonly trigger?: string } = {},
): Promise<Run> {
  return await new Execution(readOwn(id), world).run(start, world.trigger);
}

/** What a webhook of the version that we use gives for a request with JSON. */
export function request(body: unknown): Item {
  return { json: { headers: {}, params: {}, query: {}, body } };
}

type Outputs = readonly (readonly Item[])[];

class Execution {
  readonly #workflow: Workflow;
  readonly #world: World;
  readonly #calls: HttpCall[] = [];
  readonly #results = new Map<string, readonly Item[]>();
  #answer: Run["answer"];

  constructor(workflow: Workflow, world: World) {
    this.#workflow = workflow;
    this.#world = world;
  }

  async run(start: Item, name?: string): Promise<Run> {
    let failure: string | undefined;
    try {
      const trigger = this.#workflow.nodes.find(
        (node) => /\.(webhook|errorTrigger)$/.test(node.type) && (name === undefined || node.name === name),
      )!;
      await this.#continue(trigger, [[start]]);
    } catch (error) {
      failure = (error as Error).message;
    }
    return { answer: this.#answer, failure, calls: this.#calls, results: this.#results };
  }

  async #continue(node: Node, outputs: Outputs): Promise<void> {
    this.#results.set(node.name, outputs[0] ?? []);
    const lists = this.#workflow.connections[node.name]?.["main"] ?? [];
    for (const [index, list] of lists.entries()) {
      const items = outputs[index] ?? [];
      if (items.length === 0) continue;
      for (const { node: name } of list ?? []) {
        const next = this.#workflow.nodes.find((one) => one.name === name)!;
        await this.#continue(next, await this.#execute(next, { items, previous: node.name }));
      }
    }
  }

  async #execute(
    node: Node,
    given: { readonly items: readonly Item[]; readonly previous: string },
  ): Promise<Outputs> {
    const items = node.executeOnce === true ? given.items.slice(0, 1) : given.items;
    const at = (item: Item) => this.#scope({ items, item, previous: given.previous });
    const parameters = (item: Item) => resolve(node.parameters, at(item)) as Record<string, never>;
    const kind = node.type.replace("n8n-nodes-base.", "");
    const found = await this.#perform(node, { kind, items, parameters, scope: at(items[0]!) });
    const [first = [], ...others] = found;
    return first.length === 0 && node.alwaysOutputData === true ? [[{ json: {} }], ...others] : found;
  }

  async #perform(
    node: Node,
    {
      kind,
      items,
      parameters,
      scope,
    }: {
      readonly kind: string;
      readonly items: readonly Item[];
      readonly parameters: (item: Item) => Record<string, never>;
      readonly scope: object;
    },
  ): Promise<Outputs> {
    if (kind === "code") return await withErrorOutput(node, () => runCode(node, scope));
    if (kind === "readWriteFile")
      return await withErrorOutput(node, () =>
        items.map((item) => this.#file(node, { item, parameters: parameters(item) })),
      );
    if (kind === "if") {
      const isTrue = (item: Item) => conditionOf(parameters(item));
      return [items.filter(isTrue), items.filter((item) => !isTrue(item))];
    }
    if (kind === "httpRequest") return await this.#request(node, { items, parameters });
    if (kind === "respondToWebhook") {
      if (this.#answer !== undefined) throw new Error("the webhook has been answered already");
      const { responseBody, options } = parameters(items[0]!) as unknown as {
        responseBody: string;
        options: { responseCode: number };
      };
      this.#answer = { status: options.responseCode, body: JSON.parse(responseBody) as unknown };
      return [items];
    }
    if (kind === "dataTable") return [items.flatMap((item) => this.#table(parameters(item)))];
    if (kind === "stopAndError") throw new Error(parameters(items[0]!)["errorMessage"]);
    throw new Error(`${node.name}: this runner does not know ${node.type}`);
  }

  async #request(
    node: Node,
    {
      items,
      parameters,
    }: { readonly items: readonly Item[]; readonly parameters: (item: Item) => Record<string, never> },
  ): Promise<Outputs> {
    const [good, bad]: Item[][] = [[], []];
    for (const item of items) {
      const call = callOf(node, { item, parameters: parameters(item) });
      const tries = node.retryOnFail === true ? (node.maxTries ?? 3) : 1;
      for (let left = tries; left > 0; left--) {
        this.#calls.push(call);
        try {
          const body = await this.#world.http!(call);
          good!.push({ json: (isWhole(node) ? { statusCode: 200, body } : body) as Item["json"] });
          break;
        } catch (error) {
          if (isWhole(node) && error instanceof HttpFailure) {
            good!.push({ json: { statusCode: error.status, body: error.body } });
            break;
          }
          if (left > 1) continue;
          if (node.onError === "continueRegularOutput") {
            good!.push({ json: { error: { message: (error as Error).message } } });
            break;
          }
          if (node.onError !== "continueErrorOutput") throw error;
          bad!.push({ json: { error: { message: (error as Error).message } } });
        }
      }
    }
    return [good!, bad!];
  }

  #file(
    node: Node,
    { item, parameters }: { readonly item: Item; readonly parameters: Record<string, never> },
  ): Item {
    const files = this.#world.files!;
    const { operation, fileName, dataPropertyName, fileSelector } = parameters as Record<string, string>;
    if (operation === "read") {
      if (!files.has(fileSelector!)) {
        if (node.onError !== "continueRegularOutput") throw new Error("No file(s) found");
        return { json: { error: "No file(s) found" } };
      }
      return { json: { fileName: fileSelector }, binary: { data: files.get(fileSelector!) } };
    }
    const given = item.binary?.[dataPropertyName!];
    if (given === undefined)
      throw new Error(
        `This operation expects the node's input data to contain a binary file ${dataPropertyName}`,
      );
    if (files.get("full") === fileName) throw new Error("ENOSPC: no space left on device");
    files.set(fileName!, given);
    return { ...item, json: { ...item.json, fileName } };
  }

  #table(given: Record<string, unknown>): Item[] {
    const tables = this.#world.tables!;
    const { resource, operation, tableName, dataTableId, columns, filters } = given as {
      resource: string;
      operation: string;
      tableName?: string;
      dataTableId?: { value: string };
      columns?: { value: Row };
      filters?: { conditions: { keyName: string; condition: string; keyValue: string }[] };
    };
    if (resource === "table") {
      if (!tables.has(tableName!)) tables.set(tableName!, []);
      return [{ json: { name: tableName! } }];
    }
    const name = dataTableId!.value;
    const rows = tables.get(name);
    if (rows === undefined) throw new Error(`Data table with name "${name}" not found`);
    const fits = (row: Row) =>
      (filters?.conditions ?? []).every(({ keyName, condition, keyValue }) =>
        condition === "lt" ? String(row[keyName]) < keyValue : row[keyName] === keyValue,
      );
    const now = (this.#world.now ?? (() => new Date()))().toISOString();
    if (operation === "insert") {
      const row = { ...columns!.value, createdAt: now };
      rows.push(row);
      return [{ json: row }];
    }
    const found = rows.filter(fits);
    if (operation === "update") for (const row of found) Object.assign(row, columns!.value);
    if (operation === "deleteRows")
      tables.set(
        name,
        rows.filter((row) => !fits(row)),
      );
    return found.map((json) => ({ json }));
  }

  #scope({
    items,
    item,
    previous,
  }: {
    readonly items: readonly Item[];
    readonly item: Item;
    readonly previous: string;
  }): object {
    const now = this.#world.now ?? (() => new Date());
    const after = (days: number) => ({
      toISO: () => new Date(now().getTime() + days * 86_400_000).toISOString(),
    });
    return {
      $input: { first: () => items[0], last: () => items.at(-1), all: () => items, item },
      $json: item.json,
      $prevNode: { name: previous },
      $now: { minus: ({ days }: { days: number }) => after(-days) },
      $: (name: string) => {
        const found = this.#results.get(name);
        if (!this.#workflow.nodes.some((node) => node.name === name))
          throw new Error(`Referenced node doesn't exist: ${name}`);
        const required = () => {
          if (found === undefined) throw new Error(`Node '${name}' hasn't been executed`);
          return found;
        };
        return { first: () => required()[0], all: () => required(), isExecuted: found !== undefined };
      },
    };
  }
}

/** Whether the node gives status and body, also of a refusal. */
function isWhole({ parameters }: Node): boolean {
  const { response } = (parameters["options"] ?? {}) as {
    response?: { response: { fullResponse?: boolean; neverError?: boolean } };
  };
  return response?.response.fullResponse === true && response.response.neverError === true;
}

/** An error goes to the second output where the node has one. */
async function withErrorOutput(
  { onError }: Node,
  work: () => readonly Item[] | Promise<readonly Item[]>,
): Promise<Outputs> {
  try {
    return [await work()];
  } catch (error) {
    if (onError !== "continueErrorOutput") throw error;
    return [[], [{ json: { error: { message: (error as Error).message } } }]];
  }
}

async function runCode({ name, parameters }: Node, scope: object): Promise<readonly Item[]> {
  const code = `(async () => {\n${String(parameters["jsCode"])}\n})()`;
  const made = (await runInContext(code, createContext({ ...scope, Buffer }))) as unknown;
  // Between two processes n8n passes JSON as well.
  const items = JSON.parse(JSON.stringify(made)) as Item[];
  if (!Array.isArray(items) || items.some((item) => typeof item.json !== "object"))
    throw new Error(`${name}: Code doesn't return items properly`);
  return items;
}

function resolve(value: unknown, scope: object): unknown {
  if (typeof value === "string" && value.startsWith("=")) return evaluate(value.slice(1), scope);
  if (Array.isArray(value)) return value.map((inner) => resolve(inner, scope));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, resolve(inner, scope)]));
}

function evaluate(text: string, scope: object): unknown {
  const calculate = (expression: string) =>
    runInContext(`(${expression})`, createContext({ ...scope })) as unknown;
  const [, whole] = /^\{\{((?:(?!\}\}).)*)\}\}$/s.exec(text.trim()) ?? [];
  if (whole !== undefined) return calculate(whole);
  return text.replaceAll(/\{\{(.*?)\}\}/gs, (_, expression: string) => String(calculate(expression)));
}

function conditionOf(parameters: Record<string, unknown>): boolean {
  const { conditions } = parameters["conditions"] as { conditions: { leftValue: unknown }[] };
  const [{ leftValue } = { leftValue: undefined }] = conditions;
  if (typeof leftValue !== "boolean")
    throw new Error(`Wrong type: ${JSON.stringify(leftValue)} is no boolean`);
  return leftValue;
}

function callOf(
  node: Node,
  { item, parameters }: { readonly item: Item; readonly parameters: Record<string, unknown> },
): HttpCall {
  const given = parameters as {
    method: string;
    url: string;
    jsonBody?: string;
    bodyParameters?: { parameters: { name: string; inputDataFieldName: string }[] };
    headerParameters?: { parameters: { name: string; value: string }[] };
  };
  const files = (given.bodyParameters?.parameters ?? []).map(({ name, inputDataFieldName }) => [
    name,
    item.binary?.[inputDataFieldName],
  ]);
  return {
    node: node.name,
    method: given.method,
    url: given.url,
    body: given.jsonBody === undefined ? undefined : (JSON.parse(given.jsonBody) as unknown),
    files: Object.fromEntries(files) as Record<string, unknown>,
    headers: Object.fromEntries(
      (given.headerParameters?.parameters ?? []).map(({ name, value }) => [name, value]),
    ),
    credentials: Object.values(node.credentials ?? {})[0]?.id ?? undefined,
  };
}
