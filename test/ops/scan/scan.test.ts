import { chmod, cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { scan as schema, scanFile } from "../../../common/scan.ts";
import { scan } from "../../../ops/scan/commands.ts";
import { readReport } from "../../../ops/scan/scanner.ts";
import { scannerTool } from "../../../ops/tools/tools.ts";

const ROOT = new URL("../../../", import.meta.url).pathname;
const RECORDED = new URL("recorded/nginx.grype.json", import.meta.url).pathname;
const NOW = new Date("2026-11-26T10:00:00Z");

let folder: string;

/** Answers with the recorded report; images of n8n's cannot be pulled. Notes its arguments and its environment. */
const GRYPE = `#!/bin/bash
root=$(dirname "$0")
echo "$*" >> "$root/calls"
env >> "$root/environment"
if [[ $1 == registry:n8nio/* ]]; then echo "could not pull" >&2; exit 1; fi
if [[ $1 == dir:* ]]; then ls "\${1#dir:}" > "$root/packages"; echo '{"matches":[]}'; else cat "${RECORDED}"; fi
`;

const scannerFolder = () =>
  join(folder, "cache/technicia/tools", `grype-${scannerTool({ os: "", arch: "" }).version}`);
const made = (name: string) => readFile(join(scannerFolder(), name), "utf8");
const run = (isStrict = false) => {
  const variables = { PATH: process.env["PATH"], XDG_CACHE_HOME: join(folder, "cache") };
  return scan("test", { now: NOW, isStrict, variables });
};

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "scan-"));
  await mkdir(scannerFolder(), { recursive: true });
  await writeFile(join(scannerFolder(), "grype"), GRYPE);
  await chmod(join(scannerFolder(), "grype"), 0o755);
  for (const file of ["package-lock.json", "Pulumi.test.yaml"])
    await cp(join(ROOT, file), join(folder, file));
  process.chdir(folder);
});
afterEach(async () => {
  process.chdir(ROOT);
  await rm(folder, { recursive: true });
});

describe("readReport", () => {
  it("keeps what is critical or high, each once, with the versions that fix it", async () => {
    expect(readReport(await readFile(RECORDED, "utf8"))).toEqual([
      {
        id: "CVE-2026-1111",
        severity: "Critical",
        package: "libssl3",
        version: "3.0.16-1~deb12u1",
        fixedIn: ["3.0.17-1~deb12u2"],
      },
      { id: "CVE-2026-2222", severity: "Critical", package: "zlib1g", version: "1:1.2.13", fixedIn: [] },
      {
        id: "GHSA-aaaa-bbbb-cccc",
        severity: "High",
        package: "left",
        version: "2.0.0",
        fixedIn: ["2.0.1"],
      },
    ]);
  });
});

describe("npm run scan", () => {
  it("scans the packages and every image that the stack runs, and records what it found", async () => {
    const { text, exitCode } = await run();

    const record = schema.parse(JSON.parse(await readFile(join(folder, scanFile("test")), "utf8")));
    expect(exitCode).toBe(0);
    expect(await made("packages")).toBe("package-lock.json\n");
    expect(record).toMatchObject({
      at: NOW.toISOString(),
      scanner: expect.stringMatching(/^grype /) as string,
    });
    const names = record.subjects.map(({ name }) => name);
    expect(names).toEqual(expect.arrayContaining(["package-lock.json", "qdrant", "vectorStore", "certbot"]));
    // These services are off.
    expect(names).not.toContain("frontend");
    expect(text).toMatch(/CVE-2026-1111: libssl3 3\.0\.16-1~deb12u1, fixed in\s+3\.0\.17-1~deb12u2/);
  });

  it("fails for what it found only when it is to be strict", async () => {
    expect((await run(true)).exitCode).toBe(1);
  });

  it("records why an image could not be scanned", async () => {
    await run();

    const record = schema.parse(JSON.parse(await readFile(join(folder, scanFile("test")), "utf8")));
    expect(record.subjects.find(({ name }) => name === "n8n")).toMatchObject({ problem: "could not pull" });
  });

  it("gives the scanner no secret of the environment", async () => {
    vi.stubEnv("PULUMI_CONFIG_PASSPHRASE", "canary-passphrase");
    vi.stubEnv("AWS_SECRET_ACCESS_KEY", "canary-key");
    await run();

    expect(await made("environment")).toContain("PATH=");
    expect(await made("environment")).not.toContain("canary");
  });

  it("says how to install a missing scanner", async () => {
    await rm(scannerFolder(), { recursive: true });

    await expect(run()).rejects.toThrow("install it with npm run tools -- install scanner");
  });
});
