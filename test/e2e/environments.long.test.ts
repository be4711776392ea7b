/** The settings of the other environments: prod protects its data, and takes what staging has verified. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { shellQuote } from "../../common/shell-quote.ts";
import { ROOT, STATE } from "../../rehearsal/addresses.ts";
import { ensureStarted, npm, onServer, operator } from "./rehearsal.ts";

beforeAll(async () => {
  await npm("run", "rehearsal:stop");
});
afterAll(async () => {
  await npm("run", "rehearsal:stop");
  await ensureStarted();
});

describe("the rehearsal of prod", () => {
  it("deploys with that environment's settings and nothing else changed", async () => {
    const { code, stdout, stderr } = await npm("start", "--", "--stack", "prod");

    expect(code, `${stdout}\n${stderr}`).toBe(0);
    expect(stdout).toContain("https://prod.technicia.example");
    const { code: quiet, stdout: shown } = await operator(
      ["pulumi", "preview", "--refresh", "--expect-no-changes", "--stack", "prod", "--non-interactive"],
      { stack: "prod" },
    );
    expect(quiet, shown).toBe(0);
  });

  it("keeps its data when it is destroyed", async () => {
    const destroy = (...args: string[]) =>
      operator(["sh", "-c", `npx pulumi destroy ${args.join(" ")} --stack prod`], {
        stack: "prod",
        environment: { PULUMI_SKIP_CONFIRMATIONS: "true" },
      });
    const refused = await destroy();
    expect(refused.code).not.toBe(0);
    expect(`${refused.stdout}${refused.stderr}`).toContain("protected");

    const { code, stdout, stderr } = await destroy("--exclude-protected");
    expect(code, `${stdout}\n${stderr}`).toBe(0);
    const volumes = await onServer("docker volume ls --format '{{.Name}}' | sort");
    expect(volumes.trim().split("\n")).toEqual([
      "technicia-n8n-data",
      "technicia-qdrant-snapshots",
      "technicia-qdrant-storage",
    ]);
    expect(await onServer("docker service ls --quiet")).toBe("");
  });
});

describe("the rehearsal of staging", () => {
  const settings = join(STATE, "Pulumi.prod.yaml");

  /** Runs a command where prod's settings, too, are a user's own. */
  const withProd = (command: string) =>
    operator(
      [
        "sh",
        "-ec",
        `mount --bind ${shellQuote(settings)} ${shellQuote(join(ROOT, "Pulumi.prod.yaml"))}; ${command}`,
      ],
      {
        stack: "staging",
      },
    );
  const runningImages = async () =>
    (
      await onServer(
        "docker service inspect $(docker service ls --quiet) --format '{{.Spec.TaskTemplate.ContainerSpec.Image}}'",
      )
    )
      .trim()
      .split("\n");

  beforeAll(async () => {
    await npm("run", "rehearsal:stop");
    const { code, stdout, stderr } = await npm("start", "--", "--stack", "staging");
    expect(code, `${stdout}\n${stderr}`).toBe(0);
    const staging = await readFile(join(STATE, "Pulumi.staging.yaml"), "utf8");
    await writeFile(settings, staging.replaceAll("staging.technicia", "prod.technicia"));
    const made = await withProd("pulumi stack init prod");
    expect(made.code, made.stderr).toBe(0);
  });

  it("promotes nothing before it was verified", async () => {
    const before = await readFile(settings, "utf8");
    const { code, stderr } = await withProd("npm run --silent promote -- staging prod");

    expect(code).toBe(1);
    expect(stderr).toContain("staging: expected what runs to have passed its verification, got no release");
    expect(await readFile(settings, "utf8")).toBe(before);
  });

  it("writes the verified digests into prod's settings", async () => {
    // Its name was written a moment ago; and a rehearsal's registries are not trusted from here, so that nothing can be pinned.
    const set = (path: string, value: string) =>
      `pulumi config set --path technicia:operations.${path} ${value} --stack staging`;
    const ready = `${set("dnsSettledHours", "0")}; ${set("supplyChain.digests", "false")}`;
    const deployed = await withProd(`${ready}; npm run --silent deploy -- staging --yes`);
    expect(deployed.code, `${deployed.stdout}\n${deployed.stderr}`).toBe(0);

    const { code, stdout, stderr } = await withProd("npm run --silent promote -- staging prod");
    expect(code, stderr).toBe(0);
    expect(stdout).toContain("is now in Pulumi.prod.yaml");
    const asked = await withProd("pulumi config get technicia:images --stack prod");
    const images = Object.values(JSON.parse(asked.stdout) as Record<string, string>);
    expect(images).toEqual(expect.arrayContaining(await runningImages()));

    const again = await withProd("npm run --silent promote -- staging prod");
    expect(again.stdout).toContain("Pulumi.prod.yaml already has");
    // Staging observes a release for two minutes.
  }, 900_000);
});
