/** What a rehearsal was started with. It is kept until the rehearsal is stopped, so that every later start continues with it. */
import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { UserError } from "../common/user-error.ts";
import { STATE } from "./addresses.ts";
import type { Asked } from "./arguments.ts";
import { type System, USUAL_SYSTEM } from "./images/catalog.ts";
import { isOwned, type VariantName } from "./variants.ts";

export interface Choices {
  /** Operating system of the server, as OVH names it. */
  readonly system: System;
  readonly variants: readonly VariantName[];

  /** Whether a second environment stands beside the first. */
  readonly hasNeighbour: boolean;
}

const USUAL: Choices = { system: USUAL_SYSTEM, variants: [], hasNeighbour: false };

/** Adds what is asked for now to what this rehearsal was started with. Of a rehearsal under way only a neighbour can be asked for. */
export async function ensureChoices(asked: Asked, folder: string = STATE): Promise<Choices> {
  const file = join(folder, "choices.json");
  const before = existsSync(file)
    ? { ...USUAL, ...(JSON.parse(await readFile(file, "utf8")) as Partial<Choices>) }
    : USUAL;
  const choices = { ...before, ...asked };
  if (JSON.stringify(choices) === JSON.stringify(before)) return before;
  requireRoom(choices);
  const isOther = describe({ ...choices, hasNeighbour: before.hasNeighbour }) !== describe(before);
  if (isOther && existsSync(join(folder, "clouds", "state.json"))) {
    throw new UserError(
      `npm start: expected ${describe(before)}, with which this rehearsal was started, got ${describe(choices)}; ` +
        "remove it first with npm run rehearsal:stop",
    );
  }
  await writeFile(file, JSON.stringify(choices));
  return choices;
}

/** Both environments would take the one server that is there already. */
function requireRoom({ variants, hasNeighbour }: Choices): void {
  const [owned] = variants.filter((name) => isOwned(name));
  if (!hasNeighbour || owned === undefined) return;
  throw new UserError(
    `npm start: expected --neighbour without --variant ${owned}, because its server is ordered, got both; leave one of them out`,
  );
}

function describe({ system, variants, hasNeighbour }: Choices): string {
  return [
    `--image "${system}"`,
    ...variants.map((name) => `--variant ${name}`),
    ...(hasNeighbour ? ["--neighbour"] : []),
  ].join(" ");
}
