import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

import { parse } from "yaml";

import { isUrgent, type Scan, scanFile, type Vulnerability } from "../../common/scan.ts";
import { UserError } from "../../common/user-error.ts";
import { imagesInUse, loginOf } from "../../stacks/images.ts";
import { sections } from "../../stacks/settings-schema.ts";
import { onlyStack, readArguments, type Commands, type Outcome } from "../command.ts";
import { renderTable } from "../terminal.ts";
import { scannerTool } from "../tools/tools.ts";
import { runScanner } from "./scanner.ts";

const PACKAGES = "package-lock.json";

/** The password for the scanner's own login, where no passphrase is there to decrypt the settings' secret. */
const PASSWORD = "TECHNICIA_REGISTRY_PASSWORD";

export const commands: Commands = {
  scan: {
    usage: "npm run scan -- <stack> [--strict]",
    summary: "looks for known vulnerabilities in packages and images, and records them",
    async run(args) {
      const { values, positionals } = readArguments(this.usage, args, {
        strict: { type: "boolean", default: false },
      });
      const stack = onlyStack(this.usage, positionals);
      return await scan(stack, { variables: process.env, now: new Date(), isStrict: values.strict });
    },
  },
};

export interface ScanWorld {
  readonly variables: Readonly<Record<string, string | undefined>>;
  readonly now: Date;
  /** Whether a critical vulnerability that could be fixed, or a subject that could not be scanned, fails the command. */
  readonly isStrict: boolean;
}

/** Scans what the settings file names; it reads no secret and calls no engine. */
export async function scan(stack: string, { variables, now, isStrict }: ScanWorld): Promise<Outcome> {
  const { images, login } = await readImages(stack, variables);
  const subjects: Scan["subjects"] = [];
  const add = async (subject: { readonly name: string; readonly reference: string }, source: string) => {
    try {
      const vulnerabilities = await runScanner({ source, login, variables });
      subjects.push({ ...subject, vulnerabilities });
    } catch (error) {
      if (!(error instanceof UserError) || error.message.includes("npm run tools")) throw error;
      subjects.push({ ...subject, problem: error.message, vulnerabilities: [] });
    }
  };
  const folder = await mkdtemp(join(tmpdir(), "technicia-scan-"));
  try {
    // The lock file alone: what npm installed beside it is the same, once more.
    await copyFile(PACKAGES, join(folder, PACKAGES));
    await add({ name: PACKAGES, reference: PACKAGES }, `dir:${folder}`);
  } finally {
    await rm(folder, { recursive: true });
  }
  for (const { service, name } of images) await add({ name: service, reference: name }, `registry:${name}`);

  const { name, version } = scannerTool({ os: "", arch: "" });
  const record: Scan = { format: 1, at: now.toISOString(), scanner: `${name} ${version}`, subjects };
  await mkdir(dirname(scanFile(stack)), { recursive: true });
  await writeFile(scanFile(stack), `${JSON.stringify(record, undefined, 2)}\n`);
  const isBad = subjects.some(
    ({ problem, vulnerabilities }) => problem !== undefined || vulnerabilities.some(isUrgent),
  );
  return {
    text: `${renderScan(record)}\n\nrecorded in ${scanFile(stack)}`,
    exitCode: isStrict && isBad ? 1 : 0,
  };
}

async function readImages(stack: string, variables: ScanWorld["variables"]) {
  const path = `Pulumi.${stack}.yaml`;
  const text = await readFile(path, "utf8").catch(() => {
    throw new UserError(
      `${path}: expected the settings of a stack, got no such file; check the stack's name`,
    );
  });
  const { config = {} } = parse(text) as { config?: Readonly<Record<string, unknown>> };
  const images = sections.images.safeParse(config["technicia:images"]);
  const services = sections.services.safeParse(config["technicia:services"]);
  const backup = sections.backup.safeParse(config["technicia:backup"]);
  const monitoring = sections.monitoring.safeParse(config["technicia:monitoring"]);
  if (!images.data || !services.data || !backup.data || !monitoring.data)
    throw new UserError(
      `${path}: expected images, services, backup and monitoring without faults, got some; npm run preview -- ${stack} names them`,
    );
  const { registry, registryUser, sources, ...names } = images.data;
  const builds = { registry, registryUser, sources };
  return {
    images: imagesInUse({
      name: stack,
      images: names,
      ...{ services: services.data, backup: backup.data, monitoring: monitoring.data },
    }),
    login: loginOf({ builds }, variables[PASSWORD]),
  };
}

function renderScan({ subjects }: Scan): string {
  const of = (all: readonly Vulnerability[], severity: string) =>
    String(all.filter((one) => one.severity === severity).length);
  const table = renderTable({
    headings: ["Subject", "Critical", "High", "Critical and fixable"],
    rows: subjects.map(({ name, problem, vulnerabilities }) =>
      problem === undefined
        ? [name, of(vulnerabilities, "Critical"), of(vulnerabilities, "High"), urgent(vulnerabilities)]
        : [name, "?", "?", problem],
    ),
  });
  return table;
}

function urgent(vulnerabilities: readonly Vulnerability[]): string {
  return vulnerabilities
    .filter(isUrgent)
    .map(({ id, package: name, version, fixedIn }) => `${id}: ${name} ${version}, fixed in ${fixedIn[0]}`)
    .join("; ");
}
