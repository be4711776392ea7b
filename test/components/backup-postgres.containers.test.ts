/** n8n's database server in a set: its dump, its return, and the rehearsal of both with n8n. */
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";

import { run, tryRun } from "../../common/run.ts";
import { createNetwork, docker, imageOf, type TestNetwork } from "../support/containers.ts";
import { until } from "../support/until.ts";

const SCRIPTS = fileURLToPath(new URL("../../components/scripts/backup/", import.meta.url));
const PASSWORD = "canary-of-the-database";
const ENVIRONMENT = [
  "POSTGRES_DB=n8n",
  "POSTGRES_USER=n8n",
  "POSTGRES_PASSWORD_FILE=/run/secrets/postgres_password",
];

let network: TestNetwork;
let container: string;
let images: Readonly<Record<"postgres" | "n8n", string>>;
let folder: string;

beforeAll(async () => {
  network = await createNetwork();
  container = `${network.name}-postgres`;
  images = { postgres: await imageOf("postgres"), n8n: await imageOf("n8n") };
  await network.start("postgres", [
    ...["--env", "POSTGRES_DB=n8n", "--env", "POSTGRES_USER=n8n", "--env", `POSTGRES_PASSWORD=${PASSWORD}`],
    images.postgres,
  ]);
  // Over the network: while it sets its data up, it listens on a socket only, and stops once more.
  const asked = ["pg_isready", "--quiet", "--username", "n8n", "--dbname", "n8n", "--host", "127.0.0.1"];
  await until("PostgreSQL answers", () =>
    docker("exec", container, ...asked).then(
      () => true,
      () => false,
    ),
  );
});
afterAll(() => network.remove());

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "technicia-postgres-"));
  return () => rm(folder, { recursive: true });
});

const PSQL = "psql --username n8n --no-align --tuples-only --quiet --set ON_ERROR_STOP=1";
const sql = (statement: string) =>
  docker("exec", container, ...PSQL.split(" "), "--command", statement, "n8n");

/** The program's own functions, with this container for the service's. */
const setting = () => `
import json, pathlib, sys
sys.path.insert(0, ${JSON.stringify(SCRIPTS)})
import base, drill, n8n, postgres
known = {"stack": "prod", "database": "postgres", "keyFingerprint": "f", "drillMemoryMib": 768}
n8n.settings = drill.settings = lambda: known
postgres.require_container = lambda service: ${JSON.stringify(container)}
folder = pathlib.Path(${JSON.stringify(folder)})
`;
const python = (code: string) => tryRun(["python3", "-B", "-c", setting() + code]);

const TAKE = "print(json.dumps(postgres.take(folder, n8n.TABLES)))";
const RESTORE = 'postgres.restore(folder, folder / "kept")';
const COUNTS = { workflows: 2, credentials: 0, executions: 5000, users: 1 };
const counts = async () =>
  JSON.parse(
    (await python("print(json.dumps(postgres.counts(postgres.require_container(''), n8n.TABLES)))")).stdout,
  ) as object;

/** Holds a table, so that whatever reads or writes it stands still until it is let go. */
async function hold(table: string): Promise<() => Promise<void>> {
  // In one process: PostgreSQL, the first of its container, takes an orphan's end for a crash of its own.
  const held = docker(
    ...["exec", "--env", "PGAPPNAME=holder", container, ...PSQL.split(" ")],
    ...["--command", `begin; lock table ${table}; select pg_sleep(600)`, "n8n"],
  ).catch(() => undefined);
  await until(`${table} is held`, async () => (await sql(heldBy("holder", table))) === "1");
  return async () => {
    await sql("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'holder'");
    await held;
  };
}

const heldBy = (application: string, table: string) =>
  `select count(*) from pg_locks join pg_stat_activity using (pid) where application_name = '${application}' and relation = '${table}'::regclass and granted`;
const isWaiting = async (application: string) =>
  (await sql(
    `select count(*) from pg_stat_activity where application_name = '${application}' and wait_event_type = 'Lock'`,
  )) === "1";

