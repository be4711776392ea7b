import { existsSync } from "node:fs";
import { chmod, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { CONTROL_PATH, prepareControlFolder } from "../../provider/ssh/control-folder.ts";
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
      expect(output).not.toMatch(/canary-passphrase|canary-registry|BEGIN OPENSSH/);
    },
  );

  it.each(every.filter(({ run }) => run.includes("npm run ")))(
    "of $workflow/$job would fail with a flag that the command does not know: $title",
    async (step) => {
      const { code, output } = await runner.run({ ...step, run: `${step.run.trimEnd()} --no-such-flag` });

      expect(code).toBe(1);
      expect(output).toMatch(/Unknown option '--no-such-flag'[^]*^usage: npm run/m);
    },
  );

  it("has a test here", () => {
    const scripts = every.map(
      ({ run }) => run.match(/npm run \S+|npm ci|sudo hostname|\.github\/\S+|::notice::/)?.[0],
    );

    expect(new Set(scripts)).toEqual(
      new Set([
        "npm ci",
        "npm run tools",
        "npm run scan",
        "npm run preview",
        ".github/with-ssh-key",
        ".github/only-main",
        ".github/own-home",
        ".github/clean-up",
        "sudo hostname",
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
    const trace = join(tmpdir(), `technicia-never-${process.pid}`);
    const { code, output } = await runner.run(step(), { "matrix.stack": `x"; touch "${trace}"; "$(id)` });

    expect(code).toBe(1);
    expect(output).toContain(`stack: expected`);
    expect(existsSync(trace)).toBe(false);
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
  it.each(["drift", "deploy", "rollback"] as const)(
    "of %s name the machine after the run, as the lock is recognised by",
    async (name) => {
      await runner.run(stepWith(name, "sudo hostname"));

      expect(await runner.calls()).toEqual(["sudo hostname technicia-run-77-2"]);
    },
  );
});

describe.each(["drift", "deploy", "rollback"] as const)("the job of %s", (name) => {
  const step = (words: string) => stepWith(name, words, name);
  /** The step with the key, with another command that prints what it has. */
  const withKey = (command: string) => {
    const own = step(".github/with-ssh-key");
    return { ...own, run: own.run.replace(/npm run .*/, command) };
  };

  it("gives its command the environment's key in an agent, and no other step", async () => {
    await runner.run(step(".github/own-home"));
    const shown = "bash -c 'ssh-add -L; cat \"$HOME/.ssh/id_ed25519.pub\"; env'";
    const { code, output } = await runner.run(withKey(shown));

    const [held, named] = output.split("\n");
    expect({ code, named }).toEqual({ code: 0, named: held });
    expect(held).toMatch(/^ssh-ed25519 AAAA/);
    expect(output).not.toMatch(/BEGIN OPENSSH|^SSH_PRIVATE_KEY=/m);
  });

  it("writes the key to no file, leaves the runner's own alone, and removes everything at its end", async () => {
    const own = join(runner.home, ".ssh/id_ed25519");
    await mkdir(join(runner.home, ".ssh"));
    await writeFile(own, "the runner's own");
    await runner.run(step(".github/own-home"));
    const search = `grep -rl "BEGIN OPENSSH" "$RUNNER_TEMP" "${runner.home}"`;
    const during = await runner.run(withKey(`bash -c '${search.replaceAll("'", "")}'`));

    // grep's code for "found nothing".
    expect(during).toEqual({ code: 1, output: "" });
    await runner.run(step(".github/clean-up"));
    expect(await readdir(runner.temp)).toEqual([]);
    expect(await readFile(own, "utf8")).toBe("the runner's own");
  });

  it("closes the connections to the server that are still open", async () => {
    await runner.run(step(".github/own-home"));
    const socket = CONTROL_PATH.replace("%i", String(userInfo().uid)).replace(
      "%C",
      `test-${process.pid}-${name}`,
    );
    prepareControlFolder();
    const master = createServer().listen(socket);
    await writeFile(join(runner.bin, "ssh"), `#!/bin/bash\necho "ssh $*"\n`);
    await chmod(join(runner.bin, "ssh"), 0o755);
    const { code, output } = await runner.run(step(".github/clean-up"));
    master.close();

    expect(code).toBe(0);
    expect(output.split("\n")).toContain(`ssh -n -O exit -o ControlPath=${socket} closed`);
  });

  it("uses a key of the runner's own where the environment has none", async () => {
    const { code, output } = await runner.run(withKey('bash -c "echo agent: $SSH_AUTH_SOCK"'), {
      "secrets.SSH_PRIVATE_KEY": "",
    });

    expect({ code, output }).toEqual({ code: 0, output: "agent:\n" });
  });

  it("refuses a key for settings that name a file outside the home", async () => {
    await writeFile(
      join(runner.checkout, "Pulumi.absolute.yaml"),
      "config:\n  technicia:ssh:\n    privateKeyFile: /etc/keys/technicia\n",
    );
    const stack = {
      "matrix.stack": "absolute",
      "inputs.stack || 'test'": "absolute",
      "inputs.stack": "absolute",
    };
    const { code, output } = await runner.run(withKey("true"), stack);

    expect(code).toBe(1);
    expect(output).toContain("::error::ssh.privateKeyFile: expected a path from ~/");
  });

  it("runs from main only", async () => {
    const refused = await runner.run(step(".github/only-main"), { "github.ref": "refs/heads/mine" });

    expect(refused.code).toBe(1);
    expect(refused.output).toBe(
      "::error::refs/heads/mine: expected refs/heads/main; merge the branch, then run this from main\n",
    );
    expect(await runner.run(step(".github/only-main"))).toEqual({ code: 0, output: "" });
  });
});

describe("the rollback's step", () => {
  it.each([
    ["", []],
    ["12", ["--to", "12"]],
  ])("passes the reason on as one word, and the release %j", async (release, expected) => {
    const step = stepWith("rollback", ".github/with-ssh-key");
    const spied = { ...step, run: step.run.replace("npm", `printf '%s\\0' npm`) };
    const reason = 'disk full; $(id) "now" `x` \\';
    const { output } = await runner.run(spied, { "inputs.reason": reason, "inputs.release": release });

    expect(output.split("\0").slice(0, -1)).toEqual([
      "npm",
      "run",
      "rollback",
      "--",
      "test",
      "--reason",
      reason,
      ...expected,
      "--yes",
    ]);
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
    const spied = { ...step, run: step.run.replace("npm", `printf '%s\\0'`) };
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
