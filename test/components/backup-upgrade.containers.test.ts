import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { tryRun } from "../../common/run.ts";
import { docker, imageOf } from "../support/containers.ts";

const SCRIPTS = fileURLToPath(new URL("../../components/scripts/backup/", import.meta.url));
const POSTGRES = new URL("../../rehearsal/images/postgres/", import.meta.url);

let folder: string;
let name: string;
let images: { readonly old: string; readonly next: string };

/** Debian 12 has PostgreSQL 15, Debian 13 has 17: further apart than one step, which the command would refuse. */
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "technicia-upgrade-"));
  name = `technicia-test-${folder.slice(-6).toLowerCase()}`;
  for (const part of ["image", "data", "state"]) await mkdir(join(folder, part));
  const recipe = await readFile(new URL("Dockerfile", POSTGRES), "utf8");
  await writeFile(join(folder, "image/Dockerfile"), recipe.replaceAll("17", "15"));
  await cp(new URL("docker-entrypoint.sh", POSTGRES), join(folder, "image/docker-entrypoint.sh"));
  const base = await imageOf("debian12");
  const built = await docker("build", "--quiet", "--build-arg", `BASE=${base}`, join(folder, "image"));
  images = { old: built.split("\n").at(-1)!, next: await imageOf("postgres") };
});
afterAll(async () => {
  await docker("rm", "--force", "--volumes", name);
  await docker("rmi", "--force", images.old);
  await rm(folder, { recursive: true });
});

/** The program itself on one container instead of a service; n8n does not run. */
const python = async (code: string) => {
  const ended = await tryRun([
    "python3",
    "-B",
    "-c",
    `
import json, pathlib, sys
sys.path.insert(0, ${JSON.stringify(SCRIPTS)})
folder = pathlib.Path(${JSON.stringify(folder)})
import base
base.STATE, base.STAGING, base.STATUS = folder / "state", folder / "state/staging", folder / "state/status.json"
import containers
name = ${JSON.stringify(name)}
def stop(service):
    base.run(["docker", "rm", "--force", name], purpose="stop")
def start(service, image):
    (folder / "image.txt").write_text(image)
    base.run(["docker", "run", "--detach", "--name", name, "--label", "technicia.rehearsal=1", "--network", "none",
        *["--env", "POSTGRES_DB=n8n", "--env", "POSTGRES_USER=n8n", "--env", "POSTGRES_PASSWORD=hush", "--env", "PGDATA=/var/lib/postgresql/data/pgdata"],
        *["--volume", f"{folder}/data:/var/lib/postgresql/data", image]], purpose="start")
    asked = ["docker", "exec", name, "pg_isready", "--quiet", "--username", "n8n", "--dbname", "n8n", "--host", "127.0.0.1"]
    containers.until(lambda: base.run(asked, purpose="ask", codes=(0, 1, 2, 3)).returncode == 0, 60, "PostgreSQL to be ready")
containers.stop, containers.start = stop, start
containers.is_known = lambda service: False
containers.image_of = lambda service: (folder / "image.txt").read_text()
containers.volume = lambda known: folder / "data"
containers.require_container = lambda service: name
import n8n, postgres, restore
known = {"stack": "prod", "database": "postgres", "keyFingerprint": "f"}
n8n.settings = restore.settings = lambda: known
old, new = ${JSON.stringify(images.old)}, ${JSON.stringify(images.next)}
def sql(statement):
    return base.run(["docker", "exec", name, "psql", "--username", "n8n", "--no-align", "--tuples-only", "--quiet", "--command", statement, "n8n"], purpose=statement).stdout.decode().strip()
def state():
    return {"version": sql("show server_version_num")[:2], "counts": postgres.counts(name, n8n.TABLES), "owner": sql("select tableowner from pg_tables where tablename = 'workflow_entity'")}
${code}`,
  ]);
  if (ended.code !== 0) throw new Error(ended.stderr);
  return JSON.parse(ended.stdout.trim().split("\n").at(-1)!) as unknown;
};

const COUNTS = { workflows: 2, credentials: 0, executions: 5000, users: 1 };
const FILL =
  'create table workflow_entity (id text); create table credentials_entity (id text); create table execution_entity (id int); create table "user" (id text);' +
  "insert into workflow_entity values ('a'), ('b'); insert into \"user\" values ('x'); insert into execution_entity select generate_series(1, 5000)";

describe("PostgreSQL's next version", () => {
  it("has every row and owner, by a dump into an empty folder, and is taken back with the folder of before", async () => {
    const found = await python(`
start("", old)
sql(${JSON.stringify(FILL)})
before = state()
result = restore.upgrade(postgres.SERVICE, new, "0123456789abcdef")
after = state()
sql("delete from workflow_entity")
restore.undo()
print(json.dumps([before, result["counts"], after, state()]))`);

    expect(found).toEqual([
      { version: "15", counts: COUNTS, owner: "n8n" },
      { postgres: COUNTS },
      { version: "17", counts: COUNTS, owner: "n8n" },
      { version: "15", counts: COUNTS, owner: "n8n" },
    ]);
  });

  it("is taken back by itself when its counts differ", async () => {
    const found = await python(`
load = postgres.load
def lose(container, dump):
    load(container, dump)
    sql("delete from execution_entity where id = 1")
postgres.load = lose
try:
    restore.upgrade(postgres.SERVICE, new, "0123456789abcdef")
except base.Problem as problem:
    print(json.dumps([str(problem), state()]))`);

    expect(found).toEqual([
      expect.stringMatching(
        /^n8n: expected .*'executions': 5000.* as before the upgrade, got .*'executions': 4999.*; technicia-postgres runs sha256:.* again, with the data of before$/,
      ),
      { version: "15", counts: COUNTS, owner: "n8n" },
    ]);
  });
});
