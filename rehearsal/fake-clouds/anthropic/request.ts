/** A request for a message, read as Anthropic reads it. */
import type { ApiRequest } from "../api/routes.ts";
import { AnthropicError } from "./errors.ts";
import { MODELS } from "./models.ts";

type Value = Readonly<Record<string, unknown>>;

export interface Tool {
  readonly name: string;
  readonly schema: Value;
}

export interface MessageRequest {
  readonly model: string;
  readonly maxTokens: number;
  readonly system: string;
  /** Text of the last message of the user. */
  readonly asked: string;
  /** The tool that the model has to use; undefined where it answers in text. */
  readonly tool: Tool | undefined;
  readonly isStreamed: boolean;
  /** Letters of everything that the model reads. */
  readonly read: string;
}

const KNOWN = [
  ...[
    "model",
    "messages",
    "max_tokens",
    "system",
    "temperature",
    "top_p",
    "top_k",
    "stop_sequences",
    "stream",
  ],
  ...["tools", "tool_choice", "metadata", "service_tier", "thinking", "container", "context_management"],
];

/** @throws AnthropicError as the API words it */
export function readMessageRequest({ rawBody }: ApiRequest): MessageRequest {
  const body = readObject(rawBody);
  const extra = Object.keys(body).find((name) => !KNOWN.includes(name));
  if (extra !== undefined) refuse(`${extra}: Extra inputs are not permitted`);
  const model = readModel(body);
  const maxTokens = readMaxTokens(body, MODELS[model]?.mostTokens ?? 0);
  const { temperature, stream = false } = body;
  if (temperature !== undefined && !(typeof temperature === "number" && temperature >= 0 && temperature <= 1))
    refuse("temperature: Input should be less than or equal to 1");
  if (typeof stream !== "boolean") refuse("stream: Input should be a valid boolean");
  const texts = readMessages(body);
  const system = body["system"] === undefined ? "" : textOf(body["system"], "system");
  return {
    ...{ model, maxTokens, system, isStreamed: stream === true },
    asked: texts.at(-1) ?? "",
    tool: readTool(body),
    read: [system, ...texts, JSON.stringify(body["tools"] ?? "")].join("\n"),
  };
}

function refuse(message: string): never {
  throw new AnthropicError("invalid_request_error", message);
}

function isObject(value: unknown): value is Value {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function readObject(text: string): Value {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    refuse(`The request body is not valid JSON: ${(error as Error).message}`);
  }
  return isObject(value) ? value : refuse("Input should be a valid dictionary");
}

function readModel({ model }: Value): string {
  if (model === undefined) refuse("model: Field required");
  if (typeof model !== "string") refuse("model: Input should be a valid string");
  if (MODELS[model] === undefined) throw new AnthropicError("not_found_error", `model: ${model}`);
  return model;
}

function readMaxTokens({ max_tokens: given }: Value, most: number): number {
  if (given === undefined) refuse("max_tokens: Field required");
  if (!Number.isInteger(given)) refuse("max_tokens: Input should be a valid integer");
  const tokens = given as number;
  if (tokens < 1) refuse("max_tokens: Input should be greater than or equal to 1");
  if (tokens > most)
    refuse(`max_tokens: ${tokens} > ${most}, which is the maximum allowed number of output tokens`);
  return tokens;
}

function readMessages({ messages }: Value): string[] {
  if (messages === undefined) refuse("messages: Field required");
  if (!Array.isArray(messages)) refuse("messages: Input should be a valid list");
  if (messages.length === 0) refuse("messages: at least one message is required");
  return messages.map((message: unknown, index) => {
    const path = `messages.${index}`;
    if (!isObject(message)) return refuse(`${path}: Input should be a valid dictionary`);
    const { role, content } = message;
    if (role !== "user" && role !== "assistant")
      refuse(`${path}.role: Input should be 'user' or 'assistant'`);
    if (content === undefined) refuse(`${path}.content: Field required`);
    const text = textOf(content, `${path}.content`);
    if (text.trim() === "") refuse(`${path}: text content blocks must be non-empty`);
    return text;
  });
}

/** A text, or blocks of text. Other blocks are valid at Anthropic, but this fake reads none. */
function textOf(content: unknown, path: string): string {
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) return refuse(`${path}: Input should be a valid string or a valid list`);
  return content
    .map((block: unknown, index) => {
      if (!isObject(block) || block["type"] !== "text" || typeof block["text"] !== "string")
        return refuse(`${path}.${index}: Input tag is not one of those that are expected here: 'text'`);
      return block["text"];
    })
    .join("\n");
}

function readTool({ tools, tool_choice: choice }: Value): Tool | undefined {
  if (tools === undefined) {
    if (choice !== undefined) refuse("tool_choice: may only be specified while providing `tools`");
    return undefined;
  }
  if (!Array.isArray(tools)) return refuse("tools: Input should be a valid list");
  const known = tools.map((tool: unknown, index): Tool => {
    if (!isObject(tool)) return refuse(`tools.${index}: Input should be a valid dictionary`);
    const { name, input_schema: schema } = tool;
    if (typeof name !== "string" || !/^[\w-]{1,128}$/.test(name))
      return refuse(`tools.${index}.custom.name: String should match pattern '^[a-zA-Z0-9_-]{1,128}$'`);
    if (!isObject(schema)) return refuse(`tools.${index}.custom.input_schema: Field required`);
    if (schema["type"] !== "object")
      refuse(`tools.${index}.custom.input_schema.type: Input should be 'object'`);
    return { name, schema };
  });
  if (choice === undefined) return undefined;
  if (!isObject(choice)) return refuse("tool_choice: Input should be a valid dictionary");
  if (choice["type"] === "any") return known[0];
  if (choice["type"] === "auto" || choice["type"] === "none") return undefined;
  if (choice["type"] !== "tool")
    return refuse("tool_choice.type: Input should be 'auto', 'any', 'tool' or 'none'");
  const chosen = known.find(({ name }) => name === choice["name"]);
  return chosen ?? refuse(`Tool '${String(choice["name"])}' not found in provided tools`);
}
