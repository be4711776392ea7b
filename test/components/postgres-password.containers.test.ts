/** The password of n8n's role, changed by the real script in the real image, while a connection is open. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { script } from "../../common/script.ts";
import { tryRun } from "../../common/run.ts";
import { createNetwork, docker, imageOf, type TestNetwork } from "../support/containers.ts";
import { until } from "../support/until.ts";

const PROGRAM = script(new URL("../../components/scripts/postgres-password.sh", import.meta.url));
const FIRST = "the password of the set-up";
const NEXT = `quo'te" $HOME \\ é;--`;

let network: TestNetwork;
let container: string;
let service: string;

beforeAll(async () => {
  network = await createNetwork();
  container = `${network.name}-postgres`;
  service = `${network.name}-service`;
  await network.start("postgres", [
    ...["--label", `com.docker.swarm.service.name=${service}`],
    ...["--env", "POSTGRES_DB=n8n", "--env", "POSTGRES_USER=n8n", "--env", `POSTGRES_PASSWORD=${FIRST}`],
    await imageOf("postgres"),
  ]);
  const asked = ["pg_isready", "--quiet", "--username", "n8n", "--dbname", "n8n", "--host", "127.0.0.1"];
  await until("PostgreSQL answers", () =>
    docker("exec", container, ...asked).then(
      () => true,
      () => false,
    ),
  );
});
afterAll(() => network.remove());

const run = (what: "observe" | "apply", password: string) =>
  tryRun(["bash", "-c", `${PROGRAM}\n${what}`], { environment: { SERVICE: service, PASSWORD: password } });
const observed = async (password: string) => (await run("observe", password)).stdout.trim();

describe("the script of the password", () => {
  it("tells the role's password from another one", async () => {
    expect(await observed(FIRST)).toBe("n8n logs in");
    expect(await observed(NEXT)).toBe("n8n has another password");
  });

  it("changes it while connections are open, which stay, and logs none", async () => {
    const open = docker(
      "exec",
      container,
      "psql",
      "--username",
      "n8n",
      "--command",
      "select pg_sleep(3)",
      "n8n",
    );
    expect((await run("apply", NEXT)).code).toBe(0);

    expect(await observed(NEXT)).toBe("n8n logs in");
    expect(await observed(FIRST)).toBe("n8n has another password");
    await expect(open).resolves.toContain("pg_sleep");
    expect(await docker("logs", container)).not.toContain("quo'te");
  });

  it("fails where no container runs", async () => {
    const { code, stderr } = await tryRun(["bash", "-c", `${PROGRAM}\nobserve`], {
      environment: { SERVICE: "absent", PASSWORD: FIRST },
    });
    expect(code).not.toBe(0);
    expect(stderr).toContain("absent: expected its container to run, got none");
  });
});
