/** A reply in Anthropic's form: whole, or as the events of a stream. */
import { tokensIn } from "../words.ts";
import { newId } from "./errors.ts";
import { answerTo, inputFor } from "./reply.ts";
import type { MessageRequest } from "./request.ts";

type Block =
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "tool_use"; readonly id: string; readonly name: string; readonly input: unknown };

export interface Message {
  readonly id: string;
  readonly type: "message";
  readonly role: "assistant";
  readonly model: string;
  readonly content: readonly Block[];
  readonly stop_reason: "end_turn" | "tool_use" | "max_tokens";
  readonly stop_sequence: null;
  readonly usage: Readonly<Record<string, unknown>>;
}

/** Letters of one piece of a stream. */
const PIECE = 24;
const LETTERS_PER_TOKEN = 4;

export function replyTo(request: MessageRequest): Message {
  const { model, maxTokens, tool, read } = request;
  const whole = tool === undefined ? answerTo(request) : JSON.stringify(inputFor(tool, request));
  const isTooLong = tokensIn(whole) > maxTokens;
  const text = isTooLong ? whole.slice(0, maxTokens * LETTERS_PER_TOKEN) : whole;
  const block: Block =
    tool === undefined
      ? { type: "text", text }
      : // What does not fit is left out; half a JSON text is none.
        { type: "tool_use", id: newId("toolu"), name: tool.name, input: isTooLong ? {} : JSON.parse(text) };
  return {
    ...{ id: newId("msg"), type: "message", role: "assistant", model, content: [block] },
    stop_reason: isTooLong ? "max_tokens" : tool === undefined ? "end_turn" : "tool_use",
    stop_sequence: null,
    usage: {
      ...{ input_tokens: tokensIn(read), cache_creation_input_tokens: 0, cache_read_input_tokens: 0 },
      ...{ output_tokens: tokensIn(text), service_tier: "standard" },
    },
  };
}

/** The same message as server-sent events, one a piece. */
export function streamOf(message: Message): string[] {
  const { content, stop_reason, stop_sequence, usage } = message;
  const start = {
    ...message,
    ...{ content: [], stop_reason: null, stop_sequence: null, usage: { ...usage, output_tokens: 1 } },
  };
  return [
    event("message_start", { message: start }),
    ...content.flatMap((block, index) => blockEvents(block, index)),
    event("message_delta", {
      delta: { stop_reason, stop_sequence },
      usage: { output_tokens: usage["output_tokens"] },
    }),
    event("message_stop", {}),
  ];
}

function blockEvents(block: Block, index: number): string[] {
  const [empty, text, deltaOf] =
    block.type === "text"
      ? ([
          { ...block, text: "" },
          block.text,
          (piece: string) => ({ type: "text_delta", text: piece }),
        ] as const)
      : ([
          { ...block, input: {} },
          JSON.stringify(block.input),
          (piece: string) => ({ type: "input_json_delta", partial_json: piece }),
        ] as const);
  const pieces = text.match(new RegExp(`[^]{1,${PIECE}}`, "gu")) ?? [];
  return [
    event("content_block_start", { index, content_block: empty }),
    event("ping", {}),
    ...pieces.map((piece) => event("content_block_delta", { index, delta: deltaOf(piece) })),
    event("content_block_stop", { index }),
  ];
}

function event(type: string, data: object): string {
  return `event: ${type}\ndata: ${JSON.stringify({ type, ...data })}\n\n`;
}
