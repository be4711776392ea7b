import { describe, expect, it } from "vitest";

import type { PatchesOf } from "../../ops/fleet/pending.ts";
import type { Patches, Pending } from "../../ops/server/patches.ts";
import type { Status } from "../../ops/status.ts";
import { readStatus, renderStatus } from "../../ops/status.ts";
import { UserError } from "../../common/user-error.ts";
import { describePhases } from "../../reports/tracking/steps.ts";
import { readAllFacts } from "../../ops/documents/facts.ts";
import { outputs, noRecords, recordedState, release, sources, type Stack } from "../reports/facts.ts";
import { DECLARATION_TYPE } from "../../stacks/declaration-record.ts";
import { validSettings, type Settings } from "../support/fixtures.ts";
import { three } from "../support/servers.ts";
import { runCli } from "../support/fake-pulumi.ts";

const read = (stack: Stack, readPending = () => Promise.resolve<readonly Pending[]>([])): Promise<Status> =>
  readStatus("test", {
    ...sources({ test: stack }),
    readPending,
    readOthersPatches: (others) =>
      Promise.resolve(others.map(({ name }) => ({ name, patches: othersPatches.get(name) ?? UP_TO_DATE }))),
  });

const UP_TO_DATE: Patches = {
  ...{ security: [], engine: [], upgrades: [], kept: [] },
  ...{ broken: undefined, stale: undefined, reboot: undefined },
};

/** Of several servers those other than that of the data. */
const othersPatches = new Map<string, PatchesOf["patches"]>();

/** What several servers share. */
function serverOf({ server }: Settings): object {
  return { ...(server as object), serviceName: undefined };
}

describe("renderStatus", () => {
  it("prints server, services, ports, keys, steps and access in columns", async () => {
    const status = await read({ records: { ...noRecords, releases: [release(1)] } });

    const lines = renderStatus(status)
      .split("\n")
      .map((line) => line.replace(/ {2,}/g, " | "));
    expect(lines).toEqual(
      expect.arrayContaining([
        "Environnement | test",
        "URL | https://test.technicia.exemple.fr",
        "Serveur | vps-1a2b3c4d.vps.ovh.net",
        "CPU | 4 vCores",
        "RAM | 8 GB",
        "IP | 203.0.113.10 | 2001:db8:113::10",
        "n8n | 2.41.3 | n8nio/n8n:2.41.3 | -",
        "22/tcp | SSH | Accès administrateur | 198.51.100.0/24 2001:db8:51::/64",
        "VoyageAI | Configuré",
        "Préparation du serveur | Complété",
        "- Installation OS | Complété | Debian 12, clé SHA256:abc",
        "- Clonage du repository | Complété | révision 0123456",
        "- Import des workflows | Non commencé",
        "ssh | 203.0.113.10",
        "ssh -i ~/.ssh/id_ed25519 -p 22 debian@203.0.113.10",
      ]),
    );
  });

  /** The state of three servers. */
  function stateOfThree() {
    const settings = Object.entries({
      ...validSettings(),
      server: serverOf(validSettings()),
      servers: three,
    }).map(([name, value]) => [
      `technicia:${name}`,
      typeof value === "string" ? value : JSON.stringify(value),
    ]);
    const record = { basis: "", settings: Object.fromEntries(settings) as object, digests: {} };
    const declaration = {
      urn: `urn:pulumi:test::technicia::${DECLARATION_TYPE}::declaration`,
      ...{ type: DECLARATION_TYPE, outputs: record },
    };
    return { deployment: { resources: [declaration, ...recordedState.deployment.resources] } };
  }

  it("says what the loss of each server means, by the settings that are deployed", async () => {
    const state = stateOfThree();

    expect(renderStatus(await read({ state }))).toMatch(
      /^Lost +Visitors get .*\n─.*\ngra-1 +pages, by [^]*\ngra-2 +pages, by [^]*\ngra-3 +pages, by /m,
    );
    expect(renderStatus(await read({}))).not.toContain("Visitors get");
  });

  it("names what waits for a maintenance, and the command that does it", async () => {
    const pending: readonly Pending[] = [
      { what: "engine", expected: "", found: ["docker.io 1 → 2", "runc 1 → 2"], byHand: [] },
      { what: "reboot", expected: "", found: ["kernel 1 runs, 2 is installed"], byHand: [] },
    ];

    const text = renderStatus(await read({}, () => Promise.resolve(pending)));

    expect(text).toMatch(
      /^Docker +docker\.io 1 → 2, runc 1 → 2\nRedémarrage +kernel 1 runs, 2 is installed\nnpm run maintain -- test$/m,
    );
    expect(renderStatus(await read({}))).not.toContain("maintain");
    const silent = await read({}, () => Promise.reject(new UserError("no answer")));
    expect(renderStatus(silent)).toContain("pending upgrades could not be read: no answer");
  });

  it("names what waits for a maintenance of another server, with its own command", async () => {
    const reboot = "kernel 1 runs, 2 is installed";
    othersPatches.set("gra-2", { ...UP_TO_DATE, reboot });
    othersPatches.set("gra-3", { why: "no answer" });
    const text = renderStatus(await read({ state: stateOfThree() }));
    othersPatches.clear();

    expect(text).toMatch(
      /^Maintenance de gra-2 +En attente\n─.*\nRedémarrage +kernel 1 runs, 2 is installed\nnpm run maintain -- test --server gra-2$/m,
    );
    expect(text).toContain("pending upgrades of gra-3 could not be read: no answer");
    expect(text).not.toMatch(/gra-1.*maintain|maintain.*gra-1/);
    expect(renderStatus(await read({ state: stateOfThree() }))).not.toContain("maintain");
  });

  it("distinguishes a missing key from one that is not needed", async () => {
    const some = outputs();
    const keys = some.deploymentStatus.apiKeys.map((key) => ({
      ...key,
      configured: false,
      required: key.service === "OVH",
    }));
    const status = await read({
      outputs: { ...some, deploymentStatus: { ...some.deploymentStatus, apiKeys: keys } },
    });

    expect(renderStatus(status)).toMatch(/^OVH +Non configuré$/m);
    expect(renderStatus(status)).toMatch(/^Anthropic +Non configuré \(facultatif\)$/m);
  });

  it("prints the outputs, and why the rest is missing, when the server does not answer", async () => {
    const text = renderStatus(await read({ records: new UserError("203.0.113.10:22: no answer") }));

    expect(text).toContain("URL            https://test.technicia.exemple.fr");
    expect(text).toMatch(/\nreleases and history could not be read: 203\.0\.113\.10:22: no answer$/);
  });
});

