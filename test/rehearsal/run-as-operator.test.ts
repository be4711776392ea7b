import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { describe, expect, it, onTestFinished } from "vitest";

import { operatorEnvironment, rehearsedSettings } from "../../rehearsal/run-as-operator.ts";

/** All that a command of the operator may have; for a state at S3 also AWS_*. None of them changes trust or addresses. */
const ALLOWED = /^(HOME|PATH|TERM|LANG|USER|SSH_AUTH_SOCK|PULUMI_[A-Z_]+)$/;

describe("the environment of the operator's commands", () => {
  const ours = {
    HOME: "/home/ada",
    PATH: "/usr/bin",
    TERM: "xterm",
    NODE_EXTRA_CA_CERTS: "/ca.pem",
    SSL_CERT_FILE: "/ca.pem",
    CURL_CA_BUNDLE: "/ca.pem",
    NODE_OPTIONS: "--use-system-ca",
    HTTPS_PROXY: "http://proxy",
    NODE_COMPILE_CACHE: "/cache",
  };
  const environment = operatorEnvironment(
    { environment: { PATH: "/engine:/usr/bin", PULUMI_HOME: "/home/ada/.pulumi" } },
    ours,
  );
  const given = Object.entries(environment).filter(([, value]) => value !== undefined);

  it("has nothing that a user would not have", () => {
    expect(given.map(([name]) => name).filter((name) => !ALLOWED.test(name))).toEqual([]);
  });

  it("removes every other variable of this process", () => {
    const left = Object.entries({ ...ours, ...environment }).filter(([, value]) => value !== undefined);

    expect(left.map(([name]) => name).filter((name) => !ALLOWED.test(name))).toEqual([]);
  });

  it("finds pulumi where npm installed its launcher", () => {
    expect(environment["PATH"]).toMatch(/\/node_modules\/\.bin:\/usr\/bin$/);
  });
});

describe("the settings that the operator's commands see", () => {
  it("are those of the stack, and of each other one that is rehearsed", async () => {
    const folder = await mkdtemp(join(tmpdir(), "technicia-state-"));
    onTestFinished(() => rm(folder, { recursive: true }));

    expect(rehearsedSettings("test", folder)).toEqual(["Pulumi.test.yaml"]);
    await writeFile(join(folder, "Pulumi.staging.yaml"), "");
    await writeFile(join(folder, "Pulumi.test.yaml"), "");
    expect(rehearsedSettings("test", folder)).toEqual(["Pulumi.test.yaml", "Pulumi.staging.yaml"]);
    expect(rehearsedSettings("staging", folder)).toEqual(["Pulumi.staging.yaml", "Pulumi.test.yaml"]);
  });
});
