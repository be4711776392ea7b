import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { script } from "../../../common/script.ts";
import { run } from "../../../common/run.ts";
import { docker } from "../../../rehearsal/docker.ts";
import { Bench, call, type Container, images, published } from "./container.ts";
import { importWorkflow } from "./echo-workflow.ts";
import { until } from "../../support/until.ts";

const START_SECONDS = 90;
const OWNER = { email: "owner@technicia.example", firstName: "A", lastName: "B", password: "Passwort-1234" };

const NEXT = { ...OWNER, email: "next@technicia.example", lastName: "C", password: "Autre-Passwort-5678" };

const bench = new Bench();
let secrets: string;
let n8n: Container;
let url: string;

beforeAll(async () => {
  const { overrides } = await images();
  secrets = await mkdtemp(join(tmpdir(), "technicia-n8n-"));
  await chmod(secrets, 0o755);
  await writeFile(join(secrets, "key"), "an-encryption-key-of-this-test");
  const volume = await bench.volume();
  const data = ["--volume", `${volume}:/home/node/.n8n`, "--volume", `${secrets}:/run/secrets:ro`];
  const quiet = [
    "--env",
    "N8N_DIAGNOSTICS_ENABLED=false",
    "--env",
    "N8N_ENCRYPTION_KEY_FILE=/run/secrets/key",
  ];
  const args = [...data, ...quiet, "--env", "N8N_SECURE_COOKIE=false", "--publish", "127.0.0.1::5678"];
  n8n = await bench.start(await published(overrides["n8n"] ?? "n8nio/n8n:2.41.3"), args);
  url = await started();
});

afterAll(async () => {
  await bench.remove();
  await rm(secrets, { recursive: true });
});

/** n8n is ready, by its own word, some time before it takes calls. */
async function started(): Promise<string> {
  await n8n.ready(5678, "/healthz/readiness", START_SECONDS);
  return n8n.ready(5678, "/rest/settings", START_SECONDS);
}

async function logIn(account: typeof OWNER): Promise<unknown> {
  const login = { emailOrLdapLoginId: account.email, password: account.password };
  const answer = await fetch(`${url}/rest/login`, {
    method: "POST",
    body: JSON.stringify(login),
    headers: { "content-type": "application/json" },
  });
  return { status: answer.status, cookie: answer.headers.get("set-cookie")?.split("=")[0] };
}

/** As the resource does when the settings change. */
async function applyOwner(account: typeof OWNER, previous: typeof OWNER): Promise<void> {
  const state = "the instance has an owner";
  await run(["bash", "-s"], {
    input: script(new URL("../../../components/scripts/n8n-owner-apply.sh", import.meta.url)),
    environment: {
      N8N: url,
      OBSERVED: state,
      DESIRED: state,
      OWNER: JSON.stringify(account),
      PREVIOUS_OWNER: JSON.stringify(previous),
    },
  });
}

/** Run in the image: requires what n8n would when a workflow uses it, and prints how many can be had and the names of those that cannot. */
const LOAD_EVERYTHING = `
const { createRequire } = require("node:module");
const program = createRequire(require("node:fs").realpathSync("/usr/local/bin/n8n"));
const failed = [];
let loaded = 0;
for (const name of ["n8n-nodes-base", "@n8n/n8n-nodes-langchain"]) {
  const load = createRequire(program.resolve(name + "/package.json"));
  for (const kind of ["nodes", "credentials"]) {
    for (const [one, { sourcePath }] of Object.entries(load("./dist/known/" + kind + ".json"))) {
      try {
        load("./" + sourcePath);
        loaded += 1;
      } catch {
        failed.push(one);
      }
    }
  }
}
console.log(JSON.stringify({ loaded, failed }));
// Some of them keep timers.
process.exit();
`;

describe("the n8n image", () => {
  it("runs as node (1000) under tini and keeps its settings from others", async () => {
    expect((await n8n.exec(["id"])).trim()).toBe("uid=1000(node) gid=1000(node) groups=1000(node)");
    expect(await n8n.shell("cat /proc/1/comm; pwd; stat -c '%a' ~/.n8n/config")).toBe(
      "tini\n/home/node\n600\n",
    );
  });

  it("answers the health check that its own wget sends", async () => {
    await expect(n8n.exec(["wget", "-qO-", "http://127.0.0.1:5678/healthz/readiness"])).resolves.toBe(
      '{"status":"ok"}',
    );
  });

  it("is the version of its tag, with the command line", async () => {
    const image = await n8n.inspect("{{.Config.Image}}");
    const tag = Object.entries((await images()).published).find(([, local]) => local === image)?.[0];

    expect(`n8nio/n8n:${(await n8n.exec(["n8n", "--version"])).trim()}`).toBe(tag);
  });

  it("has every node and every credential that n8n knows, whatever was taken out of it", async () => {
    const printed = await n8n.exec(["node", "-"], LOAD_EVERYTHING);
    const { loaded, failed } = JSON.parse(printed.trim().split("\n").at(-1) ?? "") as {
      loaded: number;
      failed: string[];
    };

    expect(loaded).toBeGreaterThan(900);
    // n8n 2.3.6 lacks it from the start: the node requires date-fns, on which no package of n8n's depends.
    expect(failed.filter((name) => name !== "extractFromFile")).toEqual([]);
  });

  it("takes its encryption key from a file", async () => {
    expect(await n8n.shell("cat ~/.n8n/config")).toContain("an-encryption-key-of-this-test");
  });

  it("serves the editor", async () => {
    const page = await fetch(url, { headers: { "user-agent": "Mozilla/5.0 Firefox/130" } });

    expect(await page.text()).toContain("<title>n8n.io - Workflow Automation</title>");
  });

  it("makes its owner once and refuses another", async () => {
    expect((await call("POST", `${url}/rest/owner/setup`, OWNER)).status).toBe(200);
    expect(
      (await call("POST", `${url}/rest/owner/setup`, { ...OWNER, email: "other@technicia.example" })).status,
    ).toBe(400);
  });

  // n8n refuses the sixth sign-in within some minutes.
  it("lets its owner be changed with the settings, also after a change that ended half-way", async () => {
    await applyOwner({ ...OWNER, password: NEXT.password }, OWNER);
    await applyOwner(NEXT, OWNER);

    expect(await logIn(NEXT)).toEqual({ status: 200, cookie: "n8n-auth" });
  });

  it("runs an imported workflow's code and answers its webhook after a restart", async () => {
    await importWorkflow(n8n);
    const { seconds } = await n8n.stop(40);
    await docker(["start", n8n.name]);
    url = await started();

    expect(seconds).toBeLessThan(30);
    const answer = await until("the webhook exists", async () => {
      const { status, body } = await call("POST", `${url}/webhook/echo`, { words: "bonjour" });
      return status === 404 ? undefined : { status, body };
    });
    expect(answer).toEqual({ status: 200, body: { answer: "BONJOUR" } });
  });

  it("keeps its owner, and says what to do, when nothing that the settings know signs in", async () => {
    const change = applyOwner({ ...OWNER, email: "third@technicia.example" }, OWNER);

    await expect(change).rejects.toThrow(/got none of them.*set them back in n8n/s);
    expect(await logIn(NEXT)).toMatchObject({ status: 200 });
  });
});
