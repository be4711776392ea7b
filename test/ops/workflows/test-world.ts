/** What the commands about workflows reach in a test: a folder as the server, a double of n8n, and a copy of the project's workflows. */
import { chmod, cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import type { WorkflowsWorld } from "../../../ops/workflows/world.ts";
import { readHistory } from "../../../ops/server/records.ts";
import { fakePulumi } from "../../support/fake-pulumi.ts";
import { environmentWith, strongSecrets, validSettings, type Settings } from "../../support/fixtures.ts";
import { outputsOf } from "../checks/fixtures.ts";
import { startLocalServer, type LocalServer } from "../server/local-server.ts";
import { DoubleN8n } from "./double-n8n.ts";

const WORKFLOWS = fileURLToPath(new URL("../../../workflows", import.meta.url));

export class TestWorld implements AsyncDisposable {
  readonly n8n: DoubleN8n;
  readonly server: LocalServer;

  /** Folder of the project; its workflows are in `workflows/`. */
  readonly project: string;
  readonly said: string[] = [];
  readonly questions: string[] = [];

  /** `technicia:workflows` of the stack. */
  workflows: Settings = { enabled: true, webhookSeconds: 10 };
  secrets: Record<string, string> = strongSecrets();
  answer = true;
  now = () => new Date();
  #waited = 0;

  private constructor(given: Pick<TestWorld, "n8n" | "server" | "project">) {
    [this.n8n, this.server, this.project] = [given.n8n, given.server, given.project];
    this.n8n.owner.password = this.secrets["n8nOwnerPassword"]!;
  }

  static async open(): Promise<TestWorld> {
    const [n8n, server] = [await DoubleN8n.start(), await startLocalServer()];
    const project = await mkdtemp(join(tmpdir(), "technicia-project-"));
    await cp(WORKFLOWS, join(project, "workflows"), { recursive: true });
    await writePrograms(server, n8n.address);
    return new TestWorld({ n8n, server, project });
  }

  get world(): WorkflowsWorld {
    const { pulumi } = fakePulumi((args) => this.#pulumi(args));
    return {
      ...{ pulumi, openServer: () => this.server, identity: { who: "alice@laptop", run: "", process: 1 } },
      ...{ address: this.n8n.address, project: this.project, signal: new AbortController().signal },
      clock: {
        now: () => this.#waited,
        wait: (milliseconds) => Promise.resolve(void (this.#waited += milliseconds)),
      },
      git: () => Promise.reject(new Error("no git")),
      now: () => this.now(),
      every: () => () => undefined,
      pause: () => Promise.resolve(),
      isAlive: () => true,
      say: (line) => void this.said.push(line),
      confirm: (question) => {
        this.questions.push(question);
        return Promise.resolve(this.answer);
      },
      openIncident: () => Promise.reject(new Error("no incident")),
    };
  }

  /** Milliseconds that commands have waited. */
  get waited(): number {
    return this.#waited;
  }

  async read(name: string): Promise<string> {
    return await readFile(join(this.project, "workflows", name), "utf8");
  }

  async write(name: string, text: string): Promise<void> {
    await writeFile(join(this.project, "workflows", name), text);
  }

  async history(): Promise<readonly string[]> {
    return (await readHistory(this.server)).events.map(({ action, detail }) => `${action}: ${detail}`);
  }

  /** Command lines of every program that ran on the server. */
  async commandLines(): Promise<string> {
    return await readFile(join(dirname(this.server.folder), "argv"), "utf8");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.n8n[Symbol.asyncDispose]();
    await this.server[Symbol.asyncDispose]();
    await rm(this.project, { recursive: true });
  }

  #pulumi(args: readonly string[]) {
    if (args[0] === "config")
      return { stdout: JSON.stringify(this.#configuration(args.includes("--show-secrets"))) };
    if (args[1] === "export") return { stdout: JSON.stringify({ deployment: { resources: [] } }) };
    return { stdout: JSON.stringify(outputsOf(environmentWith())) };
  }

  #configuration(showSecrets: boolean): Record<string, unknown> {
    const settings = Object.entries({
      ...validSettings(),
      documents: { enabled: true },
      workflows: this.workflows,
    });
    return Object.fromEntries([
      ...settings.map(([key, value]) => [
        `technicia:${key}`,
        { secret: false, value: typeof value === "string" ? value : JSON.stringify(value) },
      ]),
      ...Object.entries(this.secrets).map(([key, value]) => [
        `technicia:${key}`,
        { secret: true, ...(showSecrets ? { value } : {}) },
      ]),
    ]) as Record<string, unknown>;
  }
}

/** Docker with one container, in which n8n's program reaches the double; and a record of each command line. */
async function writePrograms(server: LocalServer, address: string): Promise<void> {
  const root = dirname(server.folder);
  const recorded = (name: string) =>
    `#!/bin/bash\nprintf '%s ' ${name} "$@" >>${root}/argv\necho >>${root}/argv\n`;
  const programs = {
    curl: `${recorded("curl")}exec /usr/bin/curl "$@"\n`,
    jq: `${recorded("jq")}exec /usr/bin/jq "$@"\n`,
    docker: `${recorded("docker")}
if [ "$1" = ps ]; then echo 0123456789ab; exit; fi
shift
while [ "\${1#-}" != "$1" ]; do [ "$1" = --user ] && shift; shift; done
shift
exec "$@"
`,
    n8n: `${recorded("n8n")}
for word in "$@"; do case $word in --input=* | --output=*) file=\${word#*=} ;; esac; done
case $1 in
  import:*) exec /usr/bin/curl --silent --data-binary "@$file" "${address}/cli/import/\${1#import:}" ;;
esac
/usr/bin/curl --silent --output "$file" "${address}/cli/export/credentials"
if [ "$(cat "$file")" = '[]' ]; then
  rm "$file"
  : >"$file"
  echo 'No credentials found with specified filters'
else
  echo 'Successfully exported credentials.'
fi
`,
  };
  for (const [name, text] of Object.entries(programs)) {
    const file = join(root, "bin", name);
    await writeFile(file, text);
    await chmod(file, 0o755);
  }
}
