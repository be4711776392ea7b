/** `Pulumi.<stack>.yaml` as text that people read: an edit changes one value and nothing else. */
import { randomUUID } from "node:crypto";
import { open, realpath, rename, rm, stat, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";

import { isScalar, parseDocument, type Document } from "yaml";

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
  const edits: { readonly from: number; readonly to: number; readonly value: string }[] = [];
  for (const [name, image] of Object.entries(images)) {
    const node: unknown = document.getIn(["config", "technicia:images", name], true);
    if (!isScalar(node) || !node.range || node.type === undefined) {
      problems.push(`${file.path}: technicia:images has no ${name}; write the line ${name}: ${image}`);
      continue;
    }
    if (node.value === image) continue;
    // It becomes text of the file: anything else could add lines to it.
    if (readImageReference(image) === undefined) {
      problems.push(
        `${file.path}: technicia:images.${name}: expected the name of an image, got another text`,
      );
      continue;
    }
    // An image's name needs no quotes in YAML.
    edits.push({ from: node.range[0], to: node.range[1], value: image });
  }
  if (problems.length > 0) throw new UserError(problems.join("\n"));
  return edits
    .sort((a, b) => b.from - a.from)
    .reduce((edited, { from, to, value }) => edited.slice(0, from) + value + edited.slice(to), file.text);
}

/** The text with whole settings replaced, or removed where the value is undefined, for a copy that only the engine reads. Secrets and salt stay. */
export function withSettings(file: SettingsFile, settings: Readonly<Record<string, unknown>>): string {
  const document = parseSettingsFile(file);
  for (const [name, value] of Object.entries(settings)) {
    const path = ["config", `technicia:${name}`];
    if (value === undefined) document.deleteIn(path);
    else document.setIn(path, document.createNode(value));
  }
  return document.toString();
}

function parseSettingsFile({ path, text }: SettingsFile): Document {
  const document = parseDocument(text);
  const [error] = document.errors;
  if (error) throw new UserError(`${path}: expected YAML, got an error: ${error.message}`);
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
