/** `Pulumi.<stack>.yaml` as text that people read: an edit changes one value and nothing else. */
import { randomUUID } from "node:crypto";
import { open, realpath, rename, rm, stat, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { isDeepStrictEqual } from "node:util";

import { isAlias, isMap, isNode, isScalar, parseDocument, visit, type Document, type Node } from "yaml";

import { UserError } from "../../common/user-error.ts";
import { readImageReference } from "../../common/image-reference.ts";

export function settingsFile(stack: string): string {
  return `Pulumi.${stack}.yaml`;
}

export interface SettingsFile {
  /** For messages. */
  readonly path: string;
  readonly text: string;
}

/** The text with other images; comments, order and quotes of everything else stay. */
export function withImages(file: SettingsFile, images: Readonly<Record<string, string>>): string {
  return withValues(
    file,
    Object.entries(images).map(([name, value]) => ({
      ...{ path: ["images", name], value, expected: "the name of an image" },
      isFit: readImageReference(value) !== undefined,
    })),
  );
}

/** The text with the workflows of another commit, in the same way. */
export function withCommit(file: SettingsFile, commit: string): string {
  const isFit = /^[0-9a-f]{40}$/.test(commit);
  const path = ["workflows", "source", "commit"];
  return withValues(file, [{ path, value: commit, expected: "the hash of a commit", isFit }]);
}

interface Value {
  /** Names below the namespace. */
  readonly path: readonly string[];
  readonly value: string;

  /** What it has to be. */
  readonly expected: string;
  readonly isFit: boolean;
}

function withValues(file: SettingsFile, values: readonly Value[]): string {
  const document = parseSettingsFile(file);
  const problems: string[] = [];
  const edits: Edit[] = [];
  for (const { path, value, expected, isFit } of values) {
    const place = ["config", ...keysOf(path)];
    const name = path.at(-1)!;
    const node: unknown = document.getIn(place, true);
    if ((!isScalar(node) && !isAlias(node)) || !node.range) {
      const section = path.slice(0, -1).join(".");
      problems.push(
        `${file.path}: technicia:${section} has no ${name} of its own; write the line ${name}: ${value}`,
      );
      continue;
    }
    if (node.toJS(document) === value) continue;
    const setting = `${file.path}: technicia:${path.join(".")}`;
    // It becomes text of the file: anything else could add lines to it.
    if (!isFit) {
      problems.push(`${setting}: expected ${expected}, got another text`);
      continue;
    }
    // An image's name needs no quotes in YAML; a hash may look like a number.
    const text = /^\d+(e\d+)?$/.test(value) ? JSON.stringify(value) : value;
    const edit = { from: node.range[0], to: node.range[1], text };
    if (changesOnly({ file, edit, place, value })) edits.push(edit);
    else
      problems.push(
        `${setting}: expected a value in one line that nothing else refers to, got another; write ${name}: ${value}`,
      );
  }
  if (problems.length > 0) throw new UserError(problems.join("\n"));
  return edits.sort((a, b) => b.from - a.from).reduce(applied, file.text);
}

/** The keys below `config`: the first has the namespace. */
function keysOf([section = "", ...rest]: readonly string[]): readonly string[] {
  return [`technicia:${section}`, ...rest];
}

interface Edit {
  readonly from: number;
  readonly to: number;
  readonly text: string;
}

function applied(text: string, { from, to, ...edit }: Edit): string {
  return text.slice(0, from) + edit.text + text.slice(to);
}

/** An anchor may carry a value to other places, and a value may be written in lines of its own. */
function changesOnly({
  file,
  edit,
  place,
  value,
}: {
  readonly file: SettingsFile;
  readonly edit: Edit;
  readonly place: readonly string[];
  readonly value: string;
}): boolean {
  const after = parseDocument(applied(file.text, edit), OPTIONS);
  if (after.errors.length > 0) return false;
  return isDeepStrictEqual(after.toJS(), withValueAt(parseSettingsFile(file).toJS(), place, value));
}

function withValueAt(whole: unknown, [key, ...rest]: readonly string[], value: string): unknown {
  if (key === undefined) return value;
  const map = whole as Readonly<Record<string, unknown>>;
  return { ...map, [key]: withValueAt(map[key], rest, value) };
}

/** The text with whole settings replaced, or removed where the value is undefined, for a copy that only the engine reads. Secrets and salt stay. */
export function withSettings(file: SettingsFile, settings: Readonly<Record<string, unknown>>): string {
  const document = parseSettingsFile(file);
  // What is replaced may have the anchor of something that stays.
  visit(document, {
    Alias: (_, alias) => {
      const copy = alias.resolve(document)?.clone() as Node | undefined;
      if (isNode(copy)) visit(copy, { Node: (__, node) => void Reflect.deleteProperty(node, "anchor") });
      return copy;
    },
  });
  for (const [name, value] of Object.entries(settings)) {
    const path = ["config", `technicia:${name}`];
    if (value === undefined) document.deleteIn(path);
    else document.setIn(path, document.createNode(value));
  }
  return document.toString();
}

// As Pulumi reads it: `<<` merges, and a day without quotes would become a time, as in YAML 1.1.
const OPTIONS = { merge: true, compat: "yaml-1.1" } as const;

function parseSettingsFile({ path, text }: SettingsFile): Document {
  if (/[\0\ufffd]/.test(text))
    throw new UserError(`${path}: expected text in UTF-8, got another encoding; save it as UTF-8`);
  const document = parseDocument(text, OPTIONS);
  const [error] = document.errors;
  if (error)
    throw new UserError(
      // The rest of the message shows lines of the file, and one may hold a secret.
      `${path}: expected YAML, got an error: ${error.message.split(":\n")[0] ?? ""}; correct that line, or take the file from git`,
    );
  if (!isMap(document.get("config", true)))
    throw new UserError(`${path}: expected a map of settings under config, got none; take the file from git`);
  return document;
}

/** Replaces a file as a whole: if this is interrupted, the old text or the new one is there. Links, owner and mode stay. */
export async function replaceFile(path: string, text: string): Promise<void> {
  const target = await realpath(path);
  const next = join(dirname(target), `.${basename(target)}.${randomUUID()}`);
  try {
    const { mode, uid, gid } = await stat(target);
    const file = await open(next, "wx", 0o600);
    try {
      await file.writeFile(text);
      await file.chown(uid, gid);
      await file.chmod(mode);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(next, target);
  } catch (error) {
    await rm(next, { force: true });
    // A file that is mounted into a container, or is another user's, cannot be replaced, but perhaps written.
    if (!["EBUSY", "EACCES", "EPERM", "EROFS"].includes((error as NodeJS.ErrnoException).code ?? ""))
      throw error;
    await writeFile(target, text);
  }
}
