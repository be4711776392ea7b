/** `npm run documents`: what visitors have uploaded, listed, deleted and indexed again on the server. */
import { UserError } from "../../common/user-error.ts";
import { record } from "../backup/world.ts";
import type { Outcome } from "../command.ts";
import type { Effects } from "../effects.ts";
import { onServer } from "../on-server.ts";
import type { Server } from "../server/connection.ts";
import { renderTable } from "../terminal.ts";
import { callDocuments, deleted, documents, indexed, type UploadedDocument } from "./program.ts";

const LIST_SECONDS = 600;

/** Of all of them together, one after the other. */
const INDEX_SECONDS = 24 * 3600;
const MIB = 1024 ** 2;

/** Exit code 1 where something does not fit together. */
export async function listDocuments(
  { stack, json }: { readonly stack: string; readonly json: boolean },
  world: Effects,
): Promise<Outcome> {
  const listed = await onServer(stack, world, (server) => readList(server, world));
  const exitCode = listed.some(({ problems }) => problems.length > 0) ? 1 : 0;
  return { text: json ? JSON.stringify(listed, undefined, 2) : renderList(listed, stack), exitCode };
}

async function readList(server: Server, { say }: Pick<Effects, "say">): Promise<UploadedDocument[]> {
  return await callDocuments(server, {
    purpose: "list the documents",
    words: ["list"],
    answer: documents,
    timeoutSeconds: LIST_SECONDS,
    say,
  });
}

function renderList(listed: readonly UploadedDocument[], stack: string): string {
  if (listed.length === 0) return `${stack} has no documents`;
  const rows = listed.map(({ id, title, pages, points, images, bytes, at, state, problems }) => [
    ...[id, title ?? "?", String(pages), String(points), String(images), renderSize(bytes)],
    ...[at === null ? "?" : at.slice(0, 16).replace("T", " "), [state, ...problems].join("; ")],
  ]);
  const headings = ["Id", "Title", "Pages", "Points", "Images", "Size", "Indexed (UTC)", "State"];
  const wrong = listed.filter(({ problems }) => problems.length > 0);
  return [
    renderTable({ headings, rows }),
    ...(wrong.length === 0
      ? []
      : [
          `${wrong.length} of ${listed.length} documents need attention: npm run documents -- ${stack} reindex <id> where the PDF is kept, delete <id> where it is not`,
        ]),
  ].join("\n");
}

function renderSize(bytes: number): string {
  return `${(bytes / MIB).toFixed(1)} MiB`;
}

/** Asks before, and adds the deletion to the audit: by its id alone, because a title may name a person. */
export async function deleteDocument(
  { stack, id, yes }: { readonly stack: string; readonly id: string; readonly yes: boolean },
  world: Effects,
): Promise<Outcome> {
  return await onServer(stack, world, async (server) => {
    const listed = await readList(server, world);
    const found = listed.find((one) => one.id === id);
    if (found === undefined)
      throw new UserError(
        `${id}: expected a document of ${stack}, got none; npm run documents -- ${stack} list prints them`,
      );
    world.say(describe(found));
    if (!yes && !(await world.confirm(`delete it from ${stack}, with all its points, files and images?`)))
      return { text: "nothing was deleted", exitCode: 1 };
    const gone = await callDocuments(server, {
      purpose: `delete the document ${id}`,
      words: ["delete", id],
      answer: deleted,
      timeoutSeconds: LIST_SECONDS,
      say: world.say,
    });
    await record(server, world, { action: "document", detail: `document ${id} supprimé` });
    const what = `${gone.points} points, ${gone.files} files (${gone.images} images), ${renderSize(gone.bytes)}`;
    return {
      text: `${id} is deleted: ${what}\nsets of backups still have it: docs/personal-data.md says for how long, and how to make one without it`,
      exitCode: 0,
    };
  });
}

function describe({ id, title, pages, points, images, bytes }: UploadedDocument): string {
  return `${title ?? "a document without a title"} (${id}): ${pages} pages, ${points} points, ${images} images, ${renderSize(bytes)}`;
}

/** `ids` empty: every document whose PDF is kept. */
export async function reindexDocuments(
  { stack, ids }: { readonly stack: string; readonly ids: readonly string[] },
  world: Effects,
): Promise<Outcome> {
  return await onServer(stack, world, async (server) => {
    const results = await callDocuments(server, {
      purpose: "index documents again",
      words: ["reindex", ...ids],
      answer: indexed,
      timeoutSeconds: INDEX_SECONDS,
      say: world.say,
    });
    const bad = results.filter((one) => !one.indexed);
    await record(server, world, {
      action: "document",
      detail: `${results.length - bad.length} documents réindexés, ${bad.length} en échec`,
    });
    if (results.length === 0) return { text: `${stack} has no documents whose PDF is kept`, exitCode: 0 };
    const rows = results.map(({ id, title, before, points, reason }) => [
      ...[id, title, String(before), String(points), reason ?? "indexed"],
    ]);
    const table = renderTable({ headings: ["Id", "Title", "Points before", "Points now", "Result"], rows });
    return { text: table, exitCode: bad.length === 0 ? 0 : 1 };
  });
}
