/** Programs of the monitoring for tests that run them on the loopback: the same that the rehearsal's images hold. */
import { mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";

import { cacheFolder } from "../../common/cache-folder.ts";
import { run, tryRun } from "../../common/run.ts";
import { isExecutable } from "../../rehearsal/engine/programs.ts";
import { prepareImage } from "../../rehearsal/images/build.ts";
import { RECIPES } from "../../rehearsal/images/catalog.ts";
import {
  buildProgram,
  isProgramName,
  type ProgramName,
  programVersion,
} from "../../rehearsal/images/programs.ts";

/** Programs of Debian's packages: the image that has each, and its path there. */
const PACKAGED = {
  alertmanager: { image: "alertmanager", path: "/usr/bin/prometheus-alertmanager" },
  amtool: { image: "alertmanager", path: "/usr/bin/amtool" },
  "blackbox-exporter": { image: "blackbox-exporter", path: "/usr/bin/prometheus-blackbox-exporter" },
} as const;
type PackagedName = keyof typeof PACKAGED;

export type MonitoringProgramName = ProgramName | PackagedName;

/** Debian's Alertmanager reads its templates from this folder only, and this machine does not have it. */
const TEMPLATES = "/usr/share/prometheus";
const WITH_TEMPLATES = `#!/bin/sh
here=$(dirname "$(readlink -f "$0")")
exec unshare --mount sh -c '
  mount -t overlay overlay -o "lowerdir=$1/share:/usr/share" /usr/share && shift && exec "$@"
' sh "$here" "$here/prometheus-alertmanager" "$@"
`;

const found = new Map<MonitoringProgramName, Promise<string>>();

/**
 * Path of a program in the version that the rehearsal deploys.
 *
 * The folder that the variable MONITORING_PROGRAMS names has it, if that is set. Otherwise it is built, or copied out of its image, once on a
 * machine. Alertmanager, amtool and the blackbox exporter need Docker for that, and Alertmanager needs root wherever it runs.
 */
export function monitoringProgram(name: MonitoringProgramName): Promise<string> {
  const program = found.get(name) ?? find(name);
  found.set(name, program);
  return program;
}

async function find(name: MonitoringProgramName): Promise<string> {
  const folder = process.env["MONITORING_PROGRAMS"] ?? "";
  const file = folder === "" ? await prepare(name) : join(folder, name);
  await requireVersion(name, file);
  return file;
}

function prepare(name: MonitoringProgramName): Promise<string> {
  return isProgramName(name) ? buildProgram(name, { progress: () => undefined }) : copyOut(name);
}

async function requireVersion(name: MonitoringProgramName, file: string): Promise<void> {
  const version = isProgramName(name) ? await programVersion(name) : packagedVersion(name);
  const command = name === "mailpit" ? ["version", "--no-release-check"] : ["--version"];
  const { stdout, stderr } = await tryRun([file, ...command]);
  const answer = stdout + stderr;
  if (answer.includes(version)) return;
  // One that was built without a version still knows those of its modules.
  const { stdout: modules } = await tryRun(["go", "version", "-m", file]);
  if (modules.split("\n").some((line) => /^\t(mod|dep)\t/.test(line) && line.includes(`\t${version}\t`)))
    return;
  const got = answer.trim().split("\n")[0] ?? "";
  throw new Error(`${file}: expected ${name} ${version}, got "${got}"`);
}

function packagedVersion(name: PackagedName): string {
  const { image } = PACKAGED[name];
  const version = RECIPES[image]?.values?.["VERSION"];
  if (version === undefined) throw new Error(`${image}: expected its recipe to have a version`);
  return version;
}

async function copyOut(name: PackagedName): Promise<string> {
  const { image, path } = PACKAGED[name];
  const tag = await prepareImage(image, { progress: () => undefined });
  const parent = join(cacheFolder(), "monitoring");
  const folder = join(parent, `${name}-${tag.split(":").at(-1) ?? ""}`);
  const file = join(folder, name);
  if (await isExecutable(file)) return file;

  await mkdir(parent, { recursive: true });
  const scratch = await mkdtemp(join(parent, "copy-"));
  try {
    await copyFrom(tag, path, join(scratch, basename(path)));
    if (name === "alertmanager") {
      await mkdir(join(scratch, "share"));
      await copyFrom(tag, TEMPLATES, join(scratch, "share", basename(TEMPLATES)));
      await writeFile(join(scratch, name), WITH_TEMPLATES, { mode: 0o755 });
    } else if (basename(path) !== name) {
      await rename(join(scratch, basename(path)), join(scratch, name));
    }
    // Fails where another test has just done the same.
    await rename(scratch, folder).catch(async (error: unknown) => {
      if (!(await isExecutable(file))) throw error;
    });
    return file;
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

async function copyFrom(image: string, path: string, target: string): Promise<void> {
  const container = (await run(["docker", "create", "--label", "technicia.rehearsal=1", image])).trim();
  try {
    await run(["docker", "cp", `${container}:${path}`, target]);
  } finally {
    await run(["docker", "rm", container]);
  }
}
