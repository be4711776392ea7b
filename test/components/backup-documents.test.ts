import { fileURLToPath } from "node:url";

import { expect, it } from "vitest";

import { run } from "../../common/run.ts";

const PROGRAM = fileURLToPath(new URL("../../components/scripts/backup", import.meta.url));

/** The real functions on folders of the test: a volume, a set of it, and another volume's content in its place. */
const WORLD = `
import json, pathlib, shutil, sys, tempfile
sys.path.insert(0, sys.argv[1])
import documents, exchange, replacement, restore, sets
from base import Problem
folder = pathlib.Path(tempfile.mkdtemp())
home = folder / "volume"
(home / "a/i1/images").mkdir(parents=True)
(home / "a.pdf").write_text("%PDF a")
(home / "a/i1/images/1.png").write_text("png")
(home / "a.i1.json").write_text("{}")
(home / ".card.half").write_text("")
kept = {"stack": "prod", "documents": "technicia-documents-data"}
documents.settings = sets.settings = lambda: kept
documents.volume = lambda name: home if name == "technicia-documents-data" else None
exchange.JOURNAL, restore.FETCHED = folder / "journal.json", folder / "fetched"
item = documents.take(folder / "set")
files = lambda root: sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
result = {"counts": item["counts"], "size": item["size"], "set": files(folder / "set")}
same = lambda name: (home / name).stat().st_ino == (folder / "set" / name).stat().st_ino
result["linked"] = {name: same(name) for name in ("a.pdf", "a/i1/images/1.png", "a.i1.json")}
shutil.copytree(folder / "set", restore.FETCHED / "documents")
documents.require_intact(item, restore.FETCHED / "documents")
for path in list(home.iterdir()):
    shutil.rmtree(path) if path.is_dir() else path.unlink()
(home / "b.pdf").write_text("%PDF b")
restore.lay_out(["documents"])
journal = {"operation": "op", "emptied": [], "keep": True, "items": {"documents": item}}
result["restored"] = replacement.replace_documents(journal)
result["volume"] = files(home)
(restore.FETCHED / "documents/a.pdf").unlink()
try:
    documents.require_intact(item, restore.FETCHED / "documents")
except Problem as problem:
    result["damaged"] = str(problem)
old, new = {"items": dict.fromkeys(["qdrant", "n8n"])}, {"items": dict.fromkeys(["qdrant", "n8n", "documents"])}
result["parts"] = [sets.chosen_parts(old, None), sets.chosen_parts(new, None), sets.chosen_parts(new, ("n8n",))]
try:
    sets.chosen_parts(old, ("documents",))
except Problem as problem:
    result["missing"] = str(problem)
del kept["documents"]
result["off"] = [sets.chosen_parts(new, None), replacement.replace_documents(journal)]
shutil.rmtree(folder)
print(json.dumps(result))
`;

it("the files of documents are in a set, come back, and replace what is there, which is kept", async () => {
  const result = JSON.parse(await run(["python3", "-B", "-c", WORLD, PROGRAM])) as Record<string, unknown>;

  expect(result).toEqual({
    counts: { documents: 1, images: 1 },
    size: 11,
    set: ["a.i1.json", "a.pdf", "a/i1/images/1.png"],
    // A card is written twice; what a hard link leads to must not change.
    linked: { "a.pdf": true, "a/i1/images/1.png": true, "a.i1.json": false },
    restored: { documents: 1, images: 1 },
    volume: [".technicia-replaced/op/b.pdf", "a.i1.json", "a.pdf", "a/i1/images/1.png"],
    damaged: "documents: the files are not the ones that the manifest names",
    parts: [["qdrant", "n8n"], ["qdrant", "n8n", "documents"], ["n8n"]],
    missing: "--only: expected a part of this set that prod keeps (qdrant, n8n), got documents",
    off: [["qdrant", "n8n"], {}],
  });
});
