/** What nobody can be faster than. */
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { run } from "../../common/run.ts";
import { DATACENTRE, ROOT, STATE } from "../addresses.ts";
import { docker } from "../docker.ts";
import { SERVER } from "../world.ts";
import { measure, type Measure } from "./measure.ts";

/** Runs a command as the operator, with further variables. */
export type Operate = (
  command: readonly string[],
  environment?: Readonly<Record<string, string>>,
) => Promise<void>;

/** The engine, its Node.js host and one resource: what any Pulumi program costs. */
export async function measureOneResource(operate: Operate, times: number): Promise<Measure> {
  const folder = await mkdtemp(join(tmpdir(), "technicia-floor-"));
  try {
    await writeProgram(folder);
    const environment = {
      PULUMI_BACKEND_URL: `file://${folder}/state`,
      PULUMI_CONFIG_PASSPHRASE_FILE: join(STATE, "passphrase"),
    };
    const pulumi = (...args: string[]) =>
      operate(["pulumi", "--cwd", folder, "--non-interactive", ...args], environment);
    await pulumi("stack", "init", "floor");
    await pulumi("up", "--yes", "--skip-preview");
    const step = () => pulumi("preview", "--expect-no-changes");
    return await measure("floor: preview of one resource", { step, times });
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function writeProgram(folder: string): Promise<void> {
  const files = {
    "Pulumi.yaml": "name: floor\nruntime: { name: nodejs, options: { typescript: false } }\nmain: index.js\n",
    "package.json": '{ "name": "floor", "type": "module" }\n',
    "index.js":
      'import * as command from "@pulumi/command";\nnew command.local.Command("one", { create: "true" });\n',
  };
  await mkdir(join(folder, "state"));
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
  await symlink(join(ROOT, "node_modules"), join(folder, "node_modules"));
}

/** The same images, networks and volumes, started by a plain script over ssh: what Docker itself takes. */
export async function startPlainly(): Promise<void> {
  const listed = await docker(["exec", SERVER, "docker", "service", "ls", "--format", "{{.Image}}"]);
  const images = listed.trim().split("\n");
  const script = [
    ...images.map((image, at) => `docker run --detach --name plain-${at} --entrypoint sleep ${image} 300`),
    ...images.map((_, at) => `docker rm --force plain-${at}`),
  ].join("\n");
  const trust = ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"];
  const target = ["-i", join(STATE, "id_ed25519"), ...trust, `debian@${DATACENTRE.server}`];
  await run(["ssh", ...target, "sudo bash -es"], { input: script });
}
