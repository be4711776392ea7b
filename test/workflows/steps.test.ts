import { readFile, readdir, stat } from "node:fs/promises";
import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { runSteps, textOf, workflowNames, type RunStep, type WorkflowName } from "./workflow.ts";
import { startRunner, type Runner } from "./runner.ts";

let runner: Runner;

beforeEach(async () => {
  runner = await startRunner({ recording: "bump" });
});

afterEach(() => runner.close());

/** The one step of a workflow whose script has these words. */
function stepWith(workflow: WorkflowName, words: string, job?: string): RunStep {
  const found = runSteps(workflow).filter(
    (step) => step.run.includes(words) && (job === undefined || step.job === job),
  );
  const [step] = found;
  if (found.length !== 1 || !step) throw new Error(`${workflow}: ${found.length} steps with ${words}`);
  return step;
}

const every = workflowNames.flatMap((name) =>
  runSteps(name).map((step) => ({ ...step, title: step.run.split("\n")[0] })),
);

describe("every step", () => {
  it.each(every)(
    "of $workflow/$job is understood by the shell and by the command it calls: $title",
    async (step) => {
      const { output } = await runner.run(step);

      expect(output).not.toMatch(
        /syntax error|command not found|Missing script|^usage: |Unknown option|expected one of/m,
      );
      expect(output).not.toMatch(/canary-passphrase|BEGIN OPENSSH/);
    },
  );

  it.each(every.filter(({ run }) => run.startsWith("npm run ")))(
    "of $workflow/$job would fail with a flag that the command does not know: $title",
    async (step) => {
      const { code, output } = await runner.run({ ...step, run: `${step.run.trimEnd()} --no-such-flag` });

      expect(code).toBe(1);
      expect(output).toMatch(/Unknown option '--no-such-flag'[^]*^usage: npm run/m);
    },
  );

  it("has a test here", () => {
    const scripts = every.map(
      ({ run }) => run.match(/npm run \S+|npm ci|sudo hostname|install|::notice::/)?.[0],
    );

    expect(new Set(scripts)).toEqual(
      new Set([
        "npm ci",
        "npm run preview",
        "npm run drift",
        "npm run deploy",
        "sudo hostname",
        "install",
        "::notice::",
      ]),
    );
  });
});

describe("the preview's step", () => {
  const step = () => stepWith("preview", "npm run preview");

  it("comments on the pull request and leaves what the next step attaches", async () => {
    const { code, output } = await runner.run(step());

    expect({ code, output }).toMatchObject({ code: 0 });
    expect(runner.github.comments.map(({ body }) => body.split("\n", 2))).toEqual([
      ["<!-- technicia-preview:test -->", "### Preview of `test`: 6 to update, 1 to replace, 69 unchanged"],
    ]);
    expect((await readdir(join(runner.temp, "preview"))).sort()).toEqual([
      "plan.json",
      "plan.manifest.json",
      "preview.md",
    ]);
    expect(textOf("preview")).toContain("path: ${{ runner.temp }}/preview\n");
  });

  it("does not execute a stack's name", async () => {
    const { code, output } = await runner.run(step(), { "matrix.stack": 'x"; touch /tmp/never; "$(id)' });

    expect(code).toBe(0);
    expect(
      (await runner.engineCalls()).every(
        ({ args }) => args[0] === "stack" || args.includes('x"; touch /tmp/never; "$(id)'),
      ),
    ).toBe(true);
    expect(output).toContain('Preview of `x"; touch /tmp/never; "$(id)`');
  });
});

describe("the message to a fork", () => {
  it("is written into the job's summary, because the job may not comment", async () => {
    const { code, output } = await runner.run(stepWith("preview", "::notice::"));

    expect(code).toBe(0);
    expect(output).toBe("::notice::No preview: this pull request gets no secrets.\n");
    expect(await runner.summary()).toMatch(
      /^### No preview\n\nA preview needs the stack's secrets.*\nSomeone with write access/,
    );
    expect(runner.github.requests).toEqual([]);
  });
});

describe("the steps before a command that locks the state", () => {
  it.each(["drift", "deploy"] as const)(
    "of %s name the machine after the run, as the lock is recognised by",
    async (name) => {
      await runner.run(stepWith(name, "sudo hostname"));

      expect(await runner.calls()).toEqual(["sudo hostname technicia-run-77-2"]);
    },
  );

  it.each(["drift", "deploy"] as const)(
    "of %s keep the key where the settings look for it, for its owner only",
    async (name) => {
      const { code } = await runner.run(stepWith(name, "SSH_PRIVATE_KEY"));

      expect(code).toBe(0);
      const key = join(runner.home, ".ssh/id_ed25519");
      expect(await readFile(key, "utf8")).toBe(
        "-----BEGIN OPENSSH PRIVATE KEY-----\ncanary\n-----END OPENSSH PRIVATE KEY-----\n",
      );
      expect((await stat(key)).mode & 0o777).toBe(0o600);
    },
  );

  it("keep a runner's own key", async () => {
    const { code } = await runner.run(stepWith("drift", "SSH_PRIVATE_KEY"), {
      "secrets.SSH_PRIVATE_KEY": "",
    });

    expect(code).toBe(0);
    expect(await readdir(runner.home)).toEqual([]);
  });
});

describe("the deployment's steps", () => {
  it("make a plan, write it into the run's summary, and leave it for the approved job", async () => {
    const { code } = await runner.run(stepWith("deploy", "npm run preview"));

    expect(code).toBe(0);
    expect(await runner.summary()).toMatch(/^### Preview of `test`/);
    expect(await readdir(join(runner.temp, "preview"))).toContain("plan.json");
    expect(runner.github.comments).toEqual([]);
  });

  it.each([
    ["", []],
    ['disk full; $(id) "now" `x` \\', ["--emergency", "--reason", 'disk full; $(id) "now" `x` \\']],
  ])("pass the reason %j on as one word, or none", async (reason, expected) => {
    const step = stepWith("deploy", "npm run deploy");
    // The command itself is another's: here counts what it is given.
    const spied = { ...step, run: `npm() { printf '%s\\0' "$@"; }\n${step.run}` };
    const { output } = await runner.run(spied, { "inputs.emergency_reason": reason });

    expect(output.split("\0").slice(0, -1)).toEqual([
      "run",
      "deploy",
      "--",
      "test",
      "--plan",
      join(runner.temp, "preview"),
      "--yes",
      ...expected,
    ]);
  });

  it("pass words through npm unchanged", async () => {
    const step = stepWith("deploy", "npm run deploy");
    const { output } = await runner.run({
      ...step,
      run: `${step.run.trimEnd()} --only "$ODD"`,
      env: { ...step.env, ODD: 'what "$(id)" `x`' },
    });

    expect(output).toContain(`--only: expected`);
    expect(output).toContain(JSON.stringify('what "$(id)" `x`'));
  });
});
