import * as docker from "@pulumi/docker";
import { describe, expect, it } from "vitest";

import { tryRun } from "../../common/run.ts";
import { createN8nDatabase, type N8nDatabaseArgs } from "../../components/n8n-database.ts";
import { register } from "../support/engine.ts";
import { deploy, everything } from "../support/technicia.ts";

interface Inputs {
  readonly desired: string;
  readonly observe: string;
  readonly apply: string;
  readonly variables: Readonly<Record<string, string>>;
}

async function define(args: Partial<N8nDatabaseArgs> = {}): Promise<Inputs> {
  const { resource } = await register(() => {
    const provider = new docker.Provider("host", {});
    createN8nDatabase(
      "n8n-database",
      { stack: "prod", kind: "postgres", startEmpty: false, ...args },
      { provider },
    );
  });
  return resource("n8n-database").inputs as unknown as Inputs;
}

/** Runs a script where Docker's client is a function of the given text. */
async function run(
  script: string,
  { variables, docker = "" }: Pick<Inputs, "variables"> & { docker?: string },
) {
  const given = Object.entries(variables).map(([name, value]) => `export ${name}='${value}'\n`);
  return await tryRun(["bash", "-c", `docker() { ${docker || ":"}; }\n${given.join("")}${script}`]);
}

const SERVICE = (type: string) =>
  `case "$*" in "service ls"*) echo id ;; "service inspect"*) echo DB_TYPE=${type} ;; "volume ls"*) ;; esac`;

describe("createN8nDatabase", () => {
  it("wants n8n's data where the settings have it", async () => {
    expect((await define({ kind: "sqlite" })).desired).toBe("sqlite");
    expect((await define()).desired).toBe("postgres");
  });

  it("moves it once PostgreSQL runs", async () => {
    const { waitsFor } = await deploy(everything);

    expect(waitsFor("n8n-database", "technicia-postgres-service")).toBe(true);
  });

  it.each([
    ["on a new server, where the settings want it", "", "postgres"],
    ["in the database that n8n uses", SERVICE("postgresdb"), "postgres"],
  ])("finds it %s", async (_what, docker, found) => {
    const { observe, variables } = await define();

    expect(await run(observe, { variables, docker })).toMatchObject({ code: 0, stdout: `${found}\n` });
  });

  it("knows nothing when Docker does not answer, instead of taking it for a new server", async () => {
    const { observe, variables } = await define();

    expect((await run(observe, { variables, docker: "return 1" })).code).not.toBe(0);
  });

  it("accepts any database where n8n may start without its data", async () => {
    const { observe, variables } = await define({ kind: "sqlite", startEmpty: true });

    expect(await run(observe, { variables, docker: SERVICE("postgresdb") })).toMatchObject({
      stdout: "sqlite\n",
    });
  });

  it("refuses to go back to SQLite, and says how to stay or to go without the data", async () => {
    const { apply, variables, desired } = await define({ kind: "sqlite" });
    const { code, stderr } = await run(apply, {
      variables: { ...variables, OBSERVED: "postgres", DESIRED: desired },
    });

    expect(code).toBe(1);
    expect(stderr).toBe(
      "n8n's database: services.n8n.database: expected postgres, where n8n's data is, got sqlite; nothing brings data from PostgreSQL back to SQLite, " +
        "and nothing was changed. Set it back with npx pulumi config set --path technicia:services.n8n.database postgres --stack prod; " +
        "or let n8n start without its data: npx pulumi config set --path technicia:services.n8n.startEmpty true --stack prod\n",
    );
  });
});
