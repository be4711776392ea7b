import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { monitoringProgram } from "./monitoring-programs.ts";

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "technicia-programs-"));
  vi.stubEnv("MONITORING_PROGRAMS", folder);
});
afterEach(() => rm(folder, { recursive: true }));

async function writeProgram(name: string, answer: string): Promise<string> {
  const file = join(folder, name);
  await writeFile(file, `#!/bin/sh\necho '${answer}'\n`);
  await chmod(file, 0o755);
  return file;
}

describe("a program from the folder that MONITORING_PROGRAMS names", () => {
  it("is taken in the version of the rehearsal", async () => {
    const file = await writeProgram("amtool", "amtool, version 0.28.1+ds (branch: debian/sid)");

    expect(await monitoringProgram("amtool")).toBe(file);
  });

  it("is refused in another version", async () => {
    await writeProgram("vmalert", "vmalert-v1.112.0");

    await expect(monitoringProgram("vmalert")).rejects.toThrow(
      /vmalert: expected vmalert v1\.151\.0, got "vmalert-v1\.112\.0"$/,
    );
  });
});
