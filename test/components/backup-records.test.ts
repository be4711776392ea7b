import { fileURLToPath } from "node:url";

import { expect, it } from "vitest";

import { run } from "../../common/run.ts";

const PROGRAM = fileURLToPath(new URL("../../components/scripts/backup", import.meta.url));

/** The real functions: the records of one server, a set of them, and another server that is set up anew. */
const WORLD = `
import json, pathlib, shutil, sys, tempfile
sys.path.insert(0, sys.argv[1])
import records
folder = pathlib.Path(tempfile.mkdtemp())
files = lambda root: sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
def server(name, **workflows):
    records.RECORDS = folder / name
    (records.RECORDS / "releases").mkdir(parents=True)
    (records.RECORDS / "workflows").mkdir(mode=0o750)
    for digest, text in workflows.items():
        (records.RECORDS / f"workflows/{digest}.json").write_text(text)
        (records.RECORDS / f"workflows/{digest}.json").chmod(0o640)
    return records.RECORDS
old = server("old", aa="[1]\\n", bb="[2]\\n")
(old / "releases/000007.json").write_text('{"number":7}')
(old / "workflows/.new.1234").write_text("half")
(old / "history.jsonl").write_text('{"action":"deploy"}\\n')
item = records.take_records(folder / "set")
result = {"counts": item["counts"], "set": files(folder / "set")}
records.require_intact("records", item, folder / "set")
new = server("new", bb="[3]\\n")
shutil.rmtree(new / "releases")
copy = records.copy_file
def killed(source, target):
    copy(source, target)
    target.write_text("ha")
    raise KeyboardInterrupt
records.copy_file = killed
try:
    records.add_records(folder / "set", "set1")
except KeyboardInterrupt:
    result["killed"] = records.counts_of_records(new)
records.copy_file = copy
records.add_records(folder / "set", "set1")
records.add_records(folder / "set", "set1")
result["restored"] = {name: (new / name).read_text() for name in files(new) if name.endswith(".json")}
result["mode"] = oct((new / "workflows/aa.json").stat().st_mode & 0o777)
result["events"] = len(records.events(new))
shutil.rmtree(old / "workflows")
result["before"] = records.counts_of_records(old)
shutil.rmtree(folder)
print(json.dumps(result))
`;

it("the workflows of releases are in a set, and come back on a server that lacks them, whole", async () => {
  const result = JSON.parse(await run(["python3", "-B", "-c", WORLD, PROGRAM])) as Record<string, unknown>;

  expect(result).toEqual({
    counts: { releases: 1, events: 1, workflows: 2 },
    set: ["history.jsonl", "releases/000007.json", "workflows/aa.json", "workflows/bb.json"],
    // What a killed restore has half written does not count as there.
    killed: { releases: 0, events: 0, workflows: 1 },
    restored: {
      "releases/000007.json": '{"number":7}',
      "workflows/aa.json": "[1]\n",
      // Nothing that is there is changed.
      "workflows/bb.json": "[3]\n",
    },
    mode: "0o640",
    // With the one that says whose the old ones are.
    events: 2,
    before: { releases: 1, events: 1, workflows: 0 },
  });
});