describe("a dump of PostgreSQL", () => {
  beforeEach(() =>
    sql(
      "drop schema public cascade; create schema public; " +
        'create table workflow_entity (id text); create table credentials_entity (id text); create table execution_entity (id int); create table "user" (id text);' +
        "insert into workflow_entity values ('a'), ('b'); insert into \"user\" values ('x'); insert into execution_entity select generate_series(1, 5000)",
    ),
  );

  it("holds every row, and is restored in one transaction", async () => {
    const taken = await python(TAKE);
    expect(taken.stderr).toBe("n8n: dumping its database\n");
    expect(JSON.parse(taken.stdout)).toEqual(COUNTS);
    await sql("delete from workflow_entity; drop table execution_entity");

    expect((await python(RESTORE)).stderr).toBe("n8n: restoring its database\n");

    expect(await counts()).toEqual(COUNTS);
    expect((await readFile(join(folder, "kept", "n8n.dump"))).subarray(0, 5).toString()).toBe("PGDMP");
  });

  it("is counted as it is in the dump, whatever n8n writes meanwhile, and runs at the lowest priority", async () => {
    const release = await hold("workflow_entity");
    const taking = python(TAKE);
    await until("the dump waits", () => isWaiting("pg_dump"));
    const nice = await docker("exec", container, "bash", "-c", "ps -o ni= -C pg_dump");
    await sql("insert into execution_entity select generate_series(1, 7)");
    await release();
    const { stdout, stderr } = await taking;
    expect(stderr).toBe("n8n: dumping its database\n");
    const taken = JSON.parse(stdout) as object;
    await python(RESTORE);

    expect(nice.trim()).toBe("19");
    expect(taken).toEqual(COUNTS);
    expect(await counts()).toEqual(taken);
  });

  it("leaves nothing behind of what a later n8n has added", async () => {
    await python(TAKE);
    await sql("create table added_later (id int); alter table workflow_entity add added_later int");

    await python(RESTORE);

    expect(await sql("select to_regclass('added_later')")).toBe("");
    expect(await counts()).toEqual(COUNTS);
  });

  it("leaves the database as it was when it cannot be restored whole", async () => {
    await python(TAKE);
    await sql("insert into execution_entity values (1)");
    const dump = await readFile(join(folder, "n8n.dump"));
    await writeFile(join(folder, "n8n.dump"), dump.subarray(0, dump.length - 8000));

    const { code, stderr } = await python(RESTORE);

    expect(code).toBe(1);
    expect(stderr).toContain("restore n8n's database: pg_restore: error");
    expect(await counts()).toEqual({ ...COUNTS, executions: 5001 });
  });

  it("leaves the database as it was when the restore is killed", async () => {
    // More than what is on its way when the program ends.
    await sql(
      "create table zz_large as select repeat(md5(i::text), 30000) as text from generate_series(1, 20) i",
    );
    await python(TAKE);
    await sql("insert into execution_entity values (1)");
    const release = await hold("workflow_entity");
    const restoring = run([
      ...["bash", "-c", 'python3 -B -c "$1" & until [ -e "$2" ]; do sleep 0.05; done; kill -KILL $!', "-"],
      ...[`${setting()}postgres.restore(folder, None)`, join(folder, "killed")],
    ]);
    await until("the restore waits", () => isWaiting("psql"));
    await writeFile(join(folder, "killed"), "");
    await restoring;
    await release();
    await until("the restore is gone", async () => !(await docker("top", container)).includes("pg_restore"));

    expect(await counts()).toEqual({ ...COUNTS, executions: 5001 });
  });

  it("that ends half way makes no set", async () => {
    await sql(
      "create table zz_large as select repeat(md5(i::text), 30000) as text from generate_series(1, 300) i",
    );
    const cut = sql(
      "do $$ begin loop perform pg_terminate_backend(pid) from pg_stat_activity where application_name = 'pg_dump' and query ilike 'copy %zz_large%'; exit when found; perform pg_stat_clear_snapshot(); perform pg_sleep(0.005); end loop; end $$",
    );
    const { code, stderr } = await python(TAKE);
    await cut;

    expect(code).toBe(1);
    expect(stderr).toContain("pg_dump: exit code 1");
    expect((await stat(join(folder, "n8n.dump"))).size).toBeGreaterThan(0);
  });

  it("of a database without n8n's tables makes no set", async () => {
    await sql("alter table workflow_entity rename to hidden");
    const { code, stderr } = await python(TAKE);

    expect(code).toBe(1);
    expect(stderr).toContain('relation "workflow_entity" does not exist');
  });

  it("that is empty makes no set, although it ended well", async () => {
    const { code, stderr } = await python(`postgres.DUMP_ROLES = ("true",)\n${TAKE}`);

    expect(code).toBe(1);
    expect(stderr).toContain("true: expected a dump, got nothing");
  });
});

