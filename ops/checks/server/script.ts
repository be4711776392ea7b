import { readFileSync } from "node:fs";

/** Text of one shell script of this folder's `scripts/`; its values arrive as shell variables. */
export function script(name: string): string {
  return readFileSync(new URL(`scripts/${name}`, import.meta.url), "utf8");
}
