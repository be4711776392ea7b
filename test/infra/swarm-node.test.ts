import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { tryRun } from "../../common/run.ts";
import { scriptParts } from "../../common/script.ts";

const { observe, apply } = scriptParts(new URL("../../infra/scripts/swarm-node.sh", import.meta.url), [
  "observe",
  "apply",
]);

/** A Docker client that keeps its words, and answers as one on a Swarm's manager with two labels. */
const DOCKER = `#!/bin/bash
echo "$*" >> "$FOLDER/calls"
case $* in
  info*) cat "$FOLDER/manages" ;;
  "node inspect self --format {{.ID}}") echo abc ;;
  "node inspect self"*println*) printf 'a\\nb\\n' ;;
  "node inspect self"*) echo "drain, manager, labels: a=1 b=2" ;;
  "service ls"*) if [ -e "$FOLDER/started" ]; then echo 1/1; else touch "$FOLDER/started"; printf '1/1\\n0/1\\n'; fi ;;
esac
`;

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "technicia-docker-"));
  await writeFile(join(folder, "docker"), DOCKER);
  await chmod(join(folder, "docker"), 0o755);
  await writeFile(join(folder, "manages"), "true\n");
});
afterEach(() => rm(folder, { recursive: true }));

async function run(text: string): Promise<string> {
  const environment = { FOLDER: folder, PATH: `${folder}:${process.env["PATH"]}` };
  const { code, stdout, stderr } = await tryRun(["bash", "-euo", "pipefail", "-c", text], { environment });
  expect(code, stderr).toBe(0);
  return stdout.trim();
}

describe("the Swarm's node", () => {
  it("is not there on a server that manages no Swarm", async () => {
    await writeFile(join(folder, "manages"), "false\n");

    expect(await run(observe)).toBe("");
    expect(await readFile(join(folder, "calls"), "utf8")).not.toContain("node inspect");
  });

  it("takes tasks again without labels, and is done once every service has its tasks", async () => {
    expect(await run(observe)).toBe("drain, manager, labels: a=1 b=2");
    await run(apply);
    const calls = (await readFile(join(folder, "calls"), "utf8")).trim().split("\n");

    expect(calls).toContain("node update --availability active --role manager --label-rm a --label-rm b abc");
    expect(calls.filter((call) => call.startsWith("service ls"))).toHaveLength(2);
  });
});