describe("readStatus", () => {
  const cases: readonly (readonly [string, Stack])[] = [
    ["without a release", {}],
    ["with a verified release", { records: { ...noRecords, releases: [release(1)] } }],
    ["with a server that does not answer", { records: new UserError("no answer") }],
    [
      "after an automatic rollback",
      {
        records: {
          ...noRecords,
          releases: [
            release(1),
            release(2, {
              outcome: "rolled-back",
              restored: 1,
              verify: release(2).verify.map((check) => ({ ...check, outcome: "failed" })),
              restoredVerify: [...release(1).verify],
            }),
          ],
        },
      },
    ],
  ];

  it.each(cases)("gives every step the status that the report gives it, %s", async (_name, stack) => {
    const { outputs: printed } = await read(stack);
    const [facts] = await readAllFacts(sources({ test: stack }));

    const reported = describePhases(facts!).map(({ name, status, steps }) => ({
      name,
      status,
      steps: steps.map((step) => ({ name: step.name, status: step.status, proof: step.proof })),
    }));
    expect(printed.deploymentStatus.phases).toEqual(reported);
  });

  it("returns the outputs, with the described steps in place of the program's", async () => {
    const { outputs: printed } = await read({});

    expect({ ...printed, deploymentStatus: { ...printed.deploymentStatus, phases: [] } }).toEqual({
      ...outputs("test.technicia.exemple.fr"),
      deploymentStatus: { ...outputs("test.technicia.exemple.fr").deploymentStatus, phases: [] },
    });
  });
});

describe("npm run status -- <stack>", () => {
  it("fails when nothing has been deployed yet", async () => {
    const run = await runCli(["status", "test"], { "stack output": {} });

    expect(run).toMatchObject({
      code: 1,
      stdout: "",
      stderr: "test is not deployed; deploy it with npm run deploy -- test\n",
    });
  });

  it("fails when another version of the program wrote the outputs", async () => {
    const older = { ...outputs(), deploymentStatus: "[secret]" };
    const run = await runCli(["status", "test"], { "stack output": older });

    expect(run.code).toBe(1);
    expect(run.stderr).toMatch(
      /^test: another version of the program wrote the outputs; run npm run deploy -- test\n.*deploymentStatus/s,
    );
  });

  it("fails when the stack does not exist", async () => {
    const run = await runCli(["status", "nope"], {
      "stack output": { stderr: "error: no stack named 'nope' found" },
    });

    expect(run).toMatchObject({
      code: 1,
      stderr:
        "nope: there is no stack of that name; pulumi stack ls lists yours, and pulumi stack init nope would create it\n",
    });
  });
});
