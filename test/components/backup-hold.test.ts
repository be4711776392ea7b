import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { HELD, HOLD_SCRIPT } from "../../common/hold.ts";
import { run } from "../../common/run.ts";

const PROGRAM = fileURLToPath(new URL("../../components/scripts/backup", import.meta.url));

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "backup-hold-"));
});
afterEach(() => rm(folder, { recursive: true }));

/** Runs a restore's end with doubles of what it stops and starts, and prints what happens in order. */
async function finish({ only, script }: { readonly only: string; readonly script?: string }) {
  const file = join(folder, "gateway-hold");
  if (script !== undefined) {
    await writeFile(file, `#!/bin/sh\necho "gateway-hold $1" >&2\n${script}\n`);
    await chmod(file, 0o755);
  }
  const program = `
import pathlib, sys
sys.path.insert(0, ${JSON.stringify(PROGRAM)})
import containers, restore
assert str(containers.HOLD) == ${JSON.stringify(HOLD_SCRIPT)}, containers.HOLD
containers.HOLD = pathlib.Path(${JSON.stringify(file)})
restore.is_known = lambda service: True
restore.stop = lambda service: print("stop", service)
restore.start = lambda service, image: print("start", service)
containers.say = lambda line: print(line)
restore.REPLACE = {name: lambda journal: {} for name in restore.WRITERS}
restore.save = restore.write_json = restore.remove = lambda *args, **options: None
restore.read_json = lambda path: {}
restore.finish({"set": "0" * 64, "only": [${JSON.stringify(only)}], "done": [], "keep": False, "operation": "x"}, restore.now())
`;
  const printed = await run(["python3", "-B", "-"], { input: program });
  return printed.trim().split("\n");
}

describe("the end of a restore", () => {
  it("has the requests to n8n held before n8n stops", async () => {
    expect(await finish({ only: "n8n", script: "echo paused 60.0 0 0" })).toEqual([
      ...[HELD, "stop technicia-n8n", "start technicia-n8n"],
    ]);
  });

  it.each([
    ["the gateway holds nothing", "echo open 0.0 0 0"],
    ["the gateway cannot hold requests", undefined],
  ])("goes on without a word where %s", async (_why, script) => {
    const lines = await finish({ only: "n8n", ...(script === undefined ? {} : { script }) });

    expect(lines).toEqual(["stop technicia-n8n", "start technicia-n8n"]);
  });

  it("goes on and says why where the gateway does not answer", async () => {
    const [first, ...rest] = await finish({ only: "n8n", script: "echo no container >&2; exit 1" });

    expect(first).toMatch(/^the requests to n8n are not held: .*no container/);
    expect(rest).toEqual(["stop technicia-n8n", "start technicia-n8n"]);
  });

  it("holds nothing where n8n goes on", async () => {
    expect(await finish({ only: "qdrant", script: "echo paused 60.0 0 0" })).toEqual([
      ...["stop technicia-vector-store", "start technicia-vector-store"],
    ]);
  });
});
