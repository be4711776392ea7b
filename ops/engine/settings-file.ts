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
  const document = parseSettingsFile(file);
  const problems: string[] = [];
  const edits: Edit[] = [];
  for (const [name, image] of Object.entries(images)) {
    const setting = `${file.path}: technicia:images.${name}`;
    const node: unknown = document.getIn(["config", "technicia:images", name], true);
    if ((!isScalar(node) && !isAlias(node)) || !node.range) {
      problems.push(
        `${file.path}: technicia:images has no ${name} of its own; write the line ${name}: ${image}`,
      );
      continue;
    }
    if (node.toJS(document) === image) continue;
    // It becomes text of the file: anything else could add lines to it.
    if (readImageReference(image) === undefined) {
      problems.push(`${setting}: expected the name of an image, got another text`);
      continue;
    }
    // An image's name needs no quotes in YAML.
    const edit = { from: node.range[0], to: node.range[1], value: image };
    if (changesOnly({ file, edit, name })) edits.push(edit);
    else
      problems.push(
        `${setting}: expected a value in one line that nothing else refers to, got another; write ${name}: ${image}`,
      );
  }
  if (problems.length > 0) throw new UserError(problems.join("\n"));
  return edits.sort((a, b) => b.from - a.from).reduce(applied, file.text);
}

interface Edit {
  readonly from: number;
  readonly to: number;
  readonly value: string;
}

function applied(text: string, { from, to, value }: Edit): string {
  return text.slice(0, from) + value + text.slice(to);
}

/** An anchor may carry a value to other places, and a value may be written in lines of its own. */
function changesOnly({
  file,
  edit,
  name,
}: {
  readonly file: SettingsFile;
  readonly edit: Edit;
  readonly name: string;
}): boolean {
  const after = parseDocument(applied(file.text, edit), OPTIONS);
  if (after.errors.length > 0) return false;
  const wanted = parseSettingsFile(file).toJS() as { config: Record<string, Record<string, unknown>> };
  const images = { ...wanted.config["technicia:images"], [name]: edit.value };
  return isDeepStrictEqual(after.toJS(), {
    ...wanted,
    config: { ...wanted.config, "technicia:images": images },
  });
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

// As Pulumi reads it: `<<` merges.
const OPTIONS = { merge: true } as const;

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
