import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { callStorage, listObjects } from "../../../common/object-storage.ts";
import { lookInStorage } from "../../../ops/backup/listing.ts";
import { planPrune, prune, requireUntouched } from "../../../ops/backup/prune.ts";
import { listStored } from "../../../ops/backup/read-back.ts";
import { addPassword } from "../../../ops/backup/second-password.ts";
import { restic, type Repository } from "../../../ops/backup/repository.ts";
import { bringBack } from "../../../ops/backup/undelete.ts";
import { leaveLock } from "../../support/restic-lock.ts";
import { startStorage, type TestStorage } from "../../support/backup-storage.ts";
import { createNetwork, imageOf, type TestNetwork } from "../../support/containers.ts";

const STACK = "prod";
const signal = new AbortController().signal;

let network: TestNetwork;
let storage: TestStorage;
let repository: Repository;

beforeAll(async () => {
  network = await createNetwork();
  storage = await startStorage(network.name, STACK);
  const { address, region, bucket, keys } = storage;
  repository = {
    ...{ bucket: { address, region, bucket }, prefix: STACK, key: keys.writer },
    ...{ image: await imageOf("restic"), password: "the password" },
  };
  await run("init");
  // Two of one hour of yesterday and one more, two of one day of last week, one of last year.
  for (const [days, time] of [
    [1, "06:00:00"],
    [1, "10:10:00"],
    [1, "10:40:00"],
    [6, "08:00:00"],
    [6, "10:00:00"],
    [400, "08:00:00"],
  ] as const)
    await store(days, time);
});
afterAll(async () => {
  await storage.remove();
  await network.remove();
});

const run = (...words: string[]) => restic(repository, { purpose: "prepare the test", words, signal });

async function store(daysAgo: number, time: string, tag = "scheduled"): Promise<void> {
  const day = new Date(Date.now() - daysAgo * 86_400_000).toISOString().slice(0, 10);
  await run("backup", "--host", STACK, "--time", `${day} ${time}`, "--tag", tag, "/etc/hostname");
}

const sets = async () =>
  (JSON.parse(await run("snapshots", "--json", "--no-lock")) as { time: string }[]).length;
const ask = (answer: boolean) => {
  const said: string[] = [];
  const world = {
    signal,
    say: (line: string) => void said.push(line),
    confirm: () => Promise.resolve(answer),
  };
  return { said, world };
};
const request = { stack: STACK, yes: false, retentionDays: 30, storedAt: new Map<string, string>() };
const administratorsRepository = () => ({ ...repository, key: storage.keys.administrator });

describe("the list, without the server", () => {
  it("has every set with its size, newest first, and what a prune does to it", async () => {
    const { sets: all, stored } = await lookInStorage(
      { ...repository, key: storage.keys.reader },
      { signal },
    );

    expect(all.map(({ goes }) => goes)).toEqual([false, true, false, false, true, false]);
    expect(all[0]).toMatchObject({ tags: ["scheduled"], drill: null });
    expect(all.every(({ size, sent }) => size! > 0 && sent! > 0)).toBe(true);
    expect(stored).toBeGreaterThan(0);
  });
});

describe("prune", () => {
  it("finds with the reader's key what is too old or too many, by age alone", async () => {
    const { kept, removed } = await planPrune({ ...repository, key: storage.keys.reader }, { signal });

    expect([kept, removed.length]).toEqual([4, 2]);
  });

  it("removes nothing that nobody has agreed to", async () => {
    const { said, world } = ask(false);

    expect(await prune({ ...repository, key: storage.keys.administrator }, request, world)).toEqual({
      ...{ text: "nothing was changed", exitCode: 1 },
    });
    expect(said.join("")).toContain("scheduled");
    expect(await sets()).toBe(6);
  });

  it("cannot be done with the server's key", async () => {
    await expect(prune(repository, request, ask(true).world)).rejects.toThrow(
      /could not remove old sets: .*(403|[Dd]enied)/,
    );
    expect(await sets()).toBe(6);
  });

  it("removes the old ones with the administrator's key, leaves a repository without errors, and then finds none", async () => {
    const administrator = { ...repository, key: storage.keys.administrator };
    const { text } = await prune(administrator, request, ask(true).world);

    expect(text).toBe(
      "2 sets are removed and 4 kept; the storage frees their space once 30 days have passed",
    );
    expect(await sets()).toBe(4);
    await restic(
      { ...repository, key: storage.keys.reader },
      { purpose: "check the repository", words: ["check", "--no-lock", "--read-data"], signal },
    );
    expect((await prune(administrator, request, ask(true).world)).text).toBe(
      "4 sets are kept, and none is old enough to go",
    );
  });
});

