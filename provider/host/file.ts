/** `technicia:host:File`: a file that is replaced atomically. */
import { createHash } from "node:crypto";
import { z } from "zod";
import { UserError } from "../../common/user-error.ts";
import type { Call, ResourceDefinition } from "../plugin/definition.ts";
import { CommandFailure } from "../ssh/command-failure.ts";
import { loginGuard, refuseForeignOperator, runGuarded, TakenBack } from "./login-guard.ts";
import { DELETE, EXIT, INSPECT, WRITE } from "./file-scripts.ts";

const MAX_CONTENT_BYTES = 8 * 1024 * 1024;

const TIMEOUT_SECONDS = 300;

const account = /^[a-z_][a-z0-9_-]*\$?$/;

const schema = z.strictObject({
  path: z.string().refine(isPlainPath, "an absolute path to a file, without // . or .. in it"),
  content: z
    .string()
    .refine((text) => !text.includes("\0"), "text without NUL characters")
    .refine(
      (text) => Buffer.byteLength(text) <= MAX_CONTENT_BYTES,
      `at most ${MAX_CONTENT_BYTES / 1024 / 1024} MiB of text`,
    ),
  owner: z.string().regex(account, "a user name").default("root"),
  group: z.string().regex(account, "a group name").default("root"),
  mode: z
    .string()
    .regex(/^[0-7]{3,4}$/, 'permissions in octal, such as "0644"')
    .transform((mode) => mode.padStart(4, "0"))
    .default("0644"),
  validate: z.string().min(1, "bash that reads $FILE").optional(),
  onChange: z.string().min(1, "bash").optional(),
  guard: loginGuard.optional(),
});

type Inputs = z.infer<typeof schema>;

/** The file before this resource existed; base64, because it may be binary. */
interface Previous {
  readonly base64: string;
  readonly owner: string;
  readonly group: string;
  readonly mode: string;
}

interface Outputs {
  readonly sha256: string;
  readonly previous?: Previous | undefined;
}

interface Seen extends Previous {
  readonly sha256: string;
}

/** Something else in the place of the file: `a symbolic link to /tmp/x`, `a directory`. */
interface Instead {
  readonly instead: string;
}

export const file: ResourceDefinition<Inputs, Outputs> = {
  token: "technicia:host:File",
  schema,
  outputs: ["sha256", "previous"],
  replaceOn: ["path"],

  // A file that every user of the host may read is no secret. Any other may contain one.
  secretOutputs: ({ previous }, secretInputs) =>
    secretInputs.has("content")
      ? ["sha256", "previous"]
      : previous !== undefined && !isWorldReadable(previous.mode)
        ? ["previous"]
        : [],

  async preview(call, { content, guard }, existing) {
    // Before a creation there may be no server to ask.
    if (existing !== undefined && guard?.admits !== undefined && content !== existing.inputs.content) {
      await refuseForeignOperator(call, guard);
    }
    return {
      ...(content === undefined ? {} : { sha256: digest(content) }),
      ...(existing === undefined ? {} : { previous: existing.outputs.previous }),
    };
  },

  async create(call, inputs) {
    const before = await write(call, inputs, { replace: false });
    const isOurs =
      before !== undefined &&
      before.sha256 === digest(inputs.content) &&
      before.owner === inputs.owner &&
      before.group === inputs.group &&
      before.mode === inputs.mode;
    return {
      id: inputs.path,
      outputs: { sha256: digest(inputs.content), previous: isOurs ? undefined : toPrevious(before) },
    };
  },

  async read(call, { id, inputs, outputs }) {
    const known = inputs.content === undefined ? "" : digest(inputs.content);
    const { stdout } = await call.host.run({
      purpose: `read ${id}`,
      script: INSPECT,
      variables: { TARGET: id, KNOWN: known },
      signal: call.signal,
      onWaiting: call.log.status,
    });
    const seen = parseSeen(stdout);
    if (seen === undefined) return null;
    if ("instead" in seen) {
      if (inputs.content === undefined) throw refusal(id, seen.instead);
      // The inputs say what is there, also where the program could not ask for it.
      const found = { ...inputs, path: id, replacedBy: seen.instead } as unknown as Inputs;
      return { id, inputs: found, outputs: { sha256: "", previous: outputs.previous } };
    }
    const isKnown = seen.sha256 === known && inputs.content !== undefined;
    return {
      id,
      inputs: {
        ...inputs,
        path: id,
        content: isKnown ? (inputs.content ?? "") : Buffer.from(seen.base64, "base64").toString("utf8"),
        owner: seen.owner,
        group: seen.group,
        mode: seen.mode,
      },
      outputs: { sha256: seen.sha256, previous: outputs.previous },
      secretInputs: inputs.content === undefined && !isWorldReadable(seen.mode) ? ["content"] : [],
    };
  },

  async update(call, existing, news) {
    await write(call, news, { replace: true });
    return { sha256: digest(news.content), previous: existing.outputs.previous };
  },

  async delete(call, { id, inputs, outputs: { previous } }) {
    const deleting = runGuarded(call, inputs.guard, {
      purpose: previous === undefined ? `remove ${id}` : `restore the earlier ${id}`,
      touches: id,
      script: DELETE,
      variables: {
        TARGET: id,
        OWNER: previous?.owner ?? "",
        GROUP: previous?.group ?? "",
        MODE: previous?.mode ?? "",
        ON_CHANGE: inputs.onChange ?? "",
      },
      ...(previous === undefined ? {} : { stdin: Buffer.from(previous.base64, "base64") }),
      timeoutSeconds: call.timeoutSeconds ?? TIMEOUT_SECONDS,
      signal: call.signal,
      onWaiting: call.log.status,
    });
    const { stderr } = await deleting.catch((error: unknown) => {
      if (!(error instanceof TakenBack)) throw error;
      // Whoever destroys an environment still wants to get into its server.
      call.log.warning(`${id}: left as it is, because nobody could log in without it`);
      return { stderr: "" };
    });
    if (stderr.trim() !== "") {
      call.log.warning(`${id} was ${previous === undefined ? "removed" : "restored"}; ${stderr.trim()}`);
    }
  },
};

