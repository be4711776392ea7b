/** Runs a workflow's steps as a runner does: the shell, the files and variables of a job, npm for real, and fakes of what is outside. */
import { execFileSync, spawn } from "node:child_process";
import { access, chmod, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import { openCheckout, type Play } from "../ops/preview/checkout.ts";
import type { Call } from "../support/fake-pulumi.ts";
import { pullRequest, startGithub, type FakeGithub } from "../ops/vendors/fake-github.ts";
import { environmentOf, type RunStep } from "./workflow.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** Values of the expressions that our workflows use in `env`. */
const SECRETS = {
  "secrets.PULUMI_ACCESS_TOKEN": "",
  "secrets.PULUMI_CONFIG_PASSPHRASE": "canary-passphrase",
  "secrets.REGISTRY_PASSWORD": "canary-registry-password",
  "secrets.AWS_ACCESS_KEY_ID": "",
  "secrets.AWS_SECRET_ACCESS_KEY": "",
  "vars.PULUMI_BACKEND_URL": "s3://canary",
};

export interface Finished {
  readonly code: number | null;
  readonly output: string;
}

export interface Runner {
  readonly github: FakeGithub;
  /** Home of the runner's user. */
  readonly home: string;
  readonly temp: string;
  readonly checkout: string;
  /** Folder for fakes of programs. */
  readonly bin: string;
  /** The key of the environment, as the secret holds it. */
  readonly sshKey: string;
  /** Calls of the fake programs, in order. */
  calls(): Promise<readonly string[]>;
  engineCalls(): Promise<readonly Call[]>;
  summary(): Promise<string>;
  run(step: RunStep, values?: Readonly<Record<string, string>>): Promise<Finished>;
  close(): Promise<void>;
}

export async function startRunner(play: Play): Promise<Runner> {
  const engine = await openCheckout(play);
  const github = await startGithub();
  github.issues.push(pullRequest(7));
  const folder = await mkdtemp(join(tmpdir(), "runner-"));
  const [bin, home, temp, checkout] = ["bin", "home", "temp", "checkout"].map((name) =>
    join(folder, name),
  ) as [string, string, string, string];
  for (const made of [bin, home, temp]) await mkdir(made);
  await makeCheckout(checkout, engine.project, engine.bin);
  // Installing and renaming the machine are for a machine of GitHub's; everything else of npm is npm.
  await program(
    join(bin, "npm"),
    `case "$*" in ci | "run tools -- install "*[a-z]) [[ "$*" == *--no* ]] || { echo "npm $*" >> "${folder}/calls"; exit; } ;; esac
exec "${await npm()}" "$@"`,
  );
  execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", join(folder, "key")]);
  const sshKey = await readFile(join(folder, "key"), "utf8");
  await program(join(bin, "sudo"), `echo "sudo $*" >> "${folder}/calls"`);
  const event = join(folder, "event.json");
  await writeFile(event, JSON.stringify({ pull_request: { number: 7 } }));
  await writeFile(join(folder, "calls"), "");
  const lines = async (name: string) => (await readFile(join(folder, name), "utf8")).trim().split("\n");

  return {
    github,
    home,
    temp,
    checkout,
    bin,
    sshKey,
    calls: () => lines("calls"),
    engineCalls: () => engine.calls(),
    summary: async () => await readFile(join(folder, "summary.md"), "utf8").catch(() => ""),
    async run(step, values = {}) {
      const script = join(folder, "step.sh");
      await writeFile(script, step.run);
      const environment = environmentOf(step, {
        ...SECRETS,
        "secrets.SSH_PRIVATE_KEY": sshKey.trimEnd(),
        "github.token": github.environment["GITHUB_TOKEN"] ?? "",
        "matrix.stack": "test",
        "inputs.stack || 'test'": "test",
        "inputs.stack": "test",
        "inputs.emergency_reason": "",
        "inputs.reason": "upload fails",
        "inputs.release": "",
        ...values,
      });
      return await shell(script, checkout, {
        PATH: `${bin}:/usr/local/bin:/usr/bin:/bin`,
        HOME: home,
        RUNNER_TEMP: temp,
        GITHUB_EVENT_PATH: event,
        GITHUB_STEP_SUMMARY: join(folder, "summary.md"),
        GITHUB_ENV: join(folder, "env"),
        GITHUB_REF: values["github.ref"] ?? "refs/heads/main",
        ...jobVariables(github),
        ...(await exported(join(folder, "env"))),
        ...environment,
      });
    },
    async close() {
      await github.close();
      await engine.close();
      await rm(folder, { recursive: true });
    },
  };
}

/** What a job of GitHub's has in its environment. */
function jobVariables(github: FakeGithub): Record<string, string> {
  return {
    CI: "true",
    GITHUB_ACTIONS: "true",
    GITHUB_API_URL: github.url,
    GITHUB_REPOSITORY: github.environment["GITHUB_REPOSITORY"] ?? "",
    GITHUB_SERVER_URL: "https://github.example",
    GITHUB_RUN_ID: "77",
    GITHUB_RUN_ATTEMPT: "2",
    GITHUB_ACTOR: "alice",
  };
}

/** What earlier steps have written for later ones. */
async function exported(file: string): Promise<Record<string, string>> {
  const text = await readFile(file, "utf8").catch(() => "");
  return Object.fromEntries(
    [...text.matchAll(/^([A-Z_]+)=(.*)$/gm)].map(([, name = "", value = ""]) => [name, value] as const),
  );
}

/** The project as it is, but for the Pulumi CLI, which npm finds first in the project's own programs. */
async function makeCheckout(checkout: string, repository: string, engine: string): Promise<void> {
  await mkdir(join(checkout, "node_modules/.bin"), { recursive: true });
  await symlink(join(repository, ".git"), join(checkout, ".git"));
  const left = new Set([".git", "node_modules", ".rehearsal"]);
  for (const name of await readdir(ROOT)) {
    if (!left.has(name)) await symlink(join(ROOT, name), join(checkout, name));
  }
  for (const name of await readdir(join(ROOT, "node_modules"))) {
    if (name !== ".bin")
      await symlink(join(ROOT, "node_modules", name), join(checkout, "node_modules", name));
  }
  for (const name of await readdir(join(ROOT, "node_modules/.bin"))) {
    const original = join(ROOT, "node_modules/.bin", name);
    await symlink(
      name === "pulumi" ? join(engine, "pulumi") : original,
      join(checkout, "node_modules/.bin", name),
    );
  }
}

async function program(file: string, script: string): Promise<void> {
  await writeFile(file, `#!/bin/bash\n${script}\n`);
  await chmod(file, 0o755);
}

/** The machine's npm: the first on PATH that is not one of a project. */
async function npm(): Promise<string> {
  for (const folder of (process.env["PATH"] ?? "").split(":")) {
    const file = join(folder, "npm");
    const exists = await access(file).then(
      () => true,
      () => false,
    );
    if (exists && !dirname(file).includes("node_modules")) return file;
  }
  throw new Error("npm: expected on PATH, got none");
}

function shell(script: string, folder: string, environment: Record<string, string>): Promise<Finished> {
  return new Promise((resolve, reject) => {
    // The runner's own shell where a workflow names none.
    const child = spawn("bash", ["-e", script], {
      cwd: folder,
      env: environment,
      stdio: ["ignore", "pipe", "pipe"],
    });
    let output = "";
    for (const stream of ["stdout", "stderr"] as const) {
      child[stream].setEncoding("utf8").on("data", (text: string) => (output += text));
    }
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, output }));
  });
}
