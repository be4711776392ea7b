import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/**
 * Text of a shell file as it is, comments included; its values arrive as shell variables. Only the ends of lines are always Linux's, because an
 * editor or a git of Windows may have written the checkout.
 *
 * Most of these texts are inputs of resources: a changed byte, in a comment too, is a difference in every deployed stack.
 */
export function script(file: URL): string {
  return readFileSync(file, "utf8").replaceAll("\r\n", "\n");
}

/**
 * Programs of a shell file, each below a line `# part: <name>`; what is above the first one is for readers and shellcheck only.
 *
 * Deployed stacks know a program of one line without the newline at its end, and a longer one with a newline before and after it.
 */
export function scriptParts<Part extends string>(
  file: URL,
  parts: readonly Part[],
): Readonly<Record<Part, string>> {
  const [, ...pieces] = script(file).split(/^# part: (.+)\n/m);
  const found = new Map<string, string>();
  for (let index = 0; index < pieces.length; index += 2) {
    const text = pieces[index + 1]?.trim() ?? "";
    found.set(pieces[index] ?? "", text.includes("\n") ? `\n${text}\n` : text);
  }
  if ([...found.keys()].join() !== parts.join()) {
    throw new Error(
      `${fileURLToPath(file)}: expected the parts ${parts.join()}, got ${[...found.keys()].join()}`,
    );
  }
  return Object.fromEntries(found) as Record<Part, string>;
}

/** Functions of a shell file, each with the comment above it, for another program that does the same. */
export function scriptFunctions(file: URL, names: readonly string[]): string {
  const text = script(file);
  const found = names.map((name) => {
    const pattern = new RegExp(`^(?:#.*\\n)*${name}\\(\\) \\{(?:.*\\}|\\n(?:(?!\\}$).*\\n)*\\})$`, "m");
    const [body] = pattern.exec(text) ?? [];
    if (body === undefined) {
      throw new Error(`${fileURLToPath(file)}: expected the function ${name}, got none of that name`);
    }
    return body;
  });
  return `${found.join("\n\n")}\n`;
}
