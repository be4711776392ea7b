/** A checkout of its own, with a fake Pulumi CLI that plays a recorded run. */
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

import { installPulumi, runMain, type Call, type Run } from "../../support/fake-pulumi.ts";
import { diffText, eventLog, savedPlan, type Recording } from "./recorded.ts";

export interface Play {
  readonly recording: Recording;
  /** Replaces the recorded texts. */
  readonly events?: string;
  readonly diff?: string;
  /** What the CLI prints on standard error as it fails. */
  readonly stderr?: string;
  /** What it prints there until `pulumi cancel` is called. */
  readonly locked?: string;
  readonly secrets?: Readonly<Record<string, string>>;
}

export interface Checkout {
  /** Folder of the fake CLI, for PATH. */
  readonly bin: string;
  /** A git checkout with one commit. */
  readonly project: string;
  calls(): Promise<readonly Call[]>;
  play(what: Play): Promise<void>;
  /** Runs our command line in the checkout. */
  run(args: readonly string[], environment?: Readonly<Record<string, string>>): Promise<Run>;
  close(): Promise<void>;
}

export async function openCheckout(first: Play): Promise<Checkout> {
  const folder = await mkdtemp(join(tmpdir(), "fake-engine-"));
  const [bin, project] = [join(folder, "bin"), join(folder, "project")];
  await mkdir(bin);
  await mkdir(project);
  await commit(project);
  const pulumi = await installPulumi(bin);
  const checkout: Checkout = {
    bin,
    project,
    calls: () => pulumi.calls(),
    play: ({ recording, events, diff, secrets = {}, ...failures }) =>
      pulumi.answer({
        config: { stdout: JSON.stringify(settings(secrets)) },
        "stack ls": { stdout: LISTED },
        "stack output": { stdout: "{}" },
        preview: {
          stdout: diff ?? diffText(recording),
          events: events ?? eventLog(recording),
          plan: savedPlan(),
          ...failures,
        },
      }),
    run: (args, environment = {}) =>
      runMain(args, { cwd: project, env: { PATH: `${bin}:/usr/bin:/bin`, HOME: folder, ...environment } }),
    close: () => rm(folder, { recursive: true }),
  };
  await checkout.play(first);
  return checkout;
}

const LISTED = JSON.stringify([{ name: "test", current: true, lastUpdate: "2026-11-21T07:06:22.814Z" }]);

function settings(secrets: Readonly<Record<string, string>>) {
  const values = Object.entries(secrets).map(([name, value]) => [name, { secret: true, value }]);
  return {
    "technicia:domain": { secret: false, value: "test.technicia.example" },
    ...Object.fromEntries(values),
  } as object;
}

/** One commit, by whoever runs the tests. */
async function commit(project: string): Promise<void> {
  const git = (...args: string[]) =>
    promisify(execFile)("git", ["-c", "user.name=test", "-c", "user.email=test@technicia.example", ...args], {
      cwd: project,
    });
  await writeFile(join(project, "Pulumi.yaml"), "name: technicia\n");
  await git("init", "--quiet");
  await git("add", ".");
  await git("commit", "--quiet", "--message", "Begin");
}