describe("a rehearsal of n8n on PostgreSQL", () => {
  const KEY = "0123456789abcdef0123456789abcdef";
  let home: string;
  let secrets: string;

  beforeAll(async () => {
    await sql("drop schema public cascade; create schema public");
    secrets = await mkdtemp(join(tmpdir(), "technicia-secrets-"));
    await writeFile(join(secrets, "n8n_encryption_key"), KEY, { mode: 0o400 });
    await writeFile(join(secrets, "postgres_password"), PASSWORD, { mode: 0o400 });
    await run(["chown", "--recursive", "1000:1000", secrets]);
    const volume = `${network.name}-home`;
    await network.start("n8n", [
      ...["--volume", `${volume}:/home/node/.n8n`, "--volume", `${secrets}:/run/secrets:ro`],
      ...n8nEnvironment().flatMap((variable) => ["--env", variable]),
      images.n8n,
    ]);
    home = await docker("volume", "inspect", "--format", "{{.Mountpoint}}", volume);
    const ask = (path: string, body: object, cookie = "") =>
      docker(
        ...["exec", `${network.name}-n8n`, "node", "-e"],
        `fetch("http://127.0.0.1:5678/rest/${path}",{method:"POST",headers:{"content-type":"application/json","user-agent":"Mozilla/5.0",cookie:${JSON.stringify(cookie)}},body:${JSON.stringify(JSON.stringify(body))}}).then(async(a)=>{if(!a.ok)throw new Error(await a.text());console.log((a.headers.get("set-cookie")??"").split(";")[0])})`,
      );
    const owner = { email: "a@b.fr", firstName: "A", lastName: "B", password: "Secret12345" };
    let cookie = "";
    await until("n8n has an owner", async () => {
      cookie = await ask("owner/setup", owner).catch(() => "");
      return cookie !== "";
    });
    await ask(
      "credentials",
      { name: "key", type: "httpHeaderAuth", data: { name: "x", value: "canary" } },
      cookie,
    );
    await ask("workflows", { name: "one", active: false, connections: {}, settings: {}, nodes: [] }, cookie);
  });
  afterAll(async () => {
    await docker("rm", "--force", `${network.name}-n8n`);
    await docker("volume", "rm", `${network.name}-home`);
    await rm(secrets, { recursive: true });
  });

  const n8nEnvironment = () => [
    ...[
      "DB_TYPE=postgresdb",
      `DB_POSTGRESDB_HOST=${container}`,
      "DB_POSTGRESDB_DATABASE=n8n",
      "DB_POSTGRESDB_USER=n8n",
    ],
    ...["DB_POSTGRESDB_PASSWORD_FILE=/run/secrets/postgres_password", "N8N_DIAGNOSTICS_ENABLED=false"],
    ...["N8N_ENCRYPTION_KEY_FILE=/run/secrets/n8n_encryption_key", "N8N_LISTEN_ADDRESS=0.0.0.0"],
  ];

  /** Takes n8n's item of a set, does something with it, and rehearses it; prints what was found. */
  const rehearse = async (change: string) => {
    await mkdir(join(folder, "n8n"));
    return await python(`
secret = lambda name, owner: {"File": {"Name": name, "UID": owner, "GID": owner}}
specs = {
    n8n.SERVICE: {"Image": ${JSON.stringify(images.n8n)}, "Env": ${JSON.stringify(n8nEnvironment())}, "Secrets": [secret("n8n_encryption_key", "1000"), secret("postgres_password", "1000")]},
    postgres.SERVICE: {"Image": ${JSON.stringify(images.postgres)}, "Env": ${JSON.stringify(ENVIRONMENT)}, "Secrets": [secret("postgres_password", "999")]},
}
drill.spec_of = specs.get
drill.require_container = lambda service: ${JSON.stringify(`${network.name}-n8n`)}
n8n.image_of = lambda service: specs[service]["Image"]
n8n.volume = drill.volume = lambda name: pathlib.Path(${JSON.stringify(home)})
drill.FOLDER, drill.SECRETS = folder / "drill", folder / "secrets"
drill.FOLDER.mkdir()
drill.storage.clear = lambda: None
item = n8n.take(folder / "n8n")
${change}
started = []
begin = drill.start
def start(*given, **named):
    started.append(begin(*given, **named))
    return started[-1]
drill.start = start
try:
    counted, findings = drill.rehearse_n8n(item, folder / "n8n")
    volumes = [mount["Name"] for mount in base.json.loads(base.run(["docker", "inspect", started[0]], purpose="inspect").stdout)[0]["Mounts"] if mount["Type"] == "volume"]
    networks = [base.run(["docker", "inspect", "--format", "{{.HostConfig.NetworkMode}}", one], purpose="inspect").stdout.decode().strip() for one in started if len(one) == 64]
finally:
    drill.clean()
print(json.dumps({"findings": findings, "networks": networks, "started": started, "volumes": volumes, "counts": counted}))`);
  };
  const left = () => docker("ps", "--all", "--quiet", "--filter", "name=technicia-drill");

  it("starts the running version on a copy without network, decrypts, counts, and leaves nothing", async () => {
    const { stdout, stderr } = await rehearse("");
    const { findings, networks, started, volumes, counts } = JSON.parse(stdout || "{}") as {
      findings: string[];
      networks: string[];
      started: string[];
      volumes: string[];
      counts: Record<string, number>;
    };

    expect(findings, stderr).toEqual([]);
    expect(counts).toMatchObject({ workflows: 1, credentials: 1, users: 1 });
    expect(networks).toEqual(["none", `container:${started[0]}`]);
    expect(stderr).toContain("n8n: decrypting the credentials\nn8n: starting on the copy\n");
    expect(await left()).toBe("");
    expect(volumes).toHaveLength(1);
    expect((await tryRun(["docker", "volume", "inspect", ...volumes])).code).toBe(1);
  });

  it("finds out that rows are missing", async () => {
    const { stdout, stderr } = await rehearse('item["counts"]["workflows"] = 3');
    const { findings } = JSON.parse(stdout || "{}") as { findings: string[] };

    expect(findings, stderr).toHaveLength(1);
    expect(findings[0]).toContain("'workflows': 3");
  });

  it("finds out that a credential cannot be decrypted, and leaves nothing", async () => {
    await sql("update credentials_entity set data = 'U2FsdGVkX18AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA='");
    const { code, stderr } = await rehearse("");

    expect(code).toBe(1);
    expect(stderr).toContain("start technicia-drill-n8n: exit code");
    expect(await left()).toBe("");
  });
});
