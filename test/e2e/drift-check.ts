/** One drift, alone on a clean environment: found by one check, repaired by one repair, quiet after it. */
import { expect } from "vitest";

import { driftReport, type DriftReport } from "../../ops/drift/report.ts";
import { INTERNET } from "../../rehearsal/addresses.ts";
import type { Ended } from "../../common/run.ts";
import { told, type Drift } from "./drifts.ts";
import { onServer, operator } from "./rehearsal.ts";

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

/** Tampers, and expects exactly its findings, one repair, and nothing after it. */
export async function expectFoundAndRepaired({ tamper: change, expect: patterns }: Drift): Promise<void> {
  await tamper(change);
  try {
    const { outcome, report } = await drift();
    const findings = report.findings.map(told);
    const context = `${findings.join("\n")}\n${JSON.stringify(report.gaps, null, 2)}\n${outcome.stderr}`;
    for (const pattern of patterns) {
      expect(
        findings.some((finding) => pattern.test(finding)),
        `${pattern.source}\n${context}`,
      ).toBe(true);
    }
    expect(
      findings.filter((finding) => !patterns.some((pattern) => pattern.test(finding))),
      context,
    ).toEqual([]);
    expect(outcome.code, context).toBe(7);
  } finally {
    // Also after a failure, so that the next one begins on a clean environment.
    const { outcome, report } = await drift("--repair", "--yes");
    expect(report.findings.map(told), outcome.stderr).toEqual([]);
    expect(outcome.code, outcome.stderr).toBe(0);
  }
}
