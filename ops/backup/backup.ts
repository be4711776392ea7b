/** `npm run backup` and `npm run drill`. */
import type { Outcome } from "../command.ts";
import { readSettings } from "../engine/settings.ts";
import { renderTable } from "../terminal.ts";
import { callProgram, drillResult, madeSet, type DrillResult, type MadeSet } from "./program.ts";
import { readBack, readPlace } from "./read-back.ts";
import { onServer } from "../on-server.ts";
import { record, type BackupWorld } from "./world.ts";

const MAKE_SECONDS = 6 * 3600;
const MIB = 1024 ** 2;

export async function makeSet(
  { stack, acceptSmaller }: { readonly stack: string; readonly acceptSmaller: boolean },
  world: BackupWorld,
): Promise<Outcome> {
  const place = await readPlace(await readSettings(stack, world.pulumi), world.pulumi);
  return await onServer(stack, world, async (server) => {
    const made = await callProgram(server, {
      purpose: "make a set of backups",
      words: ["make", "--tag", "manual", "--qdrant", ...(acceptSmaller ? ["--accept-smaller"] : [])],
      answer: madeSet,
      timeoutSeconds: MAKE_SECONDS,
      say: world.say,
    });
    await readBack(made.id, place, world);
    await record(server, world, { action: "backup", detail: `jeu ${short(made.id)} : ${countsOf(made)}` });
    return { text: renderMade(made), exitCode: 0 };
  });
}

function countsOf({ manifest }: MadeSet): string {
  return Object.entries(manifest.items)
    .map(([name, { counts }]) => `${name} ${renderCounts(counts)}`)
    .join(" ; ");
}

function renderMade(made: MadeSet): string {
  const rows = Object.entries(made.manifest.items).map(([name, { at, size, counts, took }]) => [
    name,
    renderTime(at),
    renderSize(size),
    renderCounts(counts),
    `${took} s`,
  ]);
  const since = Object.entries(made.manifest.indexedSince).map(
    ([name, points]) =>
      `${name} has ${points} points since Qdrant's snapshot; after a restore what came later is indexed again`,
  );
  return [
    renderTable({ headings: ["Item", "Of (UTC)", "Size", "Counts", "Took"], rows }),
    `set ${short(made.id)}: ${renderSize(made.sent)} sent in ${made.took} s to ${made.repository}, and read back with the reader's key`,
    ...since,
    ...made.warnings.map((warning) => `warning: ${warning}`),
  ].join("\n");
}

export async function drillStack(stack: string, world: BackupWorld): Promise<Outcome> {
  return await onServer(stack, world, async (server) => {
    const result = await callProgram(server, {
      purpose: "rehearse the restore of the newest set",
      words: ["drill", "--report"],
      answer: drillResult,
      timeoutSeconds: MAKE_SECONDS,
      say: world.say,
    });
    await record(server, world, { action: "drill", detail: describeDrill(result) });
    return { text: renderDrill(result), exitCode: result.passed ? 0 : 1 };
  });
}

function describeDrill({ set, took, passed, findings }: DrillResult): string {
  const outcome = passed ? "réussi" : `échoué : ${findings.join(" ; ")}`;
  return `essai de restauration du jeu ${short(set)} en ${took} s : ${outcome}`;
}

function renderDrill({ set, took, passed, findings, counts }: DrillResult): string {
  const rows = Object.entries(counts).map(([name, known]) => [name, renderCounts(known)]);
  return [
    renderTable({ headings: ["Item", "Counts"], rows }),
    `the set ${short(set)} ${passed ? "was restored" : "could not be restored"} in containers of its own in ${took} s`,
    ...findings.map((finding) => `failed: ${finding}`),
  ].join("\n");
}

export function short(id: string): string {
  return id.slice(0, 8);
}

export function renderTime(at: string): string {
  return at.slice(0, 19).replace("T", " ");
}

export function renderCounts(counts: Readonly<Record<string, number>>): string {
  return Object.entries(counts)
    .map(([what, count]) => `${count} ${what}`)
    .join(", ");
}

export function renderSize(bytes: number): string {
  return `${(bytes / MIB).toFixed(1)} MiB`;
}
