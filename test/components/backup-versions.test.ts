import { fileURLToPath } from "node:url";

import { describe, expect, it } from "vitest";

import { run } from "../../common/run.ts";

const WORLD = fileURLToPath(new URL("../support/backup_versions.py", import.meta.url));
const PROGRAM = fileURLToPath(new URL("../../components/scripts/backup", import.meta.url));

type Database = "sqlite" | "postgres";

interface End {
  readonly outcome: string;
  readonly images: Readonly<Record<string, string>>;
  readonly running: readonly string[];
  readonly points: number;
  readonly workflows: number;
  readonly files: string;
  readonly journal: boolean;
  readonly faults: readonly string[];
}

async function scenario<T>(name: string, database: Database = "sqlite"): Promise<T> {
  return JSON.parse(await run(["python3", "-B", WORLD, PROGRAM, name, database])) as T;
}

/** Every end that a command has when it is killed before each of its effects in turn, and typed again. */
const ends = async (name: string, database: Database) =>
  (await scenario<{ readonly kills: number; readonly ends: readonly End[] }>(name, database)).ends;

const services = (database: Database) => [
  "technicia-n8n",
  ...(database === "postgres" ? ["technicia-postgres"] : []),
  "technicia-qdrant",
  "technicia-vector-store",
];
const at = (version: string, database: Database) =>
  Object.fromEntries(services(database).map((service) => [service, version]));

/** All is at rest: everything runs, nobody met data of a later version, and nobody wrote while data changed. */
const whole = (database: Database) => ({ running: services(database), journal: false, faults: [] });
const before = (database: Database) => ({
  ...whole(database),
  images: at("1.20.0", database),
  ...{ points: 500, workflows: 5, files: "1.20.0" },
});
const back = (database: Database) => ({
  ...whole(database),
  images: at("1.19.0", database),
  ...{ points: 400, workflows: 3, files: "1.19.0" },
});

describe.each(["sqlite", "postgres"] as const)("versions together with their data, n8n on %s", (database) => {
  it("go back, whenever the command is killed and typed again, and no version meets another one's data", async () => {
    expect(await ends("rollback", database)).toEqual([
      expect.objectContaining({ outcome: "done", ...back(database) }),
    ]);
  });

  it("come again with what they had, whenever taking it back is killed and typed again", async () => {
    expect(await ends("undo", database)).toEqual([
      expect.objectContaining({ outcome: "done", ...before(database) }),
    ]);
  });

  it("stay as they were when what was interrupted is taken back", async () => {
    const found = await ends("rollback-undone", database);

    expect(found.at(-1)).toMatchObject(back(database));
    for (const end of found.slice(0, -1)) expect(end).toMatchObject(before(database));
  });
});

describe("a rollback with data", () => {
  it("names the command that finishes it, and no set is made, nothing else restored or forgotten until then", async () => {
    const found = await scenario<Readonly<Record<string, string>>>("half");
    const interrupted =
      "a restore of the set 01234567 was interrupted: finish it with npm run rollback -- test --with-data";

    expect(found["make"]).toContain(interrupted);
    expect(found["forget"]).toContain(interrupted);
    expect(found["other"]).toContain(interrupted);
    expect(found["running"]).toEqual(["technicia-qdrant"]);
  });

  it("is known to be done as long as its versions run", async () => {
    const found = await scenario<{ readonly done: readonly boolean[]; readonly before: object }>("plan");

    expect(found.done).toEqual([false, true, false]);
    expect(found.before).toMatchObject({
      items: { qdrant: { then: { technicia: 400 } }, n8n: { now: { workflows: 5 }, then: { workflows: 3 } } },
    });
  });

  it("leaves nothing once it is forgotten", async () => {
    expect(await scenario("forget")).toEqual({
      left: [],
      kept: [],
      undo: "test: expected a restore to take back, got none since the last deployment",
    });
  });
});

describe("Qdrant's snapshots of an earlier set", () => {
  it("are taken over by the next one only in the same version, and not once other data was restored", async () => {
    expect(await scenario("carried")).toEqual([true, false, false]);
  });
});

describe.each([
  ["qdrant", "sqlite"],
  ["postgres", "postgres"],
] as const)("an upgrade of %s", (service, database) => {
  const started = {
    ...whole(database),
    ...{ points: 500, workflows: 5, files: "1.19.0" },
  };

  it("has every row in the next version, whenever it is killed and typed again", async () => {
    expect(await ends(`upgrade-${service}`, database)).toEqual([
      expect.objectContaining({
        ...started,
        outcome: "done",
        images: { ...at("1.19.0", database), [`technicia-${service}`]: "1.20.0" },
      }),
    ]);
  });

  it.each(["fails", "loses"])("that %s is taken back, whenever it is killed", async (how) => {
    const found = await ends(`upgrade-${service}-that-${how}`, database);

    for (const end of found) expect(end).toMatchObject({ ...started, images: at("1.19.0", database) });
    expect(found[0]?.outcome).toContain(
      `technicia-${service} runs ${service === "qdrant" ? "qdrant/qdrant" : "postgres"}:v1.19.0@sha256:1.19.0 again, with the data of before`,
    );
  });
});
