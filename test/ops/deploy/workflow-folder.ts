/** A project of a test, with this project's own workflows, which a test may change. */
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const OWN = fileURLToPath(new URL("../../../workflows", import.meta.url));

export class WorkflowFolder implements AsyncDisposable {
  readonly project: string;

  private constructor(project: string) {
    this.project = project;
  }

  static async make(): Promise<WorkflowFolder> {
    const folder = new WorkflowFolder(await mkdtemp(join(tmpdir(), "technicia-project-")));
    await cp(OWN, folder.path, { recursive: true });
    return folder;
  }

  get path(): string {
    return join(this.project, "workflows");
  }

  async write(name: string, text: string): Promise<void> {
    await writeFile(join(this.path, name), text);
  }

  /** Gives the workflow of errors another name. */
  async rename(name: string): Promise<void> {
    const file = "technicia-errors.json";
    const content = JSON.parse(await readFile(join(this.path, file), "utf8")) as object;
    await this.write(file, JSON.stringify({ ...content, name }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.project, { recursive: true });
  }
}
