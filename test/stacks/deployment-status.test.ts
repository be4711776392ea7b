import { describe, expect, it } from "vitest";

import { keysByService } from "../../secrets/catalog.ts";
import {
  deploymentStatus,
  describeAccess,
  describeStatus,
  type DeploymentFacts,
  type Evidence,
} from "../../stacks/deployment-status.ts";
import { deploymentFacts, environmentWith } from "../support/fixtures.ts";

function describeWith(evidence: Evidence, facts: Partial<DeploymentFacts> = {}) {
  return describeStatus(environmentWith(), { ...deploymentFacts(), ...facts, evidence });
}

/** Status of each step, by name. */
function stepsOf(status: ReturnType<typeof describeStatus>): Record<string, string> {
  return Object.fromEntries(
    status.phases.flatMap(({ steps }) => steps.map((step) => [step.name, step.status])),
  );
}

describe("describeStatus", () => {
  it("keeps to its schema", () => {
    const status = describeWith({ os: "Debian 12" });

    expect(deploymentStatus.parse(status)).toEqual(status);
  });

  it("has the user's steps, in the user's words and order", () => {
    const phases = describeWith({}).phases.map(({ name, steps }) => [
      name,
      ...steps.map((step) => step.name),
    ]);

    expect(phases).toEqual([
      ["Préparation du serveur", "Installation OS", "Configuration Firewall", "Installation Docker"],
      [
        "Déploiement des services",
        "Clonage du repository",
        "Configuration des clés API",
        "Exécution du script de déploiement",
      ],
      [
        "Configuration de n8n",
        "Génération clé de chiffrement",
        "Configuration variables d'environnement",
        "Configuration HTTPS pour n8n",
        "Import des workflows",
        "Configuration des credentials",
      ],
      ["Configuration HTTPS", "Configuration DNS", "Installation Certbot", "Obtention certificats SSL"],
      [
        "Tests post-déploiement",
        "Tests fonctionnels",
        "Tests des workflows n8n",
        "Tests de performance",
        "Tests de sécurité",
      ],
      [
        "Configuration monitoring",
        "Installation du script de monitoring",
        "Configuration des alertes",
        "Tests des alertes",
      ],
    ]);
  });

  it("calls no step done without a proof", () => {
    const status = describeWith({}, { keys: keysByService(environmentWith(), new Set()) });

    expect(new Set(Object.values(stepsOf(status)))).toEqual(new Set(["Non commencé"]));
    expect(new Set(status.phases.map((phase) => phase.status))).toEqual(new Set(["Non commencé"]));
  });

  it("calls a step done, in progress or blocked by its proof", () => {
    const status = describeWith({
      os: "Debian 12",
      firewall: { partly: "OVH : ok" },
      docker: { blocked: "disque plein" },
      dns: "4 enregistrements",
      certbot: "certbot/certbot:v5.8.0",
      certificate: "valid for technicia.exemple.fr",
      functionalTests: { partly: "/healthz" },
    });

    expect(status.phases[0]?.steps).toEqual([
      { name: "Installation OS", status: "Complété", proof: "Debian 12" },
      { name: "Configuration Firewall", status: "En cours", proof: "OVH : ok" },
      { name: "Installation Docker", status: "Bloqué", proof: "disque plein" },
    ]);
    expect(Object.fromEntries(status.phases.map((phase) => [phase.name, phase.status]))).toMatchObject({
      "Préparation du serveur": "Bloqué",
      "Configuration HTTPS": "Complété",
      "Tests post-déploiement": "En cours",
      "Configuration monitoring": "Non commencé",
    });
  });

  it("follows the API keys themselves", () => {
    const environment = environmentWith();
    const with_ = (...names: string[]) =>
      describeWith({}, { keys: keysByService(environment, new Set(names)) });

    expect(with_("voyageApiKey", "googleCredentials").phases[1]?.steps[1]).toEqual({
      name: "Configuration des clés API",
      status: "En cours",
      proof: "Google Document AI, Google Vision AI, VoyageAI ; reste Anthropic",
    });
    expect(stepsOf(with_("voyageApiKey", "googleCredentials", "anthropicApiKey"))).toMatchObject({
      "Configuration des clés API": "Complété",
    });
    expect(stepsOf(with_("n8nJwtSecret", "cloudflareApiToken"))).toMatchObject({
      "Configuration des clés API": "Non commencé",
    });
  });

  it("takes versions and digests from the running images", () => {
    const digest = `sha256:${"0123456789abcdef".repeat(4)}`;
    const images = { n8n: `n8nio/n8n:2.41.3@${digest}`, gateway: "nginx:1.30.4-alpine" };

    expect(describeWith({}, { images }).versions).toEqual([
      { service: "n8n", image: "n8nio/n8n:2.41.3", version: "2.41.3", digest },
      { service: "gateway", image: "nginx:1.30.4-alpine", version: "1.30.4", digest: "" },
    ]);
  });

  it("lists the firewall's ports with their sources", () => {
    expect(describeWith({}).firewall).toEqual([
      {
        port: "22/tcp",
        service: "SSH",
        comment: "Accès administrateur",
        sources: ["198.51.100.0/24", "2001:db8:51::/64"],
      },
      { port: "80/tcp", service: "HTTP", comment: "Redirection vers HTTPS", sources: ["0.0.0.0/0", "::/0"] },
      { port: "443/tcp", service: "HTTPS", comment: "Frontend + API", sources: ["0.0.0.0/0", "::/0"] },
      {
        port: "5678/tcp",
        service: "n8n",
        comment: "Administration des workflows (accès interne uniquement)",
        sources: ["127.0.0.1"],
      },
      {
        port: "6333/tcp",
        service: "Qdrant API",
        comment: "Base vectorielle (accès interne uniquement)",
        sources: ["127.0.0.1"],
      },
    ]);
  });
});

describe("describeAccess", () => {
  it.each([
    ["~/.ssh/clé d'été", String.raw`ssh -i ~/'.ssh/clé d'\''été' -p 22 debian@203.0.113.10`],
    ["/home/a $b/id", "ssh -i '/home/a $b/id' -p 22 debian@203.0.113.10"],
  ])("quotes the key's file %s for a shell", (privateKeyFile, command) => {
    const environment = environmentWith({ "ssh.privateKeyFile": privateKeyFile });

    expect(describeAccess(environment, "203.0.113.10", "ssh-ed25519 AAAAhost").sshCommand).toBe(command);
  });

  it("writes commands that can be pasted", () => {
    expect(
      describeAccess(
        environmentWith({ monitoring: { enabled: false } }),
        "203.0.113.10",
        "ssh-ed25519 AAAAhost",
      ),
    ).toEqual({
      ssh: {
        address: "203.0.113.10",
        port: 22,
        user: "debian",
        privateKeyFile: "~/.ssh/id_ed25519",
        hostKey: "ssh-ed25519 AAAAhost",
      },
      sshCommand: "ssh -i ~/.ssh/id_ed25519 -p 22 debian@203.0.113.10",
      tunnels: [
        {
          service: "n8n",
          url: "http://localhost:5678",
          command: "ssh -N -L 5678:127.0.0.1:5678 -i ~/.ssh/id_ed25519 -p 22 debian@203.0.113.10",
        },
        {
          service: "Qdrant",
          url: "http://localhost:6333",
          command: "ssh -N -L 6333:127.0.0.1:6333 -i ~/.ssh/id_ed25519 -p 22 debian@203.0.113.10",
        },
      ],
    });
  });
});
