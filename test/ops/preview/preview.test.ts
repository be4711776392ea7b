import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { hostname, tmpdir, userInfo } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { processSpace } from "../../../common/is-alive.ts";
import { runsFolder } from "../../../ops/engine/runs.ts";
import { secretsOfEnvironment } from "../../../ops/preview/preview.ts";
import { pullRequest, startGithub, type FakeGithub } from "../vendors/fake-github.ts";
import { openCheckout, type Checkout } from "./checkout.ts";
import { diffText, eventLog, manyDeletions, savedPlan } from "./recorded.ts";

const CANARY = "canary-7f3a9c0e5b1d";

let engine: Checkout;

beforeEach(async () => {
  engine = await openCheckout({ recording: "bump" });
});

afterEach(() => engine.close());

const read = (name: string) => readFile(join(engine.project, name), "utf8");

describe("npm run preview -- <stack>", () => {
  it("prints what would change, from the engine's events, and leaves nothing behind", async () => {
    const run = await engine.run(["preview", "test"]);

    expect(run).toMatchObject({ code: 0, stderr: "" });
    expect(run.stdout).toMatch(/^### Preview of `test`: 6 to update, 1 to replace, 69 unchanged\n/);
    expect(run.stdout).toContain("The host was not read");
    expect(run.stdout).toContain("`technicia/vector-store:1.0.1`");
    expect(run.stdout).toContain("Previewing update (test):");
    expect(await readdir(engine.project)).toEqual([".git", "Pulumi.yaml"]);
  });

  it("asks the engine for its events and its plan, and changes no resource", async () => {
    await engine.run(["preview", "test", "--out", "result"]);

    const calls = await engine.calls();
    const [preview] = calls.filter(({ args }) => args[0] === "preview");
    expect(preview).toMatchObject({ debugCommands: "true" });
    expect(preview?.args.join(" ")).toMatch(
      /^preview --diff --color never --stack test --save-plan \S+\/result\/plan\.json --event-log \S+events\.jsonl --policy-pack stacks\/policy --non-interactive$/,
    );
    expect(calls.map(({ args }) => args[0]).sort()).toEqual(["config", "preview", "stack"]);
  });

  it("reads the real resources first with --refresh, and then has no note about the host", async () => {
    const { stdout } = await engine.run(["preview", "test", "--refresh", "--out", "result"]);

    expect(stdout).not.toContain("The host was not read");
    const calls = await engine.calls();
    expect(calls.some(({ args }) => args[0] === "preview" && args.includes("--refresh"))).toBe(true);
    expect(JSON.parse(await read("result/plan.manifest.json"))).toMatchObject({ refreshed: true });
  });

  it("keeps the plan, what it was made from, and the whole preview", async () => {
    const { stdout } = await engine.run(["preview", "test", "--out", "result"]);

    expect(await read("result/plan.json")).toBe(savedPlan());
    expect(JSON.parse(await read("result/plan.manifest.json"))).toMatchObject({
      stack: "test",
      revision: expect.stringMatching(/^[0-9a-f]{40}$/) as string,
      source: expect.stringMatching(/^[0-9a-f]{40}$/) as string,
      stateAsOf: "2026-11-21T07:06:22.814Z",
      refreshed: false,
    });
    expect(`${await read("result/preview.md")}`).toBe(stdout);
  });

  it("does not count its own results as changed files, but every other one", async () => {
    const source = async () =>
      (JSON.parse(await read("result/plan.manifest.json")) as { source: string }).source;
    await engine.run(["preview", "test", "--out", "result"]);
    const first = await source();
    await engine.run(["preview", "test", "--out", "result"]);
    expect(await source()).toBe(first);

    await writeFile(join(engine.project, "module.ts"), "export {};\n");
    await engine.run(["preview", "test", "--out", "result"]);
    const second = await source();
    expect(second).not.toBe(first);

    await writeFile(join(engine.project, "module.ts"), "export default 1;\n");
    const { stdout } = await engine.run(["preview", "test", "--out", "result"]);
    expect(await source()).not.toBe(second);
    expect(stdout).toMatch(/^Commit `[0-9a-f]{40}\+`\.$/m);
  });

  it("shows no secret of the settings or the environment, wherever it turns up", async () => {
    const secrets = { "technicia:voyageApiKey": CANARY };
    const events = eventLog("bump").replaceAll(
      "technicia/vector-store:1.0.1",
      `image-${CANARY}-ghp_canarytoken`,
    );
    const warning = JSON.stringify({
      diagnosticEvent: { severity: "warning", message: `refused ${CANARY}`, urn: "" },
    });
    await engine.play({
      recording: "bump",
      events: `${warning}\n${events}`,
      diff: `${diffText("bump")}\n  + key: "${CANARY}"\n`,
      secrets,
    });

    const run = await engine.run(["preview", "test", "--out", "result"], { GITHUB_TOKEN: "ghp_canarytoken" });

    expect(run.code).toBe(0);
    expect(run.stdout).toContain("image-[secret]-[secret]");
    expect(run.stdout).toContain("refused [secret]");
    expect(run.stdout).toContain('+ key: "[secret]"');
    for (const file of ["preview.md", "plan.manifest.json"]) {
      expect(await read(`result/${file}`)).not.toMatch(/canary/);
    }
    expect(run.stdout + run.stderr).not.toMatch(/canary/);
    const told = (await engine.calls()).flatMap(({ args }) => args).join(" ");
    expect(told).not.toMatch(/canary/);
  });

  it("fails with the program's error when there is no preview, and deletes an older plan", async () => {
    await engine.run(["preview", "test", "--out", "result"]);
    await engine.play({ recording: "firewall", stderr: "error: preview failed\n" });

    const run = await engine.run(["preview", "test", "--out", "result"]);

    expect(run).toMatchObject({ code: 1, stderr: "" });
    expect(run.stdout).toMatch(/^### Preview of `test`: failed\n/);
    expect(run.stdout).toContain("technicia:ssh.adminCidrs.v4[0]: expected an IPv4 range no wider than /8");
    expect(await readdir(join(engine.project, "result"))).toEqual(["preview.md"]);
  });

  it("shows what the CLI printed when the engine did not even start", async () => {
    await engine.play({
      recording: "bump",
      events: "",
      diff: "",
      stderr: "error: no stack named 'test' found\n",
    });

    const run = await engine.run(["preview", "test"]);

    expect(run.code).toBe(1);
    expect(run.stdout).toContain(
      "test: there is no stack of that name; pulumi stack ls lists yours, and pulumi stack init test would create it",
    );
  });

  it("releases the lock that a killed preview of this machine left", async () => {
    // No process has a number beyond what the kernel gives.
    const locked =
      "error: the stack is currently locked by 1 lock(s). Either wait for the other process(es) to end or delete the lock file with `pulumi cancel`.\n" +
      `  file:///b/.pulumi/locks/organization/technicia/test/0.json: created by ${userInfo().username}@${hostname()} (pid 999999999) at 2026-11-21T06:00:00Z\n`;
    await engine.play({ recording: "bump", locked });
    const started = { stack: "test", pid: 999_999_999, started: "1", space: processSpace(), at: 0 };
    const stateHome = await mkdtemp(join(tmpdir(), "state-"));
    const noted = runsFolder({ XDG_STATE_HOME: stateHome });
    await mkdir(noted, { recursive: true });
    await writeFile(join(noted, "999999999-1.json"), JSON.stringify(started));

    const run = await engine.run(["preview", "test"], { XDG_STATE_HOME: stateHome });
    await rm(stateHome, { recursive: true });

    expect(run.code).toBe(0);
    expect(run.stderr).toMatch(
      /^released the lock of .* that process of this machine runs no more; npm run resume -- test/,
    );
    expect((await engine.calls()).map(({ args }) => args[0]).slice(-4)).toEqual([
      "preview",
      // Whether it is still the same lock.
      "preview",
      "cancel",
      "preview",
    ]);
  });

  it("leaves another's lock alone", async () => {
    const locked =
      "error: the stack is currently locked by 1 lock(s). Either wait for the other process(es) to end or delete the lock file with `pulumi cancel`.\n" +
      "  s3://state/.pulumi/locks/organization/technicia/test/0.json: created by alice@elsewhere (pid 12) at 2026-11-21T06:00:00Z\n";
    await engine.play({ recording: "bump", locked });

    const run = await engine.run(["preview", "test"]);

    expect(run.code).toBe(1);
    expect(run.stderr).toContain("alice@elsewhere (pid 12) since 2026-11-21T06:00:00Z: another machine");
    expect((await engine.calls()).some(({ args }) => args[0] === "cancel")).toBe(false);
  });

  it.each([
    [["preview"], "expected the name of one stack (test, staging, prod), got 0"],
    [["preview", "test", "prod"], "expected the name of one stack (test, staging, prod), got 2"],
    [["preview", "test", "--yes"], "Unknown option '--yes'"],
  ])("fails when the command line is %j", async (args, expected) => {
    const run = await engine.run(args);

    expect(run).toMatchObject({ code: 1, stdout: "" });
    expect(run.stderr).toContain(expected);
    expect(run.stderr).toContain(
      "usage: npm run preview -- <stack> [--out <folder>] [--refresh] [--comment]",
    );
  });

  it("fails outside of a checkout", async () => {
    const run = await engine.run(["preview", "test"], { GIT_DIR: "/nowhere" });

    expect(run).toMatchObject({ code: 1, stdout: "" });
    expect(run.stderr).toMatch(
      /^git \S+: expected a checkout with a commit, got: fatal: not a git repository/,
    );
  });
});

describe("npm run preview -- <stack> --comment", () => {
  let github: FakeGithub;
  let environment: Record<string, string>;

  beforeEach(async () => {
    github = await startGithub();
    github.issues.push(pullRequest(7));
    const event = join(engine.bin, "event.json");
    await writeFile(event, JSON.stringify({ pull_request: { number: 7 } }));
    environment = { ...github.environment, GITHUB_EVENT_PATH: event };
  });

  afterEach(() => github.close());

  it("writes one comment a stack, in place", async () => {
    await engine.run(["preview", "test", "--comment"], environment);
    await engine.run(["preview", "prod", "--comment"], environment);
    await engine.play({ recording: "secret" });
    await engine.run(["preview", "test", "--comment"], environment);

    expect(github.comments.map(({ body }) => body.split("\n").slice(0, 2))).toEqual([
      ["<!-- technicia-preview:test -->", "### Preview of `test`: 4 to update, 2 to replace, 70 unchanged"],
      ["<!-- technicia-preview:prod -->", "### Preview of `prod`: 6 to update, 1 to replace, 69 unchanged"],
    ]);
  });

  it("cuts the comment at GitHub's limit, says what is missing, and keeps the whole", async () => {
    await engine.play({
      recording: "destroy",
      events: manyDeletions(200),
      diff: diffText("destroy").repeat(4),
    });
    const run = await engine.run(["preview", "test", "--out", "result", "--comment"], {
      ...environment,
      GITHUB_SERVER_URL: "https://github.example",
      GITHUB_RUN_ID: "77",
    });

    expect(run.code).toBe(0);
    const [comment] = github.comments;
    expect(comment?.body.length).toBeLessThanOrEqual(65_536);
    expect(comment?.body).toMatch(
      /^Left out here: (\d+ rows, )?\d+ lines of the diff; the full preview is in preview\.md among the \[run's artifacts\]\(https:\/\/github\.example\/technicia\/infrastructure\/actions\/runs\/77#artifacts\)\.$/m,
    );
    expect((await read("result/preview.md")).match(/^\| \w+ \| .* \| delete \|/gm)).toHaveLength(200);
  });

  it("comments that the preview failed, and fails", async () => {
    await engine.play({ recording: "firewall", stderr: "error: preview failed\n" });

    const run = await engine.run(["preview", "test", "--comment"], environment);

    expect(run.code).toBe(1);
    expect(github.comments.map(({ body }) => body)).toEqual([
      expect.stringMatching(
        /^<!-- technicia-preview:test -->\n### Preview of `test`: failed\n[^]*got "0\.0\.0\.0\/1"/,
      ),
    ]);
  });

  it("writes the same into the job's summary", async () => {
    const summary = join(engine.bin, "summary.md");
    await engine.run(["preview", "test"], { GITHUB_STEP_SUMMARY: summary });

    expect(await readFile(summary, "utf8")).toMatch(/^### Preview of `test`: 6 to update/);
  });

  it("prints the preview also when it cannot be commented, and fails", async () => {
    github.refuse(/POST .*comments/, { status: 403, message: "Resource not accessible by integration" });

    const run = await engine.run(["preview", "test", "--comment"], environment);

    expect(run.code).toBe(1);
    expect(run.stdout).toMatch(/^### Preview of `test`: 6 to update/);
    expect(run.stdout).toContain('give the job "pull-requests: write"');
    expect(run.stdout + run.stderr).not.toContain(environment["GITHUB_TOKEN"]);
  });

  it("says before the preview what is missing to comment", async () => {
    const run = await engine.run(["preview", "test", "--comment"]);

    expect(run.code).toBe(1);
    expect(run.stderr).toMatch(/^GITHUB_TOKEN: expected a token, got nothing.*\nGITHUB_REPOSITORY: expected/);
    expect(await engine.calls()).toEqual([]);
  });
});

describe("secretsOfEnvironment", () => {
  it("returns the values of variables named like a secret", () => {
    const environment = {
      GITHUB_TOKEN: "ghs_12345",
      PULUMI_CONFIG_PASSPHRASE: "open sesame",
      AWS_SECRET_ACCESS_KEY: "aws-secret",
      PULUMI_ACCESS_TOKEN: "pul-12345",
      PATH: "/bin",
      PULUMI_CONFIG_PASSPHRASE_FILE: "/run/passphrase",
    };

    expect(secretsOfEnvironment(environment)).toEqual([
      "ghs_12345",
      "open sesame",
      "aws-secret",
      "pul-12345",
    ]);
  });

  it("ignores values as short as an everyday word", () => {
    expect(secretsOfEnvironment({ PULUMI_CONFIG_PASSPHRASE: "test", GITHUB_TOKEN: "" })).toEqual([]);
  });
});
