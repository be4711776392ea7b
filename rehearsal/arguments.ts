import { UserError } from "../common/user-error.ts";
import { SHAPES, type Shape } from "./fleet.ts";
import { type System, SYSTEM_NAMES } from "./images/catalog.ts";
import { STACKS, type StackName } from "./stack-names.ts";
import { VARIANT_NAMES, type VariantName } from "./variants.ts";

/**
 * Takes `--stack <name>` (or `-s`) out of the arguments.
 *
 * `onlyBefore`: looks no further than the first word, because everything from there on belongs to another command.
 */
export function takeStack(
  args: readonly string[],
  { onlyBefore }: { readonly onlyBefore: boolean },
): { stack: StackName; rest: string[] } {
  const { value = "test", at, rest } = takeOption(args, ["--stack", "-s"]);
  if (onlyBefore && at > 0) return { stack: "test", rest: [...args] };
  return { stack: oneOf(STACKS, value, "--stack"), rest };
}

/** What `npm start` is asked for besides the stack. */
export interface Asked {
  readonly system?: System;
  readonly variants?: readonly VariantName[];
  readonly hasNeighbour?: true;
  readonly servers?: Shape;
}

/** Reads all arguments of `npm start` but the stack. */
export function readAsked(args: readonly string[]): Asked {
  const { value: image, rest: withoutImage } = takeOption(args, ["--image"]);
  const { value: servers, rest } = takeOption(withoutImage, ["--servers"]);
  const variants: VariantName[] = [];
  let left = rest.filter((arg) => arg !== "--neighbour");
  const hasNeighbour = left.length < rest.length;
  for (;;) {
    const { value, rest } = takeOption(left, ["--variant"]);
    if (value === undefined) break;
    variants.push(oneOf(VARIANT_NAMES, value, "--variant"));
    left = rest;
  }
  const [unknown] = left;
  if (unknown !== undefined) {
    throw new UserError(
      `npm start: expected --stack, --image, --servers, --variant or --neighbour, got "${unknown}"; see docs/rehearsal.md`,
    );
  }
  return {
    ...(image !== undefined && { system: oneOf(SYSTEM_NAMES, image, "--image") }),
    ...(variants.length > 0 && { variants }),
    ...(hasNeighbour && { hasNeighbour }),
    ...(servers !== undefined && { servers: oneOf(SHAPES, servers, "--servers") }),
  };
}

/** The first of the flags with its value, which is the next argument or follows a `=`; and all other arguments. */
function takeOption(
  args: readonly string[],
  flags: readonly string[],
): { readonly value?: string; readonly at: number; readonly rest: string[] } {
  const rest = [...args];
  const at = rest.findIndex((arg) => flags.includes(arg) || arg.startsWith(`${flags[0] ?? ""}=`));
  if (at < 0) return { at, rest };
  const [flag = ""] = rest.splice(at, 1);
  const value = flag.includes("=") ? flag.slice(flag.indexOf("=") + 1) : (rest.splice(at, 1)[0] ?? "");
  return { value, at, rest };
}

function oneOf<T extends string>(known: readonly T[], value: string, flag: string): T {
  const found = known.find((one) => one === value);
  if (found !== undefined) return found;
  const example = known[0]?.includes(" ") ? `"${known[0]}"` : known[0];
  throw new UserError(
    `${flag}: expected ${known.join(", ")}, got "${value}"; say for example ${flag} ${example}`,
  );
}
