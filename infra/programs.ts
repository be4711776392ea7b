import { scriptParts } from "../common/script.ts";

/** Programs of a `State` in a file of `scripts/`: what it observes, applies and removes. */
export function programsOf(file: string) {
  return scriptParts(new URL(`scripts/${file}`, import.meta.url), ["observe", "apply", "remove"]);
}
