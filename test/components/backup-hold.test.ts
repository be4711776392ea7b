import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { HELD, HOLD_SCRIPT, STOPPING_N8N } from "../../common/hold.ts";
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
restore.say = lambda line: print("says", line)
restore.REPLACE = {name: lambda journal: {} for name in restore.WRITERS}
restore.save = restore.write_json = restore.remove = lambda *args, **options: None
restore.read_json = lambda path: {}
restore.finish({"set": "0" * 64, "only": [${JSON.stringify(only)}], "done": [], "keep": False, "operation": "x"}, restore.now())
`;
  const printed = await run(["python3", "-B", "-"], { input: program });
  const lines = printed.trim().split("\n");
  const [said, happened] = [true, false].map((is) => lines.filter((line) => line.startsWith("says ") === is));
  return { said: said!, happened: happened! };
}

describe("the end of a restore", () => {
  it("has the requests to n8n held before n8n stops", async () => {
    const { happened } = await finish({ only: "n8n", script: "echo paused 60.0 0 0" });

    expect(happened).toEqual([...[HELD, "stop technicia-n8n", "start technicia-n8n"]]);
  });

  it.each([
    ["the gateway holds nothing", "echo open 0.0 0 0"],
    ["the gateway cannot hold requests", undefined],
  ])("goes on without a word where %s", async (_why, script) => {
    const { happened } = await finish({ only: "n8n", ...(script === undefined ? {} : { script }) });

    expect(happened).toEqual(["stop technicia-n8n", "start technicia-n8n"]);
  });

  it("goes on and says why where the gateway does not answer", async () => {
    const { happened } = await finish({ only: "n8n", script: "echo no container >&2; exit 1" });
    const [first, ...rest] = happened;

    expect(first).toMatch(/^the requests to n8n are not held: .*no container/);
    expect(rest).toEqual(["stop technicia-n8n", "start technicia-n8n"]);
  });

  it("holds nothing where n8n goes on", async () => {
    const { happened } = await finish({ only: "qdrant", script: "echo paused 60.0 0 0" });

    expect(happened).toEqual([...["stop technicia-vector-store", "start technicia-vector-store"]]);
  });

  it("says that it stops n8n, for gateways of other servers", async () => {
    const { said } = await finish({ only: "n8n" });

    expect(said[0]).toBe(`says ${STOPPING_N8N}`);
  });
});
