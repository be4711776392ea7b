/**
 * Changes of the team's documents by a job: a branch with an open pull request, which a person merges. What is proposed already is where the next
 * job begins, so that numbers and rows stay the same until then.
 */
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

import { ISSUES_FILE } from "../../reports/incidents/book.ts";
import { writeWhole } from "../../reports/markdown.ts";
import type { Outcome } from "../command.ts";
import type { Github } from "../vendors/github.ts";
import { TRACKING_FILE } from "./tracking-file.ts";

export const BRANCH = "technicia-suivi";

const TITLE = "Suivi : validations et problèmes constatés par la surveillance";
const BODY =
  "Écrit par le workflow `follow-up` : les validations J+1 et J+7 et les problèmes ouverts par des alertes. " +
  "À relire, à compléter si besoin, puis à fusionner ; d'ici là, les exécutions suivantes y ajoutent les leurs.";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

export type Proposals = Pick<Github, "readProposed" | "propose">;

interface Documents {
  readonly files: readonly string[];

  /** Folder of the repository on this machine, with a slash at its end. */
  readonly root: string;
}

/** Does the work on the documents that are proposed, and proposes what it has changed; without `github` just the work. */
export async function proposing(
  github: Proposals | undefined,
  work: () => Promise<Outcome>,
  { files, root }: Documents = { files: [TRACKING_FILE, ISSUES_FILE], root: ROOT },
): Promise<Outcome> {
  if (github === undefined) return await work();
  const pathOf = (file: string) => file.slice(root.length);
  const proposed = (await github.readProposed(BRANCH, files.map(pathOf))) ?? new Map<string, string>();
  for (const file of files) {
    const text = proposed.get(pathOf(file));
    if (text !== undefined) await writeWhole(file, text);
  }
  const { text, exitCode } = await work();
  const written = new Map<string, string>();
  for (const file of files) written.set(pathOf(file), await readFile(file, "utf8"));
  const pull = await github.propose({ branch: BRANCH, title: TITLE, body: BODY, files: written });
  return { text: pull === undefined ? text : `${text}\npull request ${pull.action}: ${pull.url}`, exitCode };
}
