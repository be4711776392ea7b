/** What a rehearsal was started with. It is kept until the rehearsal is stopped, so that every later start continues with it. */
import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { UserError } from "../common/user-error.ts";
import { STATE } from "./addresses.ts";
import type { Asked } from "./arguments.ts";
import type { Shape } from "./fleet.ts";
import { type System, USUAL_SYSTEM } from "./images/catalog.ts";
import { isOwned, type VariantName } from "./variants.ts";

export interface Choices {
  /** Operating system of the server, as OVH names it. */
  readonly system: System;
  readonly variants: readonly VariantName[];

  /** Whether a second environment stands beside the first. */
  readonly hasNeighbour: boolean;

  /** How many servers the environment has. */
  readonly servers: Shape;
}

const USUAL: Choices = { system: USUAL_SYSTEM, variants: [], hasNeighbour: false, servers: "1" };

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

/** Both environments would take the one server that is there already, and several servers take the neighbour's place. */
function requireRoom({ variants, hasNeighbour, servers }: Choices): void {
  const [owned] = variants.filter((name) => isOwned(name));
  const [other] = [...(hasNeighbour ? ["--neighbour"] : []), ...(owned ? [`--variant ${owned}`] : [])];
  if (servers !== "1" && other !== undefined) {
    throw new UserError(
      `npm start: expected --servers ${servers} without ${other}, because all its servers are ordered and need the room, got both; leave one of them out`,
    );
  }
  if (!hasNeighbour || owned === undefined) return;
  throw new UserError(
    `npm start: expected --neighbour without --variant ${owned}, because its server is ordered, got both; leave one of them out`,
  );
}

function describe({ system, variants, hasNeighbour, servers }: Choices): string {
  return [
    `--image "${system}"`,
    ...variants.map((name) => `--variant ${name}`),
    ...(hasNeighbour ? ["--neighbour"] : []),
    ...(servers === "1" ? [] : [`--servers ${servers}`]),
  ].join(" ");
}
