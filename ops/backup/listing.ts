/** `npm run backups`: the sets, what verified each, what the next prune removes, and what all of them cost. */
import { z } from "zod";

import { UserError } from "../../common/user-error.ts";
import type { Environment } from "../../stacks/environment.ts";
import type { Outcome } from "../command.ts";
import { readSettings } from "../engine/settings.ts";
import { renderTable } from "../terminal.ts";
import { renderSize, renderTime, short } from "./backup.ts";
import { noteMeasured } from "./measured.ts";
import { priceOf, type Price } from "./price.ts";
import { callProgram, overview, type Overview } from "./program.ts";
import { isKeptForRelease, KEPT, planPrune, releaseIn, repositoryOf, whyIn } from "./prune.ts";
import { readPlace } from "./read-back.ts";
import { listSnapshots, restic, type Repository } from "./repository.ts";
import { onServer } from "../on-server.ts";
import type { BackupWorld } from "./world.ts";

const LIST_SECONDS = 300;

export async function listSets(
  { stack, json }: { readonly stack: string; readonly json: boolean },
  world: BackupWorld,
): Promise<Outcome> {
  const { found, note } = await look(stack, world);
  const { environment } = await readSettings(stack, world.pulumi);
  // For the costs in previews. Without a place for it, only those are less.
  await noteMeasured(environment, { bytes: found.stored, at: world.now().toISOString() }).catch(
    () => undefined,
  );
  const price = priceFor(found, environment);
  if (json) {
    const whole = { ...found, price: price ?? null, ...(note !== undefined && { note }) };
    return { text: JSON.stringify(whole, undefined, 2), exitCode: 0 };
  }
  const text =
    found.sets.length === 0
      ? `${stack} has no set yet; make one with npm run backup -- ${stack}`
      : renderOverview(found, { stack, price, now: world.now() });
  return { text: [...(note === undefined ? [] : [note]), text].join("\n"), exitCode: 0 };
}

/** Asks the server; where it does not answer, the storage itself, with the reader's key and restic in Docker on this machine. */
async function look(
  stack: string,
  world: BackupWorld,
): Promise<{ readonly found: Overview; readonly note?: string }> {
  try {
    const found = await onServer(stack, world, (server) =>
      callProgram(server, {
        purpose: "list the sets of backups",
        words: ["overview", ...Object.entries(KEPT).flatMap(([unit, time]) => ["--keep", `${unit}=${time}`])],
        answer: overview,
        timeoutSeconds: LIST_SECONDS,
        say: world.say,
      }),
    );
    const now = world.now().getTime();
    const sets = found.sets.map((set) => ({ ...set, goes: set.goes && !isKeptForRelease(set, now) }));
    return { found: { ...found, sets } };
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    const settings = await readSettings(stack, world.pulumi);
    const repository = { ...repositoryOf(settings), ...(await readPlace(settings, world.pulumi)) };
    const note = `${error.message}\nthis is what the storage has; the server alone knows which sets were rehearsed\n`;
    return { found: await lookInStorage(repository, world), note };
  }
}

export async function lookInStorage(
  repository: Repository,
  { signal }: Pick<BackupWorld, "signal">,
): Promise<Overview> {
  const sets = await listSnapshots(repository, { signal });
  if (sets.length === 0) return { sets: [], stored: 0 };
  const { removed } = await planPrune(repository, { signal });
  const going = new Set(removed.map(({ id }) => id));
  const counted = await restic(repository, {
    purpose: "measure the repository",
    words: ["stats", "--json", "--no-lock", "--mode", "raw-data"],
    signal,
  });
  const { total_size: stored } = z.looseObject({ total_size: z.number() }).parse(JSON.parse(counted));
  return {
    stored,
    sets: sets.map(({ id, time, tags, summary }) => ({
      ...{ id, time, tags: tags ?? [], drill: null, goes: going.has(id) },
      size: summary?.total_bytes_processed ?? null,
      sent: summary?.data_added_packed ?? null,
    })),
  };
}

/** Undefined for a bucket of the operator's own, whose price nobody knows here. */
function priceFor({ stored }: Overview, { backup }: Environment): Price | undefined {
  return backup.bucket === undefined ? priceOf(stored, backup.region) : undefined;
}

interface Shown {
  readonly stack: string;
  readonly price: Price | undefined;
  readonly now: Date;
}

function renderOverview({ sets, stored }: Overview, { stack, price, now }: Shown): string {
  const rows = sets.map(({ id, time, tags, size, drill, goes }) => [
    short(id),
    renderTime(time),
    renderAge((now.getTime() - Date.parse(time)) / 1000),
    size === null ? "?" : renderSize(size),
    releaseIn(tags),
    whyIn(tags),
    drill === null ? "" : `${renderTime(drill.at)}${drill.passed ? "" : ", failed"}`,
    goes ? "goes" : "",
  ]);
  const table = renderTable({
    headings: ["Set", "Made (UTC)", "Age", "Size", "Release", "Why", "Rehearsed (UTC)", "Next prune"],
    rows,
  });
  const going = sets.filter(({ goes }) => goes).length;
  return [
    table,
    going === 0
      ? "the next prune removes no set"
      : `the next prune removes ${going} of ${sets.length} sets: npm run backups -- ${stack} --prune`,
    `together they take ${renderSize(stored)}; ${renderPrice(price)}`,
  ].join("\n");
}

function renderPrice(price: Price | undefined): string {
  if (price === undefined) return "what that costs, your own storage says";
  const { euros, eurosPerGib, of, address } = price;
  const amount = euros < 0.01 ? "less than €0.01" : `about €${euros.toFixed(2)}`;
  return `that costs ${amount} a month without tax, at €${eurosPerGib} for a GiB as of ${of} (${address}); what was deleted is paid for until its retention ends`;
}

function renderAge(seconds: number): string {
  const minutes = Math.round(seconds / 60);
  if (minutes < -15) return "to come: a clock was wrong";
  if (minutes < 60) return `${minutes} min`;
  if (seconds < 2 * 86_400) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86_400)} d`;
}
