import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { expect } from "vitest";

import { MarkdownFile } from "../../reports/markdown.ts";
import { writeReport, type Report } from "../../ops/documents/report-command.ts";
import { newFolder } from "./temporary-folder.ts";
import { sources, type Stack } from "./facts.ts";

export const now = new Date("2026-11-23T12:00:00Z");
export const tomorrow = new Date("2026-11-24T12:00:00Z");

export const TEST_STEPS = "Processus de Déploiement - Environnement de Test";
export const STAGING_STEPS = "Processus de Déploiement - Environnement de Staging";

/** A person's two documents, and the report that is run on them. */
export class Documents {
  readonly tracking: string;
  readonly issues: string;
  readonly folder: string;

  private constructor(folder: string) {
    this.folder = folder;
    this.tracking = join(folder, "deployment-tracking.md");
    this.issues = join(folder, "deployment-issues.md");
  }

  static async open(): Promise<Documents> {
    return new Documents(await newFolder());
  }

  report(stacks: Readonly<Record<string, Stack>>, at = now): Promise<Report> {
    return writeReport({ tracking: this.tracking, issues: this.issues, now: at }, sources(stacks));
  }

  read(): Promise<string> {
    return readFile(this.tracking, "utf8");
  }

  async edit(change: (text: string) => string): Promise<void> {
    const text = await this.read();
    const changed = change(text);
    expect(changed).not.toBe(text);
    await writeFile(this.tracking, changed);
  }

  /** Rows below a heading, cells joined by `|`. */
  async rows(title: string): Promise<string[]> {
    const file = new MarkdownFile(this.tracking, await this.read());
    const table = file.section(title)?.nodes.find((node) => node.type === "table");
    const text = (await this.read()).slice(
      table?.position?.start.offset ?? 0,
      table?.position?.end.offset ?? 0,
    );
    return text
      .split("\n")
      .slice(2)
      .map((line) =>
        line
          .slice(1, -1)
          .split(/(?<!\\)\|/)
          .map((cell) => cell.trim())
          .join("|"),
      );
  }
}
