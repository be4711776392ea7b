/** The second environment of a rehearsal: a server of its own, deployed by the same program, which watches the first and is watched by it. */
import { readFile } from "node:fs/promises";
import { existsSync } from "node:fs";
import { join } from "node:path";

import { parse } from "yaml";
import { z } from "zod";

import { STATE } from "./addresses.ts";
import type { StackName } from "./stack-names.ts";
import { domainOf } from "./stack-settings.ts";

/** Which environment stands beside that one. */
export function neighbourOf(stack: StackName): StackName {
  return stack === "staging" ? "test" : "staging";
}

/** What each of the two has to say of the other. Nobody but the visitors in tests trusts the authority of the rehearsal's certificates. */
export function neighbourEntry(stack: StackName): {
  readonly stack: string;
  readonly url: string;
  readonly trusted: boolean;
} {
  return { stack, url: `https://${domainOf(stack)}`, trusted: false };
}

const watching = z.object({
  config: z.object({
    "technicia:monitoring": z.object({ neighbours: z.array(z.unknown()).min(1) }),
  }),
});

/** Whether a rehearsed stack's settings name a neighbour already: `npm start` joins the two once both are deployed. */
export async function watchesNeighbour(stack: StackName, folder: string = STATE): Promise<boolean> {
  const file = join(folder, `Pulumi.${stack}.yaml`);
  return existsSync(file) && watching.safeParse(parse(await readFile(file, "utf8"))).success;
}
