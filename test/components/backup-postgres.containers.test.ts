import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";

import { tryRun } from "../../common/run.ts";
import { createNetwork, docker, imageOf, type TestNetwork } from "../support/containers.ts";
import { until } from "../support/until.ts";

const SCRIPTS = fileURLToPath(new URL("../../components/scripts/backup/", import.meta.url));

let network: TestNetwork;
let container: string;
let image: string;
let folder: string;

beforeAll(async () => {
  network = await createNetwork();
  container = `${network.name}-postgres`;
  image = await imageOf("postgres");
  await network.start("postgres", [
    ...["--env", "POSTGRES_DB=n8n", "--env", "POSTGRES_USER=n8n", "--env", "POSTGRES_PASSWORD=hush"],
    image,
  ]);
  await until("PostgreSQL answers", async () => (await sql("select 1").catch(() => "")) === "1");
  await sql(
    'create table workflow_entity (id text); create table credentials_entity (id text); create table execution_entity (id int); create table "user" (id text);' +
      "insert into workflow_entity values ('a'), ('b'); insert into \"user\" values ('x'); insert into execution_entity select generate_series(1, 5000)",
  );
});
afterAll(() => network.remove());

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "technicia-postgres-"));
  return () => rm(folder, { recursive: true });
});

const sql = (statement: string) =>
  docker(
    "exec",
    container,
    "psql",
    "--username",
    "n8n",
    "--no-align",
    "--tuples-only",
    "--quiet",
    "--command",
    statement,
    "n8n",
  );

/** Runs the program's own functions against this container. */
const python = (code: string) =>
  tryRun([
    "python3",
    "-B",
    "-c",
    `
import json, pathlib, sys
sys.path.insert(0, ${JSON.stringify(SCRIPTS)})
import base, drill, n8n
known = {"stack": "prod", "database": "postgres", "keyFingerprint": "f", "drillMemoryMib": 768}
n8n.settings = drill.settings = lambda: known
n8n.require_container = lambda service: ${JSON.stringify(container)}
drill.spec_of = lambda service: {"Image": ${JSON.stringify(image)}, "Env": ["POSTGRES_DB=n8n", "POSTGRES_USER=n8n", "POSTGRES_PASSWORD_FILE=/run/secrets/postgres_password"]}
drill.NAMES = ("technicia-drill-postgres",)
folder = pathlib.Path(${JSON.stringify(folder)})
${code}`,
  ]);

const COUNTS = { workflows: 2, credentials: 0, executions: 5000, users: 1 };

describe("a dump of PostgreSQL", () => {
  it("holds every row, and is restored in one transaction", async () => {
    const taken = await python("print(json.dumps(n8n.take_postgres(folder)))");
    expect(taken.stderr).toBe("n8n: dumping its database\n");
    expect(JSON.parse(taken.stdout)).toEqual(COUNTS);
    await sql("delete from workflow_entity; drop table execution_entity");

    const restored = await python(
      `n8n.restore_postgres(folder, folder / "kept"); print(json.dumps(n8n.counts_of_postgres(${JSON.stringify(container)})))`,
    );

    expect(JSON.parse(restored.stdout)).toEqual(COUNTS);
    expect((await readFile(join(folder, "kept", "n8n.dump"))).subarray(0, 5).toString()).toBe("PGDMP");
  });

  it("leaves the database as it was when it cannot be restored whole", async () => {
    await python("n8n.take_postgres(folder)");
    const dump = await readFile(join(folder, "n8n.dump"));
    await writeFile(join(folder, "n8n.dump"), dump.subarray(0, dump.length - 8000));

    const { code, stderr } = await python("n8n.restore_postgres(folder, None)");

    expect(code).toBe(1);
    expect(stderr).toContain("restore n8n's database: exit code 1");
    expect(await sql("select count(*) from execution_entity")).toBe("5000");
  });

  it("that fails makes no set", async () => {
    await sql("alter table workflow_entity rename to hidden");
    const { code, stderr } = await python("n8n.take_postgres(folder)");
    await sql("alter table hidden rename to workflow_entity");

    expect(code).toBe(1);
    expect(stderr).toContain('relation "workflow_entity" does not exist');
  });

  it("is rehearsed in a database of its own without network, which is gone afterwards", async () => {
    const { stdout, stderr } = await python(`
item = {"counts": n8n.take_postgres(folder)}
good = drill.rehearse_postgres(item, folder)
network = base.run(["docker", "inspect", "--format", "{{.HostConfig.NetworkMode}}", "technicia-drill-postgres"], purpose="inspect").stdout.decode().strip()
drill.remove_containers()
item["counts"]["workflows"] = 3
bad = drill.rehearse_postgres(item, folder)
drill.remove_containers()
print(json.dumps([good, network, bad]))`);
    const [good, isolation, bad] = JSON.parse(stdout || "[]") as [string[], string, string[]];

    expect([good, isolation], stderr).toEqual([[], "none"]);
    expect(bad).toHaveLength(1);
    expect(await docker("ps", "--all", "--quiet", "--filter", "name=technicia-drill-postgres")).toBe("");
  });
});
