import { UserError } from "../common/user-error.ts";

const STACKS = ["test", "staging", "prod"];

/**
 * Takes `--stack <name>` (or `-s`) out of the arguments.
 *
 * `onlyBefore`: looks no further than the first word, because everything from there on belongs to another command.
 */
export function takeStack(
  args: readonly string[],
  { onlyBefore }: { readonly onlyBefore: boolean },
): { stack: string; rest: string[] } {
  const rest = [...args];
  const at = rest.findIndex((arg) => arg === "--stack" || arg === "-s" || arg.startsWith("--stack="));
  if (at < 0 || (onlyBefore && at > 0)) return { stack: "test", rest };
  const [flag = ""] = rest.splice(at, 1);
  const stack = flag.includes("=") ? flag.slice(flag.indexOf("=") + 1) : (rest.splice(at, 1)[0] ?? "");
  if (!STACKS.includes(stack)) {
    throw new UserError(
      `--stack: expected ${STACKS.join(", ")}, got "${stack}"; say for example --stack test`,
    );
  }
  return { stack, rest };
}
