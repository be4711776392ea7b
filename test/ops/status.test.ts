import { describe, expect, it } from "vitest";

import { describeAccess, describeStatus, type StackOutputs } from "../../stacks/deployment-status.ts";
import { deploymentFacts, validEnvironment } from "../support/fixtures.ts";
import { runCli } from "./fake-pulumi.ts";

function outputs(): StackOutputs {
  const environment = validEnvironment();
  const facts = deploymentFacts();
  return {
    deploymentStatus: describeStatus(environment, {
      ...facts,
      evidence: { os: "Debian 12, clé SHA256:abc", firewall: { partly: "OVH : ok" } },
    }),
    url: "https://technicia.exemple.fr",
    ipv4: facts.server.ipv4,
    ipv6: facts.server.ipv6,
    ...describeAccess(environment, facts.server.ipv4, "ssh-ed25519 AAAAhost"),
  };
}

describe("npm run status -- <stack>", () => {
  it("prints what a person wants to know, in columns", async () => {
    const run = await runCli(["status", "test"], { "stack output --json --stack test": outputs() });

    expect(run).toMatchObject({ code: 0, stderr: "" });
    const lines = run.stdout.split("\n").map((line) => line.replace(/ {2,}/g, " | "));
    expect(lines).toEqual(
      expect.arrayContaining([
        "Environnement | test",
        "URL | https://technicia.exemple.fr",
        "Serveur | vps-1a2b3c4d.vps.ovh.net",
        "CPU | 4 vCores",
        "RAM | 8 GB",
        "IP | 203.0.113.10 | 2001:db8:113::10",
        "n8n | 2.41.3 | n8nio/n8n:2.41.3 | -",
        "22/tcp | SSH | Accès administrateur | 198.51.100.0/24 2001:db8:51::/64",
        "VoyageAI | Configuré",
        "Préparation du serveur | En cours",
        "- Installation OS | Complété | Debian 12, clé SHA256:abc",
        "- Configuration Firewall | En cours | OVH : ok",
        "- Installation Docker | Non commencé",
        "ssh | 203.0.113.10 | ssh -i ~/.ssh/id_ed25519 -p 22 debian@203.0.113.10",
      ]),
    );
  });

  it("tells a key that is missing from one that is not needed", async () => {
    const some = outputs();
    const keys = some.deploymentStatus.apiKeys.map((key) => ({
      ...key,
      configured: false,
      required: key.service === "OVH",
    }));
    const answers = {
      "stack output": { ...some, deploymentStatus: { ...some.deploymentStatus, apiKeys: keys } },
    };
    const { stdout } = await runCli(["status", "test"], answers);

    expect(stdout).toMatch(/^OVH +Non configuré$/m);
    expect(stdout).toMatch(/^Anthropic +Non configuré \(facultatif\)$/m);
  });

  it("prints the outputs for a program with --json", async () => {
    const run = await runCli(["status", "test", "--json"], { "stack output": outputs() });

    expect(JSON.parse(run.stdout)).toEqual(outputs());
  });

  it("fails when nothing has been deployed yet", async () => {
    const run = await runCli(["status", "test"], { "stack output": {} });

    expect(run).toMatchObject({
      code: 1,
      stdout: "",
      stderr: "test: expected a deployed stack, got no outputs; deploy it with pulumi up --stack test\n",
    });
  });

  it("fails when another version of the program wrote the outputs", async () => {
    const older = { ...outputs(), deploymentStatus: "[secret]" };
    const run = await runCli(["status", "test"], { "stack output": older });

    expect(run.code).toBe(1);
    expect(run.stderr).toMatch(
      /^test: expected the outputs of this version of the program, got others; run pulumi up --stack test\n.*deploymentStatus/s,
    );
  });

  it("fails when the stack does not exist", async () => {
    const run = await runCli(["status", "nope"], {
      "stack output": { stderr: "error: no stack named 'nope' found" },
    });

    expect(run).toMatchObject({
      code: 1,
      stderr: "nope: there is no stack of that name; create it with pulumi stack init nope\n",
    });
  });
});
