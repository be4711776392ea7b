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

/** What the server knows of a repository, what restic says of it, and what objects there were. */
interface Storage {
  readonly repository: string;
  readonly code: number;
  readonly had: readonly string[];
}

/** Runs the program with these sets, and gives its answer and what restic was asked. */
async function look(
  sets: readonly object[],
  { repository = "a repository", code = 0, had = [] }: Partial<Storage> = {},
): Promise<{ answer: unknown; asked: string[][] }> {
  const answers = {
    snapshots: sets,
    forget: [{ keep: [], remove: [SETS[0]] }, { remove: null }],
    stats: { total_size: 5000 },
    cat: { id: "a repository" },
  };
  const script = `
import json, sys, types
sys.path.insert(0, sys.argv[1])
import main, sets, storage
answers, drills, there = json.loads(sys.argv[2]), json.loads(sys.argv[3]), json.loads(sys.argv[4])
asked = []
def restic(arguments, *, key, **_):
    asked.append([key, *arguments])
    if there["code"] and arguments[0] != "cat":
        raise storage.Problem("the repository does not exist")
    return types.SimpleNamespace(stdout=json.dumps(answers[arguments[0]]).encode(), returncode=there["code"])
storage.restic = restic
storage.settings = lambda: {"stack": "prod"}
storage.s3.had = lambda name: name in there["had"]
sets.read_json = lambda path: {"drills": drills, "repository": there["repository"]}
sys.argv = ["main.py", "overview", "--keep", "hourly=2d", "--keep", "daily=35d"]
print(json.dumps({"answer": main.act(main.read_arguments()), "asked": asked}))`;
  const words = [
    PROGRAM,
    JSON.stringify(answers),
    JSON.stringify([DRILL]),
    JSON.stringify({ repository, code, had }),
  ];
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

const NO_REPOSITORY = 10;

it("has no set where none was ever made", async () => {
  const { answer } = await look([], { repository: "", code: NO_REPOSITORY });

  expect(overview.parse(answer)).toEqual({ sets: [], stored: 0 });
});

it.each([
  ["that this server has made", { repository: "a repository" }],
  ["whose objects somebody has hidden", { repository: "", had: ["snapshots/"] }],
] as const)("misses a repository %s", async (_, there) => {
  await expect(look([], { code: NO_REPOSITORY, ...there })).rejects.toThrow("the repository does not exist");
});

it("reads beside a run that makes a set, and ends none of its containers", async () => {
  const script = `
import json, pathlib, sys, tempfile
sys.path.insert(0, sys.argv[1])
import base, storage
base.STATE = pathlib.Path(tempfile.mkdtemp())
base.LOCK_SECONDS = 5
named = []
storage.settings = lambda: {"memoryMib": 64, "region": "RBX", "restic": "restic", "repository": "s3:https://s3.example/bucket/prod"}
storage.followed = lambda command, *, name, **_: named.append(command[command.index("--name") + 1])
storage.run = lambda command, **_: named.append(command[-1])
storage.restic(["snapshots"], key="reader", purpose="list the sets")
with base.lock():
    storage.restic(["backup"], key="writer", purpose="store the set")
print(json.dumps(named))`;
  const named = JSON.parse(await run(["python3", "-B", "-c", script, PROGRAM])) as string[];
  const [cleared, reading, clearedByRun, making] = named;

  expect([cleared, clearedByRun]).toEqual([reading, making]);
  expect(making).toBe("technicia-backup");
  expect(reading).toMatch(/^technicia-backup-\d+$/);
});
