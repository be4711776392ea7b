import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { tryRun } from "../../../common/run.ts";
import { docker } from "../../../rehearsal/docker.ts";
import { until } from "../../support/until.ts";
import { Bench, call, type Container, images, published } from "./container.ts";
import { importWorkflow } from "./echo-workflow.ts";

const START_SECONDS = 90;
const TOKEN = "a-token-of-this-test";

const bench = new Bench();
let secrets: string;
let network: string;
let n8n: Container;
let runners: Container;
let url: string;

/** As the service has it: nothing writable but /tmp, and no rights. */
function startRunners(token: string): Promise<Container> {
  const place = ["--read-only", "--tmpfs", "/tmp", "--user", "1000", "--cap-drop", "ALL"];
  const environment = {
    N8N_RUNNERS_TASK_BROKER_URI: "http://n8n:5679",
    N8N_RUNNERS_AUTH_TOKEN_FILE: `/run/secrets/${token}`,
    N8N_RUNNERS_AUTO_SHUTDOWN_TIMEOUT: "2",
    N8N_RUNNERS_LAUNCHER_BROKER_READINESS_POLL_INTERVAL_MS: "200",
  };
  return imageOf("n8nRunners").then((image) => bench.start(image, [...place, ...shared(environment)]));
}

function shared(environment: Readonly<Record<string, string>>): string[] {
  const values = Object.entries(environment).flatMap(([name, value]) => ["--env", `${name}=${value}`]);
  return ["--network", network, "--volume", `${secrets}:/run/secrets:ro`, ...values];
}

async function imageOf(setting: "n8n" | "n8nRunners"): Promise<string> {
  const usual = { n8n: "n8nio/n8n:2.41.3", n8nRunners: "n8nio/runners:2.41.3" };
  return published((await images()).overrides[setting] ?? usual[setting]);
}

const started = () => n8n.ready(5678, "/rest/settings", START_SECONDS);
const runs = async (container: Container) => (await docker(["top", container.name])).includes("task-runner");
const ask = () => call("POST", `${url}/webhook/echo`, { words: "bonjour" });

beforeAll(async () => {
  secrets = await mkdtemp(join(tmpdir(), "technicia-runners-"));
  await chmod(secrets, 0o755);
  await writeFile(join(secrets, "token"), `${TOKEN}\n`);
  await writeFile(join(secrets, "wrong"), "another-token");
  network = await bench.network();
  const environment = {
    N8N_ENCRYPTION_KEY: "an-encryption-key-of-this-test",
    N8N_DIAGNOSTICS_ENABLED: "false",
    N8N_RUNNERS_MODE: "external",
    N8N_RUNNERS_AUTH_TOKEN_FILE: "/run/secrets/token",
    N8N_RUNNERS_BROKER_LISTEN_ADDRESS: "0.0.0.0",
  };
  const args = ["--network-alias", "n8n", "--publish", "127.0.0.1::5678", ...shared(environment)];
  n8n = await bench.start(await imageOf("n8n"), args);
  url = await started();
  await importWorkflow(n8n);
  await docker(["restart", n8n.name]);
  url = await started();
  runners = await startRunners("token");
});

afterAll(async () => {
  await bench.remove();
  await rm(secrets, { recursive: true });
});

describe("the image of n8n's runners", () => {
  it("answers the health check that its own wget sends, and runs no runner until there is a task", async () => {
    await until("the launcher offers itself", async () =>
      (await runners.logs()).includes("waiting for a task"),
    );
    await expect(runners.exec(["wget", "-q", "-O", "-", "http://127.0.0.1:5680/healthz"])).resolves.toContain(
      "ok",
    );
    expect(await runs(runners)).toBe(false);
  });

  it("runs the code of a workflow, and not n8n", async () => {
    const answer = await until("the webhook exists", async () => {
      const { status, body } = await ask();
      return status === 404 ? undefined : { status, body };
    });

    expect(answer).toEqual({ status: 200, body: { answer: "BONJOUR" } });
    expect([await runs(runners), await runs(n8n)]).toEqual([true, false]);
  });

  it("ends the runner when it is idle, and starts another for the next task", async () => {
    await until("the runner has ended", async () => !(await runs(runners)));

    expect(await ask()).toEqual({ status: 200, body: { answer: "BONJOUR" } });
  });

  it("ends with its runner when Docker stops it", async () => {
    expect(await ask()).toMatchObject({ status: 200 });
    const { exitCode, seconds } = await runners.stop();

    expect(exitCode).toBe(0);
    expect(seconds).toBeLessThan(15);
  });

  it("ends with an error, and keeps the token to itself, where n8n has another", async () => {
    const refused = await startRunners("wrong");

    expect(await refused.end()).toBe(1);
    const { stdout, stderr } = await tryRun(["docker", "logs", refused.name]);
    expect(`${stdout}${stderr}`).toBe("the broker refuses the token with status 403\n");
  });
});