async function write(
  call: Call,
  inputs: Inputs,
  { replace }: { readonly replace: boolean },
): Promise<Seen | undefined> {
  try {
    const { stdout } = await runGuarded(call, inputs.guard, {
      purpose: `write ${inputs.path}`,
      script: WRITE,
      variables: {
        TARGET: inputs.path,
        KNOWN: "",
        SUM: digest(inputs.content),
        OWNER: inputs.owner,
        GROUP: inputs.group,
        MODE: inputs.mode,
        VALIDATE: inputs.validate ?? "",
        ON_CHANGE: inputs.onChange ?? "",
        REPLACE: replace ? "yes" : "",
      },
      stdin: inputs.content,
      touches: inputs.path,
      timeoutSeconds: call.timeoutSeconds ?? TIMEOUT_SECONDS,
      signal: call.signal,
      onWaiting: call.log.status,
    });
    const seen = parseSeen(stdout);
    return seen === undefined || "instead" in seen ? undefined : seen;
  } catch (error) {
    throw error instanceof CommandFailure ? explain(error, inputs.path) : error;
  }
}

function explain(failure: CommandFailure, path: string): UserError {
  const said = failure.lastLines;
  switch (failure.exitCode) {
    case EXIT.refused:
      return new UserError(
        `${path}: validate refused the new file, and nothing was changed; it printed:\n  ${said}`,
        { cause: failure },
      );
    case EXIT.restored:
      return new UserError(
        `${path}: onChange failed with the new file; the earlier one was restored and onChange succeeded with it; it printed:\n  ${said}`,
        { cause: failure },
      );
    case EXIT.restoredUnsettled:
      return new UserError(
        `${path}: onChange failed with the new file; the earlier one was restored, but onChange failed with it too, ` +
          `so what it acts on may not work now; it printed:\n  ${said}`,
        { cause: failure },
      );
    case EXIT.notAFile:
      return refusal(path, said, failure);
    default:
      return failure;
  }
}

function refusal(path: string, got: string, cause?: Error): UserError {
  return new UserError(
    `${path}: expected a regular file or nothing there, got ${got}; move it away on the server with sudo mv ${path} ${path}.old, then run this again`,
    cause === undefined ? {} : { cause },
  );
}

function parseSeen(output: string): Seen | Instead | undefined {
  const [first = "", sha256 = "", base64 = ""] = output.split("\n");
  const [kind, mode = "", owner = "", group = ""] = first.split(" ");
  switch (kind) {
    case "none":
      return undefined;
    case "file":
      return { mode: mode.padStart(4, "0"), owner, group, sha256, base64 };
    default:
      return { instead: first };
  }
}

function toPrevious(seen: Seen | undefined): Previous | undefined {
  return seen === undefined
    ? undefined
    : { base64: seen.base64, owner: seen.owner, group: seen.group, mode: seen.mode };
}

function digest(content: string): string {
  return createHash("sha256").update(content).digest("hex");
}

function isWorldReadable(mode: string): boolean {
  return (Number.parseInt(mode, 8) & 0o004) !== 0;
}

function isPlainPath(path: string): boolean {
  const [root, ...parts] = path.split("/");
  return (
    root === "" &&
    parts.length > 0 &&
    parts.every((part) => part !== "" && part !== "." && part !== ".." && !part.includes("\0"))
  );
}
