/** n8n's data moves from SQLite to PostgreSQL, or stays where it is; afterwards the backups are PostgreSQL's. */
import * as docker from "@pulumi/docker";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { shellQuote } from "../../common/shell-quote.ts";
import { createN8nDatabase } from "../../components/n8n-database.ts";
import { ENTER, startBackupHost, type BackupHost } from "../support/backup-host.ts";
import { imageOf } from "../support/containers.ts";
import { register } from "../support/engine.ts";
import { until } from "../support/until.ts";

const HOME = "/var/lib/docker/volumes/technicia-n8n-data/_data";
const RUNNING = "docker ps --quiet --filter label=com.docker.swarm.service.name=technicia-n8n";

let host: BackupHost;

beforeAll(async () => {
  host = await startBackupHost({ also: ["postgres"] });
  await host.exec(`
docker network create --driver overlay --attachable technicia-data >/dev/null
printf hush | docker secret create postgres_password - >/dev/null
docker service create --quiet --detach --name technicia-postgres --endpoint-mode dnsrr --network name=technicia-data,alias=postgres \
  --secret source=postgres_password,uid=999,gid=999,mode=0400 --env POSTGRES_DB=n8n --env POSTGRES_USER=n8n \
  --env POSTGRES_PASSWORD_FILE=/run/secrets/postgres_password --env PGDATA=/var/lib/postgresql/data/pgdata \
  --mount type=volume,source=technicia-postgres-data,target=/var/lib/postgresql/data \
  --health-cmd 'pg_isready --quiet --username n8n --dbname n8n --host 127.0.0.1' --health-interval 1s ${await imageOf("postgres")}
until [ -n "$(docker ps --quiet --filter health=healthy --filter label=com.docker.swarm.service.name=technicia-postgres)" ]; do sleep 0.5; done`);
  await fill();
});
afterAll(() => host.stop());

/** Asks n8n's own interface, as its owner. */
const n8n = async (method: string, path: string, body?: unknown) =>
  JSON.parse(
    await host.exec(`${ENTER}
n8n_ready
enter technicia-n8n curl --silent --show-error --fail-with-body --user-agent Mozilla/5.0 --header 'content-type: application/json' --header @/tmp/cookie \
  --request ${method} ${body === undefined ? "" : `--data ${shellQuote(JSON.stringify(body))}`} 'http://127.0.0.1:5678/rest/${path}'`),
  ) as { readonly data: unknown };

/** Executions that were kept, and a table of data with every type of column. */
async function fill(): Promise<void> {
  for (const id of [40, 41])
    await host.sql(
      `insert into execution_entity (id, workflowId, finished, mode, status, createdAt, startedAt) select ${id}, id, 0, 'trigger', 'error', '2026-11-01 10:00:00.123', '2026-11-01 10:00:00.123' from workflow_entity where name = 'one'`,
    );
  await host.sql(
    `insert into execution_data (executionId, workflowData, data) values (41, '{"name":"é\\n"}', '[{"tab":"a\\tb"}]')`,
  );
  const [project] = (await host.sql("select id from project where type = 'personal'")) as [string];
  const columns = Object.entries({ title: "string", size: "number", done: "boolean", day: "date" }).map(
    ([name, type]) => ({ name, type }),
  );
  const made = await n8n("POST", `projects/${project}/data-tables`, { name: "notes", columns });
  const { id } = made.data as { id: string };
  const row = { title: "un\tdeux\\", size: 1.5, done: true, day: "2026-11-01T10:00:00.000Z" };
  await n8n("POST", `projects/${project}/data-tables/${id}/insert`, {
    data: [row, row],
    returnType: "count",
  });
}

type Kind = "sqlite" | "postgres";

interface Inputs {
  readonly observe: string;
  readonly apply: string;
  readonly desired: string;
  readonly variables: Readonly<Record<string, string>>;
}

/** What the provider runs on the server. */
async function scripts(kind: Kind, startEmpty = false) {
  const { resource } = await register(() => {
    const provider = new docker.Provider("host", {});
    createN8nDatabase("n8n-database", { stack: "prod", kind, startEmpty }, { provider });
  });
  const inputs = resource("n8n-database").inputs as unknown as Inputs;
  const { observe, apply, desired, variables } = inputs;
  const given = (values: Readonly<Record<string, string>>) =>
    Object.entries({ ...variables, ...values })
      .map(([name, value]) => `export ${name}=${shellQuote(value)}\n`)
      .join("");
  return {
    desired,
    observe: given({}) + observe,
    apply: (OBSERVED: string) => given({ OBSERVED, DESIRED: desired }) + apply,
  };
}

const observe = async (kind: Kind, startEmpty = false) =>
  (await host.exec((await scripts(kind, startEmpty)).observe)).trim();

