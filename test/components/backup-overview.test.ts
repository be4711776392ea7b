/** The program's overview of the sets, with answers of restic as it gives them. */
import { fileURLToPath } from "node:url";

import { expect, it } from "vitest";

import { run } from "../../common/run.ts";
import { overview } from "../../ops/backup/program.ts";

const PROGRAM = fileURLToPath(new URL("../../components/scripts/backup", import.meta.url));

const SETS = [1, 2, 3].map((day) => ({
  ...{ id: String(day).repeat(64), time: `2026-11-2${day}T09:00:00Z`, tags: ["scheduled"] },
  summary: { total_bytes_processed: day * 1000, data_added_packed: day * 100 },
}));
const DRILL = {
  set: SETS[1]!.id,
  at: "2026-11-22T02:30:00Z",
  took: 9,
  passed: true,
  findings: [],
  counts: {},
};

/** Runs the program with these sets, and gives its answer and what restic was asked. */
async function look(sets: readonly object[]): Promise<{ answer: unknown; asked: string[][] }> {
  const answers = {
    snapshots: sets,
    forget: [{ keep: [], remove: [SETS[0]] }, { remove: null }],
    stats: { total_size: 5000 },
  };
  const script = `
import json, sys, types
sys.path.insert(0, sys.argv[1])
import main, sets, storage
answers, drills = json.loads(sys.argv[2]), json.loads(sys.argv[3])
asked = []
def restic(arguments, *, key, **_):
    asked.append([key, *arguments])
    return types.SimpleNamespace(stdout=json.dumps(answers[arguments[0]]).encode(), returncode=0)
storage.restic = restic
storage.settings = lambda: {"stack": "prod"}
sets.read_json = lambda path: {"drills": drills}
sys.argv = ["main.py", "overview", "--keep", "hourly=2d", "--keep", "daily=35d"]
print(json.dumps({"answer": main.act(main.read_arguments()), "asked": asked}))`;
  const words = [PROGRAM, JSON.stringify(answers), JSON.stringify([DRILL])];
  return JSON.parse(await run(["python3", "-B", "-c", script, ...words])) as {
    answer: unknown;
    asked: string[][];
  };
}

it("has every set, newest first, with its rehearsal and what a prune by the given policy does to it", async () => {
  const { answer, asked } = await look(SETS);
  const { sets, stored } = overview.parse(answer);

  expect(sets.map(({ id, size, sent, goes }) => [id[0], size, sent, goes])).toEqual([
    ["3", 3000, 300, false],
    ["2", 2000, 200, false],
    ["1", 1000, 100, true],
  ]);
  expect(sets.map(({ drill }) => drill?.passed)).toEqual([undefined, true, undefined]);
  expect(stored).toBe(5000);
  const policy = ["--keep-within-hourly", "2d", "--keep-within-daily", "35d"];
  expect(asked.find(([, command]) => command === "forget")).toEqual([
    ...["reader", "forget", "--dry-run", "--no-lock", "--json", "--host", "prod", "--group-by", "host"],
    ...policy,
  ]);
});

it("asks nothing more where there is no set", async () => {
  const { answer, asked } = await look([]);

  expect(overview.parse(answer)).toEqual({ sets: [], stored: 0 });
  expect(asked.map(([, command]) => command)).toEqual(["snapshots"]);
});
