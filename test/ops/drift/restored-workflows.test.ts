/** After a rollback the settings of the last deployment name a repository that is gone with the command that made it. */
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

import { beforeEach, describe, expect, it } from "vitest";
import { parse } from "yaml";

import { checkDrift, type World } from "../../../ops/drift/check.ts";
import type { PulumiCall } from "../../../ops/engine/cli.ts";
import type { ServerCommand } from "../../../ops/server/connection.ts";
import { setOf } from "../../../ops/workflows/released.ts";
import { restoredDigest } from "../../../ops/workflows/restored.ts";
import type { Workflow } from "../../../provider/n8n/workflow.ts";
import { DECLARATION_TYPE } from "../../../stacks/declaration-record.ts";
import { inFolder, readContent } from "../../../stacks/workflows/folder.ts";
import type { WorkflowSettings } from "../../../stacks/workflows-schema.ts";
import { environmentWith } from "../../support/fixtures.ts";
import { fakeEngine, fakeServer, RECORD, settingsOf, stateOf } from "./world.ts";

const OWN = fileURLToPath(new URL("../../../workflows", import.meta.url));
const SETTINGS = { enabled: true, folder: "." };

/** What the server keeps of the release that was restored. */
let text: string;
let digest: string;
/** What the engine's program has read. */
let declared: readonly Workflow[] | undefined;
beforeEach(async () => {
  const environment = environmentWith();
  const { files } = await readContent({ path: OWN, folder: "workflows" }, environment);
  const [first, ...others] = files.map(({ workflow }) => workflow);
  ({ text, digest } = setOf([{ ...first!, name: "As it was" }, ...others]));
  declared = undefined;
});

function stage(): World {
  const repository = `file:///tmp/technicia-gone/restored-workflows-${digest}`;
  const source = { repository, commit: "0".repeat(40) };
  const settings = settingsOf({ settings: { workflows: { ...SETTINGS, source } } });
  const { deployment } = stateOf([
    {
      urn: "urn:pulumi:test::technicia::technicia:n8n:Content::n8n-content",
      type: "technicia:n8n:Content",
    },
  ]);
  const resources = deployment.resources.map((resource) =>
    resource.type === DECLARATION_TYPE ? { ...resource, outputs: { ...RECORD, settings } } : resource,
  );
  const engine = fakeEngine({
    runs: [{ log: "" }],
    state: { deployment: { ...deployment, resources } },
    settings: { workflows: { enabled: true }, documents: { enabled: true } },
  });
  const server = fakeServer();
  const answer = (command: ServerCommand) =>
    command.variables?.["NAME"] === `${digest}.json`
      ? Promise.resolve({ stdout: text, stderr: "" })
      : server.run(command);
  return {
    pulumi: async (call) => {
      await readProgramSettings(call);
      return await engine.pulumi(call);
    },
    openServer: () => ({ ...server, run: answer }),
    fetch: () => Promise.reject(new Error("no vendor is asked")),
    readSettingsFile: () => Promise.resolve("config:\n  technicia:workflows:\n    enabled: true\n"),
    now: () => new Date("2026-11-21T02:17:00Z"),
  };
}

async function readProgramSettings({ args }: PulumiCall): Promise<void> {
  if (args[0] !== "preview") return;
  const file = await readFile(args[args.indexOf("--config-file") + 1]!, "utf8");
  const { config } = parse(file) as { config: Record<string, WorkflowSettings> };
  const workflows = config["technicia:workflows"];
  const environment = environmentWith({ workflows, documents: { enabled: true } });
  const request = { environment, signal: new AbortController().signal, say: () => undefined };
  const { files, problems } = await inFolder(request, (place) => readContent(place, environment));
  expect(problems).toEqual([]);
  expect(restoredDigest(workflows)).toBe(digest);
  declared = files.map(({ workflow }) => workflow);
}

async function check() {
  const checked = await checkDrift("test", stage());
  checked.close();
  return checked.report;
}

describe("a check of drift after a rollback", () => {
  it("runs the program with the workflows that the rollback has restored", async () => {
    const { gaps, pending } = await check();

    expect(gaps.map(({ what }) => what)).not.toContain("what the program declares");
    expect(pending).toContain("workflows");
    expect(setOf(declared!).digest).toBe(digest);
  });

  it("names the gap where the server does not have them any more", async () => {
    text = "";
    const { gaps } = await check();

    expect(gaps).toContainEqual({
      what: "what the program declares",
      reason: `/var/lib/technicia/workflows/${digest}.json is not on the server`,
    });
    expect(declared).toBeUndefined();
  });
});
