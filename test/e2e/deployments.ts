/** Deployments as an operator makes them, and what is recorded of them. */
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

import { expect } from "vitest";

import type { AuditEvent, Release } from "../../common/release.ts";
import { ROOT } from "../../rehearsal/addresses.ts";
import { ensureAccounts } from "../../rehearsal/stack-settings.ts";
import { onServer, operator } from "./rehearsal.ts";

/** Key of the image that the tests deploy other versions of. */
export const IMAGE = "technicia:images.vectorStore";

export const npm = (...args: string[]) => operator(["npm", "run", "--silent", ...args]);
export const deploy = (...args: string[]) => npm("deploy", "--", "test", "--yes", ...args);
export const runningImage = () =>
  onServer(
    "docker service inspect technicia-vector-store --format '{{.Spec.TaskTemplate.ContainerSpec.Image}}'",
  );

export async function lastRelease(): Promise<Release> {
  const { releases } = await history();
  return releases.at(-1)!;
}

export async function history(): Promise<{ releases: Release[]; events: AuditEvent[] }> {
  const { code, stdout, stderr } = await npm("history", "--", "test", "--json");
  expect(code, stderr).toBe(0);
  return JSON.parse(stdout) as { releases: Release[]; events: AuditEvent[] };
}

/** Starts a deployment as its own process, and calls `onLine` with each line. */
export function startDeploy(onLine: (line: string, kill: () => void) => void): Promise<number | null> {
  return start("deploy", onLine);
}

/** The same for another command that changes the stack `test`. */
export function start(
  command: string,
  onLine: (line: string, kill: () => void) => void,
): Promise<number | null> {
  return new Promise((resolve, reject) => {
    const child = spawn(
      "npm",
      ["run", "--silent", "rehearsal:exec", "--", "npm", "run", "--silent", command, "--", "test", "--yes"],
      {
        cwd: ROOT,
        detached: true,
        stdio: ["ignore", "pipe", "pipe"],
      },
    );
    const kill = () => process.kill(-(child.pid ?? 0), "SIGKILL");
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on("line", (line) => onLine(line, kill));
    }
    child.on("error", reject);
    child.on("close", resolve);
  });
}

/** As the account's owner, who makes a key for the set-up, and takes the one of every day again. */
export async function useOvhKey(name: "ovhFirstConsumerKey" | "ovhConsumerKey"): Promise<void> {
  const key = ["--secret", "technicia:ovhConsumerKey", (await ensureAccounts())[name]];
  const { code, stderr } = await operator(["pulumi", "config", "set", ...key, "--stack", "test"]);
  expect(code, stderr).toBe(0);
}