/** As the provider does: applies what is not so yet. */
async function want(kind: Kind) {
  const { desired, observe, apply } = await scripts(kind);
  const observed = (await host.exec(observe)).trim();
  return observed === desired ? { code: 0, stderr: "" } : await host.tryExec(apply(observed));
}

const postgres = async (statement: string) =>
  (
    await host.exec(
      `docker exec "$(docker ps --quiet --filter label=com.docker.swarm.service.name=technicia-postgres)" psql --username n8n --no-align --tuples-only --quiet --set ON_ERROR_STOP=1 --command ${shellQuote(statement)} n8n`,
    )
  ).trim();

const isReady = async () =>
  (await host.exec(`${RUNNING} --filter health=healthy`)) !== "" &&
  (
    await host.tryExec(`${ENTER}
enter technicia-n8n curl --silent --fail http://127.0.0.1:5678/healthz/readiness`)
  ).code === 0;

/** n8n goes on as before, on SQLite, and PostgreSQL is empty for the next attempt. */
async function expectStaysOnSqlite(): Promise<void> {
  await until("n8n runs again", isReady, 300_000);
  expect(await observe("postgres")).toBe("sqlite");
  expect((await host.sql("select count(*) from workflow_entity"))[0]).toBe(3);
  expect(await host.exec(`ls --almost-all ${HOME}`)).not.toContain(".technicia-sqlite");
  expect((await n8n("GET", "workflows")).data).toHaveLength(3);
}