describe("a set that was made before a release", () => {
  it("stays beside the last one of its hour, for a rollback with its data", async () => {
    const before = await sets();
    await store(3, "12:10:00", "release-7");
    await store(3, "12:20:00", "scheduled");
    await store(40, "12:10:00", "release-3");
    await store(40, "12:20:00", "scheduled");

    const { kept, removed } = await planPrune(administratorsRepository(), { signal });

    expect(removed.map(({ tags }) => tags)).toEqual([["release-3"]]);
    expect(kept).toBe(before + 3);
    await prune(administratorsRepository(), { ...request, yes: true }, ask(true).world);
  });
});

describe("a set that somebody has added with a time of long ago", () => {
  it("ends a prune before it pushes out a true set of that day", async () => {
    const before = await sets();
    const storedAt = await listStored(administratorsRepository(), { fetch, signal });

    await expect(
      prune(administratorsRepository(), { ...request, yes: true, storedAt }, ask(true).world),
    ).rejects.toThrow(
      /expected to be stored when it was made, at .*\nsomebody has added this, and it would push out a true set of that day: remove it with restic forget/,
    );
    expect(await sets()).toBe(before);
  });
});

describe("a lock that a killed program has left", () => {
  it("stops no prune once it is half an hour old, and does while it is younger", async () => {
    await store(5, "08:10:00");
    await store(5, "08:20:00");
    const pruned = () => prune(administratorsRepository(), { ...request, yes: true }, ask(true).world);
    await leaveLock(repository, { minutesAgo: 5, signal });
    await expect(pruned()).rejects.toThrow(/another program has locked the repository/);

    const locks = `${STACK}/locks/`;
    for await (const { object } of listObjects(locks, storage.as(storage.keys.administrator)))
      await callStorage({ method: "DELETE", object }, storage.as(storage.keys.administrator));
    await leaveLock(repository, { minutesAgo: 40, signal });
    expect((await pruned()).text).toMatch(/^1 sets are removed/);
  });
});

describe("what somebody has written over", () => {
  it("is found by a check that reads no data, and not the versions that restic itself has left", async () => {
    const place = { ...repository, key: storage.keys.reader };
    const world = { stack: STACK, fetch, signal };
    await requireUntouched(place, world);
    const data = [];
    for await (const { object } of listObjects(`${STACK}/data/`, storage.as(storage.keys.reader)))
      data.push(object);
    const object = data[0] ?? "";
    const content = await callStorage({ method: "GET", object }, storage.as(storage.keys.reader));
    const { byteLength: length } = await content.arrayBuffer();
    await callStorage({ method: "PUT", object, body: "x".repeat(length) }, storage.as(storage.keys.writer));

    await expect(requireUntouched(place, world)).rejects.toThrow(
      `got 1 that somebody has written over, such as ${object}; npm run backups -- ${STACK} --undelete`,
    );
    await bringBack(STACK, storage.as(storage.keys.administrator));
    await requireUntouched(place, world);
  });
});

describe("a second password", () => {
  it("opens the sets as the first one does", async () => {
    const password = await addPassword({ ...repository, key: storage.keys.administrator }, { signal });

    expect(password).toMatch(/^[\w-]{32}$/);
    const words = ["snapshots", "--json", "--no-lock"];
    const reader = { ...repository, key: storage.keys.reader };
    for (const one of [password, repository.password]) {
      const text = await restic({ ...reader, password: one }, { purpose: "list the sets", words, signal });
      expect(JSON.parse(text)).toHaveLength(await sets());
    }
  });
});

describe("restic", () => {
  it.each<[string, (whole: Repository) => Repository, RegExp]>([
    [
      "a wrong password",
      (whole) => ({ ...whole, password: "other" }),
      /the secret backupPassword is not the repository's$/,
    ],
    [
      "no repository",
      (whole) => ({ ...whole, prefix: `${STACK}/none` }),
      /there is no repository at this place; bring/,
    ],
    [
      "a wrong key",
      (whole) => ({ ...whole, key: { ...whole.key, secretAccessKey: "wrong" } }),
      /look at the key, the bucket and the region$/,
    ],
  ])("says what to do for %s, and shows no secret", async (_what, change, expected) => {
    const given = change(repository);
    const failed = restic(given, { purpose: "list the sets", words: ["snapshots", "--no-lock"], signal });

    await expect(failed).rejects.toThrow(expected);
    await expect(failed).rejects.not.toThrow(storage.keys.writer.secretAccessKey);
    await expect(failed).rejects.not.toThrow("the password");
  });
});

describe("a set of a time that has not come", () => {
  it("ends a prune before anything is removed: by its age others would count as old", async () => {
    await store(-30, "08:00:00");
    const before = await sets();

    await expect(
      prune({ ...repository, key: storage.keys.administrator }, { ...request, yes: true }, ask(true).world),
    ).rejects.toThrow(/expected a time that has passed, got .*: the clock was wrong when it was made/);
    expect(await sets()).toBe(before);
  });
});
