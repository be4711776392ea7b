/** `Pulumi.<stack>.yaml` as text that people read: an edit changes a value and nothing around it. */
import { isScalar, parseDocument, type Document } from "yaml";

import { UserError } from "../../common/user-error.ts";

export function settingsFile(stack: string): string {
  return `Pulumi.${stack}.yaml`;
}

/** Other images in the file's text; comments, order and quotes of everything else stay. */
export function withImages(file: string, text: string, images: Readonly<Record<string, string>>): string {
  const document = parse(file, text);
  const problems: string[] = [];
  const edits: { readonly from: number; readonly to: number; readonly value: string }[] = [];
  for (const [name, image] of Object.entries(images)) {
    const node: unknown = document.getIn(["config", "technicia:images", name], true);
    if (!isScalar(node) || !node.range || node.type === undefined) {
      problems.push(
        `${file}: expected an image under technicia:images ${name}, got none; write the line ${name}: ${image}`,
      );
      continue;
    }
    if (node.value === image) continue;
    // Quotes around the old value are not needed: an image's name is plain text in YAML.
    edits.push({ from: node.range[0], to: node.range[1], value: image });
  }
  if (problems.length > 0) throw new UserError(problems.join("\n"));
  return edits
    .sort((a, b) => b.from - a.from)
    .reduce((edited, { from, to, value }) => edited.slice(0, from) + value + edited.slice(to), text);
}

/** The file with whole settings replaced: for a copy that only the engine reads. Secrets and salt stay as they are. */
export function withSettings(
  file: string,
  text: string,
  settings: Readonly<Record<string, unknown>>,
): string {
  const document = parse(file, text);
  for (const [name, value] of Object.entries(settings)) {
    document.setIn(["config", `technicia:${name}`], document.createNode(value));
  }
  return document.toString();
}

function parse(file: string, text: string): Document {
  const document = parseDocument(text);
  const [error] = document.errors;
  if (error) throw new UserError(`${file}: expected YAML, got an error: ${error.message}`);
  return document;
}