describe("n8n's database", () => {
  it("is where the settings have it as long as it does not change", async () => {
    const container = await host.exec(RUNNING);

    expect(await want("sqlite")).toEqual({ code: 0, stderr: "" });
    expect(await host.exec(RUNNING)).toBe(container);
  });

  it("is not moved over the data of another n8n", async () => {
    const container = await host.exec(RUNNING);
    await postgres(`create table "user" (email text); insert into "user" values ('other@exemple.fr')`);
    const { code, stderr } = await want("postgres");
    const users = await postgres('select count(*) from "user"; drop table "user"');

    expect(code).toBe(1);
    expect(stderr).toContain(
      "expected an empty PostgreSQL, got the data of an n8n with 1 users; n8n goes on with SQLite",
    );
    expect(users).toBe("1");
    expect(await host.exec(RUNNING)).toBe(container);
  });

  it.each([
    [
      "PostgreSQL refuses a row",
      "update execution_data set workflowData = 'canary{'",
      'update execution_data set workflowData = \'{"name":"é"}\'',
      /invalid input syntax for type json in COPY execution_data, line \d+, column workflowData; nothing was moved/,
    ],
    [
      "PostgreSQL cannot hold a text",
      "insert into settings (key, value, loadOnStartup) values ('bad', 'canary' || char(0), 0)",
      "delete from settings where key = 'bad'",
      /settings\.value: expected text without the character NUL, which PostgreSQL does not hold, got some with it; nothing was moved/,
    ],
  ])(
    "stays SQLite when %s, and the message says where and not what",
    async (_what, damage, repair, expected) => {
      await host.sql(damage);
      const { code, stderr } = await want("postgres");
      await host.sql(repair);

      expect(code).toBe(1);
      expect(stderr).toMatch(expected);
      expect(stderr).toContain("n8n goes on with SQLite. Set services.n8n.database back to sqlite, or");
      expect(stderr).not.toContain("canary");
      await expectStaysOnSqlite();
      expect(
        await postgres("select count(*) from information_schema.tables where table_schema = 'public'"),
      ).toBe("0");
    },
  );

  it("stays SQLite when the counts differ", async () => {
    await postgres(`create schema test;
      create function test.lose() returns trigger language plpgsql as 'begin return null; end';
      create function test.watch() returns event_trigger language plpgsql as $$ declare made record; begin
        for made in select * from pg_event_trigger_ddl_commands() where object_identity = 'public.credentials_entity' loop
          execute 'create trigger lose before insert on public.credentials_entity for each row execute function test.lose()';
          execute 'alter table public.credentials_entity enable always trigger lose';
        end loop; end $$;
      create event trigger watch on ddl_command_end when tag in ('CREATE TABLE') execute function test.watch()`);
    const { code, stderr } = await want("postgres");
    await postgres("drop event trigger watch; drop schema test cascade");

    expect(code).toBe(1);
    expect(stderr).toContain(
      "credentials_entity: expected 1 rows, got 0; nothing was moved and n8n goes on with SQLite",
    );
    await expectStaysOnSqlite();
  });

  it("says that a move was killed half way; then SQLite can be wanted again", async () => {
    const { apply } = await scripts("postgres");
    await host.exec(`
cat > /root/apply <<'APPLY'
${apply("sqlite")}
APPLY
setsid bash /root/apply 2>/dev/null & program=$!
until docker ps --format '{{.Names}}' | grep --quiet '^technicia-n8n-tables$'; do sleep 0.1; done
kill -KILL -- "-$program"
docker rm --force technicia-n8n-tables`);

    expect(await observe("sqlite")).toBe("sqlite, and a move to PostgreSQL that was interrupted");
    expect(await want("sqlite")).toMatchObject({ code: 0 });
    await expectStaysOnSqlite();
  });

  it("moves with every row of every table, and n8n stands still until it uses it", async () => {
    const { code, stderr } = await want("postgres");

    expect(code, stderr).toBe(0);
    expect(stderr).toContain(
      "moved 3 workflows, 1 credentials, 1 users, 2 executions; the SQLite database stays in",
    );
    expect(await observe("postgres")).toBe("postgres");
    expect(await host.exec(RUNNING)).toBe("");
    expect(await host.exec(`ls --almost-all ${HOME}`)).not.toContain("database.sqlite");
    expect(
      await postgres("select \"startedAt\" at time zone 'UTC' from execution_entity where id = 41"),
    ).toBe("2026-11-01 10:00:00.123");
    expect(await postgres('select data, "workflowData" from execution_data')).toBe(
      '[{"tab":"a\\tb"}]|{"name":"é"}',
    );
  });

  it("is used by n8n with its owner, credentials, tables and new rows", async () => {
    // As the engine updates the service.
    await host.exec(`docker service update --quiet --detach --network-add technicia-data --secret-add source=postgres_password,uid=1000,gid=1000,mode=0400 \\
      --env-add DB_TYPE=postgresdb --env-add DB_POSTGRESDB_HOST=postgres --env-add DB_POSTGRESDB_DATABASE=n8n --env-add DB_POSTGRESDB_USER=n8n \\
      --env-add DB_POSTGRESDB_PASSWORD_FILE=/run/secrets/postgres_password --replicas 1 technicia-n8n`);
    await until("n8n is ready on PostgreSQL", isReady, 300_000);
    const credentials = (await n8n("GET", "credentials")).data as { id: string }[];
    const [credential] = credentials;
    const read = await n8n("GET", `credentials/${credential?.id}?includeData=true`);
    const tables = (await n8n("GET", "data-tables-global")).data as {
      data: { id: string; projectId: string }[];
    };
    const [table] = tables.data;
    const rows = (await n8n("GET", `projects/${table?.projectId}/data-tables/${table?.id}/rows`)).data as {
      data: object[];
    };

    expect(read.data).toMatchObject({ name: "key", data: { name: "x-key" } });
    expect(rows.data).toHaveLength(2);
    expect(rows.data[0]).toMatchObject({
      title: "un\tdeux\\",
      size: 1.5,
      done: true,
      day: "2026-11-01T10:00:00.000Z",
    });
    await n8n("POST", "workflows", { name: "four", active: false, connections: {}, settings: {}, nodes: [] });
    await n8n("POST", `projects/${table?.projectId}/data-tables/${table?.id}/insert`, {
      data: [{ title: "three" }],
      returnType: "count",
    });
    expect((await n8n("GET", "workflows")).data).toHaveLength(4);
    expect(Number(await postgres("select nextval('execution_entity_id_seq')"))).toBe(42);
  });

  it("is not brought back to SQLite, and the message says what to do", async () => {
    const container = await host.exec(RUNNING);
    const { code, stderr } = await want("sqlite");

    expect(code).toBe(1);
    expect(stderr).toContain("services.n8n.database: expected postgres, where n8n's data is, got sqlite");
    expect(stderr).toContain(
      "npx pulumi config set --path technicia:services.n8n.startEmpty true --stack prod",
    );
    expect(await host.exec(RUNNING)).toBe(container);
    expect(await observe("sqlite", true)).toBe("sqlite");
  });
});

describe("backups of the moved n8n", () => {
  interface Made {
    readonly id: string;
    readonly manifest: { readonly items: Readonly<Record<string, { readonly counts: object }>> };
  }

  it("are rehearsed with n8n on a PostgreSQL of its own", async () => {
    await host.configure({ database: "postgres" });
    const made = await host.backup<Made>("make");
    const before = await host.containers();
    const drilled = await host.backup<{ passed: boolean; findings: string[]; set: string }>("drill");

    expect(made.manifest.items["n8n"]?.counts).toMatchObject({
      workflows: 4,
      credentials: 1,
      users: 1,
      executions: 2,
    });
    expect(drilled).toMatchObject({ passed: true, findings: [], set: made.id });
    expect(await host.containers()).toBe(before);
  });

  it("bring a lost workflow back, and are taken back", async () => {
    await postgres("delete from workflow_entity where name = 'two'");
    await host.backup("restore --only n8n");
    expect(await postgres("select count(*) from workflow_entity")).toBe("4");

    await host.backup("undo");
    expect(await postgres("select count(*) from workflow_entity")).toBe("3");
  });
});
