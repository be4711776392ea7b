import { readFileSync } from "node:fs";

import remarkParse from "remark-parse";
import { unified } from "unified";

/** Commands of the runbook that are run together. */
export interface Block {
  /** Heading of the part that it stands in: `Retour arrière`. */
  readonly section: string;
  readonly line: number;
  readonly script: string;
  /** Exit code that the text announces. */
  readonly code: number;
}

export const RUNBOOK = new URL("../../docs/runbook.md", import.meta.url);

/** Every block of commands, in the order of the page. */
export function readRunbook(): Block[] {
  const blocks: Block[] = [];
  let section = "";
  let code = 0;
  for (const node of unified().use(remarkParse).parse(readFileSync(RUNBOOK, "utf8")).children) {
    if (node.type === "heading" && node.depth <= 2) {
      section = node.children.map((child) => ("value" in child ? child.value : "")).join("");
    }
    if (node.type === "html") code = Number(/<!-- sortie (\d+) -->/.exec(node.value)?.[1] ?? 0);
    if (node.type !== "code") continue;
    if (node.lang !== "bash") throw new Error(`line ${node.position?.start.line}: expected a block of bash`);
    blocks.push({ section, line: node.position?.start.line ?? 0, script: node.value, code });
    code = 0;
  }
  return blocks;
}
