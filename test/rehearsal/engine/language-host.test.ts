import { join } from "node:path";

import analyzer from "@pulumi/pulumi/proto/analyzer_pb.js";
import messages from "@pulumi/pulumi/proto/language_pb.js";
import struct from "google-protobuf/google/protobuf/struct_pb.js";
import { describe, expect, it } from "vitest";

import { renderPackCommand, renderStack } from "../../../rehearsal/engine/policy-pack.ts";
import { readEnding, renderArguments, renderEnvironment } from "../../../rehearsal/engine/language-host.ts";

function request(): messages.RunRequest {
  const info = new messages.ProgramInfo();
  info.setRootDirectory("/project");
  info.setProgramDirectory("/project");
  info.setEntryPoint("stacks/index.ts");
  const run = new messages.RunRequest();
  run.setMonitorAddress("127.0.0.1:1");
  run.setProject("technicia");
  run.setStack("test");
  run.setPwd("/project");
  run.setParallel(8);
  run.setInfo(info);
  return run;
}

describe("renderArguments", () => {
  it("passes everything that the runner needs", () => {
    const run = request();
    run.setOrganization("organization");
    run.setDryrun(true);
    run.setArgsList(["one", "two"]);

    expect(renderArguments(run, "127.0.0.1:2")).toEqual([
      ...["--monitor", "127.0.0.1:1"],
      ...["--engine", "127.0.0.1:2"],
      ...["--project", "technicia"],
      ...["--stack", "test"],
      ...["--organization", "organization"],
      ...["--root-directory", "/project"],
      ...["--pwd", "/project"],
      ...["--parallel", "8"],
      "--dry-run",
      "stacks/index.ts",
      "one",
      "two",
    ]);
  });

  it("omits flags that the engine does not set", () => {
    expect(renderArguments(request(), "127.0.0.1:2")).not.toContain("--organization");
    expect(renderArguments(request(), "127.0.0.1:2")).not.toContain("--dry-run");
  });
});

describe("renderEnvironment", () => {
  it("passes the configuration and the names of its secrets", () => {
    const run = request();
    run.getConfigMap().set("technicia:domain", "example.com");
    run.setConfigsecretkeysList(["technicia:voyageApiKey"]);

    expect(renderEnvironment(run)).toEqual({
      PULUMI_CONFIG: '{"technicia:domain":"example.com"}',
      PULUMI_CONFIG_SECRET_KEYS: '["technicia:voyageApiKey"]',
      PULUMI_NODEJS_TYPESCRIPT: "true",
    });
  });

  it("switches the compiler off when the project says so", () => {
    const run = request();
    run.getInfo()?.setOptions(struct.Struct.fromJavaScript({ typescript: false }));

    expect(renderEnvironment(run).PULUMI_NODEJS_TYPESCRIPT).toBe("false");
  });
});

describe("a policy pack", () => {
  it("gets the stack and its configuration in the variables that the SDK reads", () => {
    const stack = new analyzer.AnalyzerStackConfigureRequest();
    stack.setOrganization("organization");
    stack.setProject("technicia");
    stack.setStack("test");
    stack.setDryRun(true);
    stack.getConfigMap().set("technicia:domain", "example.com");

    expect(renderStack(stack)).toEqual({
      PULUMI_NODEJS_ORGANIZATION: "organization",
      PULUMI_NODEJS_PROJECT: "technicia",
      PULUMI_NODEJS_STACK: "test",
      PULUMI_NODEJS_DRY_RUN: "true",
      PULUMI_CONFIG: '{"technicia:domain":"example.com"}',
    });
  });

  it("is run by the SDK's own runner, with its folder as the last argument", () => {
    const pack = join(import.meta.dirname, "../../../stacks/policy");
    const info = new messages.ProgramInfo();
    info.setProgramDirectory(pack);
    const plugin = new messages.RunPluginRequest();
    plugin.setInfo(info);
    plugin.setArgsList(["127.0.0.1:2"]);

    const [, runner, ...args] = renderPackCommand(plugin);
    expect(runner).toMatch(/@pulumi\/pulumi\/cmd\/run-policy-pack\/index\.js$/);
    expect(args).toEqual(["127.0.0.1:2", pack]);
  });
});

describe("readEnding", () => {
  it("distinguishes errors to report from those that the user has seen", () => {
    expect(readEnding(0, null)).toEqual({});
    expect(readEnding(32, null)).toEqual({ bail: true });
    expect(readEnding(3, null)).toEqual({ error: "Program exited with non-zero exit code: 3" });
    expect(readEnding(null, "SIGKILL")).toEqual({ error: "Program was killed by signal SIGKILL" });
  });
});
