/** Drifts on a clean environment: found by one check, repaired by one repair, quiet after it. */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { expect } from "vitest";

import { driftReport, type DriftReport } from "../../ops/drift/report.ts";
import { INTERNET, STATE } from "../../rehearsal/addresses.ts";
import type { Ended } from "../../common/run.ts";
import { told, type Drift } from "./drifts.ts";
import { onServer, operator, pulumi } from "./rehearsal.ts";

const MANAGEMENT = `http://${INTERNET.clouds}:8090`;

interface CloudState {
  readonly ovh: { readonly servers: readonly { readonly serviceName: string }[] };
  readonly cloudflare: {
    readonly zones: readonly {
      readonly records: readonly { readonly id: string; readonly type: string; readonly name: string }[];
    }[];
  };
}

async function drift(...args: string[]): Promise<{ readonly outcome: Ended; readonly report: DriftReport }> {
  const outcome = await operator(["npm", "run", "--silent", "drift", "--", "test", "--json", ...args]);
  if (!outcome.stdout.trim().startsWith("{")) {
    throw new Error(`npm run drift ended with ${outcome.code}\n${outcome.stdout}\n${outcome.stderr}`);
  }
  return { outcome, report: driftReport.parse(JSON.parse(outcome.stdout)) };
}

async function tamper({ where, command }: Drift["tamper"]): Promise<void> {
  if (where === "server" || where === "docker") {
    await onServer(`set -e; ${command}`);
    return;
  }
  const [, method = "", path = "", body = ""] = /^(\S+) (.*?)(?: (\{".*\}))?$/.exec(command) ?? [];
  const response = await fetch(`${MANAGEMENT}${await withIds(path)}`, {
    method,
    ...(body === "" ? {} : { body }),
  });
  if (!response.ok) throw new Error(`${command}: ${response.status} ${await response.text()}`);
}

/** The fake clouds give the ids, which change with every record. */
async function withIds(path: string): Promise<string> {
  const state = (await (await fetch(`${MANAGEMENT}/state`)).json()) as CloudState;
  return path.replaceAll(/\{([^}]+)\}/g, (_, wanted: string) => {
    if (wanted === "vps") return state.ovh.servers[0]?.serviceName ?? "";
    const [type, name] = wanted.split(" ");
    const records = state.cloudflare.zones.flatMap((zone) => zone.records);
    const found = records.find((record) => record.type === type && record.name === name);
    if (!found)
      throw new Error(
        `expected a record ${wanted}, got ${records.map((one) => `${one.type} ${one.name}`).join(", ")}`,
      );
    return found.id;
  });
}

/** Expects that there is none. */
export async function expectNoDrift(): Promise<void> {
  const { outcome, report } = await drift();

  expect(report).toMatchObject({ outcome: "clean", findings: [], gaps: [] });
  expect(outcome.code).toBe(0);
  console.log(`a quiet check took ${report.seconds} s`);
}

/** What makes the state agree with what exists. */
export const ABSORPTIONS = {
  "a refresh": async () => {
    const { code, stdout, stderr } = await pulumi("refresh", "--yes", "--skip-preview");
    // Without n8n its owner cannot be read; the rest is in the state all the same.
    const isAbsorbed = code === 0 || /n8n-owner \*\*refreshing failed\*\*[^]*- \d+ deleted/.test(stdout);
    expect(isAbsorbed, `${stdout}\n${stderr}`).toBe(true);
  },
  "an update that fails once it has read everything": () =>
    inFolder(async (folder) => {
      const file = join(folder, "Pulumi.test.yaml");
      const settings = await readFile(join(STATE, "Pulumi.test.yaml"), "utf8");
      await writeFile(file, settings.replace(/^( *technicia:adminEmail:).*$/m, "$1 nobody"));
      const options = ["--refresh", "--yes", "--skip-preview", "--config-file", file];
      const { code, stdout, stderr } = await pulumi("up", ...options);
      expect([code === 0, stdout.includes("adminEmail")], stderr).toEqual([false, true]);
    }),
  "an import of a state that has taken it in": () =>
    inFolder(async (folder) => {
      const file = join(folder, "state.json");
      await pulumi("refresh", "--yes", "--skip-preview");
      await pulumi("stack", "export", "--file", file);
      const { code, stderr } = await pulumi("stack", "import", "--file", file);
      expect(code, stderr).toBe(0);
    }),
};

async function inFolder(work: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "technicia-state-"));
  try {
    await work(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** Adds what somebody else needs, and expects that no check names it and no repair deletes it. */
export async function expectLeftAlone(records: readonly string[]): Promise<void> {
  const path = "/cloudflare/zone/technicia.example/record";
  const made: { readonly id: string }[] = [];
  for (const record of records) {
    const response = await fetch(`${MANAGEMENT}${path}`, { method: "POST", body: record });
    made.push((await response.json()) as { id: string });
  }
  try {
    await expectNoDrift();
    await drift("--repair", "--yes");
    const state = (await (await fetch(`${MANAGEMENT}/state`)).json()) as CloudState;
    const left = state.cloudflare.zones.flatMap((zone) => zone.records.map(({ id }) => id));
    expect(made.filter(({ id }) => !left.includes(id))).toEqual([]);
  } finally {
    for (const { id } of made) await fetch(`${MANAGEMENT}${path}/${id}`, { method: "DELETE" });
  }
}

/** Tampers, and expects exactly its findings, one repair or what a person types, and nothing after it; `absorb` comes before the check. */
export async function expectFoundAndRepaired(
  drifts: readonly Drift[],
  absorb?: () => Promise<void>,
): Promise<void> {
  const tampered: Drift[] = [];
  try {
    for (const one of drifts) {
      await tamper(one.tamper);
      tampered.push(one);
    }
    await absorb?.();
    const { outcome, report } = await drift();
    const findings = report.findings.map(told);
    const patterns = drifts.flatMap(({ expect: expected }) => expected);
    const isFound = (pattern: RegExp) => findings.some((finding) => pattern.test(finding));
    const context = `${findings.join("\n")}\n${JSON.stringify(report.gaps, null, 2)}\n${outcome.stderr}`;
    expect(patterns.filter((pattern) => !isFound(pattern)).map(String), context).toEqual([]);
    expect(
      findings.filter((finding) => !patterns.some((pattern) => pattern.test(finding))),
      context,
    ).toEqual([]);
    // A refresh removes from the state on what a gap depends, so that no finding explains it any more.
    const isUnexplained = absorb !== undefined && report.gaps.some(({ because }) => because === undefined);
    expect(outcome.code, context).toBe(isUnexplained ? 1 : 7);
  } finally {
    for (const { byHand } of tampered) if (byHand !== undefined) await onServer(byHand);
    // Also after a failure, so that the next one begins on a clean environment.
    const { outcome, report } = await drift("--repair", "--yes");
    expect(report.findings.map(told), outcome.stderr).toEqual([]);
    expect(outcome.code, outcome.stderr).toBe(0);
  }
}
