/** What a stack's outputs say of its deployment, for a person or for a program. */
import { z } from "zod";
import { stackOutputs, type StackOutputs } from "../stacks/deployment-status.ts";
import type { Pulumi } from "./engine/cli.ts";
import { renderTable } from "./table.ts";
import { UserError } from "../common/user-error.ts";

export async function readStatus(stack: string, pulumi: Pulumi): Promise<StackOutputs> {
  const printed = await pulumi({ args: ["stack", "output", "--json", "--stack", stack] });
  const outputs = JSON.parse(printed) as Record<string, unknown>;
  if (outputs["deploymentStatus"] === undefined) {
    throw new UserError(
      `${stack}: expected a deployed stack, got no outputs; deploy it with pulumi up --stack ${stack}`,
    );
  }
  const read = stackOutputs.safeParse(outputs);
  if (!read.success) {
    throw new UserError(
      `${stack}: expected the outputs of this version of the program, got others; run pulumi up --stack ${stack}\n` +
        z.prettifyError(read.error),
    );
  }
  return read.data;
}

export function renderStatus(outputs: StackOutputs): string {
  const { deploymentStatus: status, tunnels, sshCommand } = outputs;
  const { server } = status;
  const sections = [
    renderTable(
      ["Environnement", status.environment],
      [
        ["URL", status.url],
        ["Serveur", server.serviceName],
        ["Modèle", server.model],
        ["CPU", `${server.vcores} vCores`],
        ["RAM", `${Math.round(server.memoryMib / 1024)} GB`],
        ["Stockage", `${server.diskGib} GB`],
        ["OS", server.os],
        ["Localisation", server.place],
        ["État", server.state],
        ["IP", `${server.ipv4}  ${server.ipv6}`],
      ],
    ),
    renderTable(
      ["Service", "Version", "Image", "Empreinte"],
      status.versions.map(({ service, version, image, digest }) => [
        service,
        version,
        image,
        digest.slice(0, 19) || "-",
      ]),
    ),
    renderTable(
      ["Port", "Service", "Commentaire", "Depuis"],
      status.firewall.map(({ port, service, comment, sources }) => [
        port,
        service,
        comment,
        sources.join(" "),
      ]),
    ),
    renderTable(
      ["Clé API", "Statut"],
      status.apiKeys.map(({ service, required, configured }) => [
        service,
        configured ? "Configuré" : required ? "Non configuré" : "Non configuré (facultatif)",
      ]),
    ),
    renderTable(
      ["Étape", "Statut", "Preuve"],
      status.phases.flatMap((phase) => [
        [phase.name, phase.status, ""],
        ...phase.steps.map(({ name, status: step, proof }) => [`- ${name}`, step, proof]),
      ]),
    ),
    renderTable(
      ["Accès", "Adresse", "Commande"],
      [
        ["ssh", server.ipv4, sshCommand],
        ...tunnels.map(({ service, url, command }) => [service, url, command]),
      ],
    ),
  ];
  return sections.join("\n\n");
}
