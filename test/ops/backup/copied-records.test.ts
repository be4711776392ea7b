import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { expect, it } from "vitest";

import { run } from "../../../common/run.ts";
import { describeCopy, filesIn } from "../../../ops/backup/copied-records.ts";

it("reads the plain files of an archive, of whatever length and with whatever letters", async () => {
  const folder = await mkdtemp(join(tmpdir(), "technicia-archive-"));
  try {
    const releases = join(folder, "records", "releases");
    await mkdir(releases, { recursive: true });
    const contents: Readonly<Record<string, string>> = {
      "records/history.jsonl": '{"x":1}\n',
      "records/releases/000001.json": "é".repeat(2_000),
      "records/releases/000002.json": "a".repeat(512),
      "records/releases/000003.json": "",
    };
    for (const [path, content] of Object.entries(contents)) await writeFile(join(folder, path), content);

    const archive = await run(["tar", "--create", "--format=posix", "--directory", folder, "records"]);
    const files = filesIn(Buffer.from(archive));

    expect(Object.fromEntries([...files].map(([path, content]) => [path, content.toString()]))).toEqual(
      contents,
    );
  } finally {
    await rm(folder, { recursive: true });
  }
});

it("says which set it is, and how old", () => {
  const of = { set: "0123456789abcdef", madeAt: "2026-11-21T08:00:00Z" };

  expect(describeCopy(of, new Date("2026-11-21T11:30:00Z"))).toContain(
    "set 01234567 of 2026-11-21 08:00:00 UTC, 3.5 h old",
  );
  expect(describeCopy(of, new Date("2026-11-25T11:30:00Z"))).toContain(", 4 d old; what came later");
});
