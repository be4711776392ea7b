import * as command from "@pulumi/command";
import * as pulumi from "@pulumi/pulumi";
import { beforeAll, describe, expect, it } from "vitest";

import { Service } from "../../components/service.ts";
import * as technicia from "../../provider/resources.ts";
import type { SecretName } from "../../secrets/catalog.ts";
import type { Secrets } from "../../secrets/resolve.ts";
import { stackOutputs } from "../../stacks/deployment-status.ts";
import { describeDeployment, type Deployment } from "../../stacks/outputs.ts";
import { deploymentFacts, environmentWith } from "../support/fixtures.ts";

const { server } = deploymentFacts();

/** What each resource answers once it exists. */
const ANSWERS: Readonly<Record<string, Record<string, unknown>>> = {
  "technicia:ovh:Vps": {
    ...server,
    vcore: server.vcores,
    osImage: server.os,
    zone: server.place,
    serverId: "1",
  },
  "technicia:ovh:EdgeFirewall": { state: "ok" },
  "technicia:host:HostKey": { hostKey: "ssh-ed25519 AAAAhost", fingerprint: "SHA256:abc" },
  "technicia:host:Packages": { versions: { curl: "7.88", "docker.io": "20.10.24" } },
};

const secrets: Secrets = {
  configured: new Set<SecretName>(["voyageApiKey"]),
  has: (name) => name === "voyageApiKey",
  inClear: () => ({}),
  value: () => pulumi.secret("canary"),
  accepted: () => [pulumi.secret("canary")],
};

function define(): Deployment {
  const state = (name: string, observed: string) =>
    new technicia.State(name, {
      observe: "true",
      desired: observed,
      apply: "true",
      secrets: { KEY: "canary" },
    });
  const service = new Service(
    "technicia-n8n",
    {
      image: "n8nio/n8n:2.41.3",
      limits: { memoryMib: 1280, cpus: 2 },
      networks: [],
      health: ["CMD", "true"],
      secrets: [{ file: "n8n_encryption_key", value: secrets.value("n8nEncryptionKey") }],
      convergenceSeconds: 60,
      observationSeconds: 5,
    },
    {},
  );
  return describeDeployment(
    { environment: environmentWith(), secrets },
    {
      server: new technicia.Vps("server", {
        serviceName: server.serviceName,
        name: "technicia-test",
        vcores: 4,
        memoryGib: 8,
        datacentre: "GRA",
        image: "Debian 12",
        publicKey: "ssh-ed25519 AAAA",
        deleteAtExpiry: false,
      }),
      swarm: state("swarm", "active, manager: true"),
      host: {
        hostKey: new technicia.HostKey("key", { address: "203.0.113.10", serverId: "1" }),
        packages: new technicia.Packages("packages", { names: ["docker.io"] }),
        firewall: { loaded: state("loaded", "the loaded table is the file's") },
      },
      edgeFirewall: new technicia.EdgeFirewall("edge", { ip: "203.0.113.10", rules: [] }),
      dns: { records: [state("a", "A"), state("aaaa", "AAAA")] },
      certificate: state("certificate", "valid for technicia.exemple.fr"),
      collection: state("collection", "technicia"),
      owner: state("owner", "the instance has an owner"),
      services: { n8n: service, frontend: undefined },
      probe: new command.local.Command("probe", { create: "true" }),
    },
  );
}

function known<T>(value: pulumi.Input<T>): Promise<pulumi.Unwrap<T>> {
  return new Promise((resolve) => pulumi.output(value).apply(resolve));
}

describe("describeDeployment", () => {
  let deployment: Deployment;

  beforeAll(async () => {
    await pulumi.runtime.setMocks(
      {
        call: () => ({}),
        newResource: ({ type, name, inputs }) => ({
          id: `${name}-id`,
          state: {
            ...(inputs as object),
            observed: (inputs as { desired?: string }).desired,
            ...ANSWERS[type],
          },
        }),
      },
      "technicia",
      "test",
    );
    deployment = define();
  });

  it("gives the outputs that npm run status reads, none of them secret", async () => {
    const plain = await known(deployment);

    expect(stackOutputs.parse(plain)).toEqual(plain);
    expect(JSON.stringify(plain)).not.toContain("canary");
    for (const output of Object.values(deployment as unknown as Record<string, pulumi.Input<unknown>>)) {
      expect(await pulumi.isSecret(pulumi.output(output))).toBe(false);
    }
  });

  it("describes the server as OVH does", async () => {
    expect((await known(deployment.deploymentStatus)).server).toEqual(server);
  });

  it("proves steps by the outputs of the resources", async () => {
    const { phases } = await known(deployment.deploymentStatus);
    const proofs = phases
      .flatMap(({ steps }) => steps.filter(({ proof }) => proof !== ""))
      .map((step) => [step.name, step.proof]);

    expect(Object.fromEntries(proofs)).toEqual({
      "Installation OS": "Debian 12, clé SHA256:abc",
      "Configuration Firewall": "OVH : ok ; serveur : the loaded table is the file's",
      "Installation Docker": "docker.io 20.10.24 ; swarm active, manager: true",
      "Configuration des clés API": "VoyageAI ; reste Google Document AI, Google Vision AI, Anthropic",
      "Exécution du script de déploiement": "technicia-n8n",
      "Génération clé de chiffrement": "secret de technicia-n8n",
      "Configuration variables d'environnement": "the instance has an owner",
      "Configuration HTTPS pour n8n": "valid for technicia.exemple.fr",
      "Configuration DNS": "2 enregistrements",
      "Installation Certbot": "certbot/certbot:v5.8.0",
      "Obtention certificats SSL": "valid for technicia.exemple.fr",
      "Tests fonctionnels": "https://technicia.exemple.fr/healthz",
    });
  });
});
