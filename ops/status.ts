/** `npm run status`: a stack's outputs, and the state of each of the user's steps, for a person or for a program. */
import { UserError } from "../common/user-error.ts";
import { describePhases, type TrackedPhase } from "../reports/tracking/steps.ts";
import type { DeploymentStatus, StackOutputs } from "../stacks/deployment-status.ts";
import type { ShapeServer } from "../stacks/shapes.ts";
import { onlyStack, readArguments, type Commands } from "./command.ts";
import { madeIn, orWhy, readOutputs, readRecords, type FactSources } from "./documents/facts.ts";
import { pulumiOnPath } from "./engine/cli.ts";
import { environmentIn, readConfiguration } from "./engine/settings.ts";
import { readState } from "./engine/state.ts";
import { deployedEnvironment } from "./engine/deployed-servers.ts";
import type { Member } from "./fleet/fleet.ts";
import { maintainCommand, otherMembers, readPatchesOf, type PatchesOf } from "./fleet/pending.ts";
import { renderLosses } from "./losses.ts";
import { agesOf, agingNames, configuredIn, type Age } from "./rotation/ages.ts";
import { pendingOf, readPatches, type Pending } from "./server/patches.ts";
import { openServer } from "./server/connection.ts";
import { renderTable } from "./terminal.ts";

/** A server that is down must not keep the outputs from being printed. */
const SERVER_SECONDS = 10;

/** apt thinks for some seconds on a small server. */
const PENDING_SECONDS = 30;

export const commands: Commands = {
  status: {
    usage: "npm run status -- <stack> [--json]",
    summary: "prints server, services, ports, keys, steps and access of a stack",
    async run(args) {
      const { values, positionals } = readArguments(this.usage, args, { json: { type: "boolean" } });
      const sources = {
        pulumi: pulumiOnPath,
        readRecords: (outputs: StackOutputs) => readRecords(outputs, { timeoutSeconds: SERVER_SECONDS }),
        readPending: async (outputs: StackOutputs) => {
          const server = openServer(outputs);
          try {
            return pendingOf(await readPatches(server, { timeoutSeconds: PENDING_SECONDS }));
          } finally {
            server.close();
          }
        },
        readOthersPatches: (others: readonly Member[]) =>
          readPatchesOf(others, { openServer }, { timeoutSeconds: PENDING_SECONDS }),
      };
      const status = await readStatus(onlyStack(this.usage, positionals), sources);
      const text = values.json === true ? JSON.stringify(status.outputs, null, 2) : renderStatus(status);
      return { text, exitCode: 0 };
    },
  },
};

interface StatusSources extends FactSources {
  readonly readPending: (outputs: StackOutputs) => Promise<readonly Pending[]>;
  readonly readOthersPatches: (others: readonly Member[]) => Promise<readonly PatchesOf[]>;

  /** @default this machine's clock */
  readonly now?: () => Date;
}

export interface Status {
  /** Upgrades and reboots that wait for a maintenance, or why they are not known. */
  readonly pending: readonly Pending[] | { readonly why: string };

  /** The same of several servers other than that of the data. */
  readonly others: readonly PatchesOf[];

  /** With the steps as the tracking document has them. */
  readonly outputs: StackOutputs;

  /** As deployed; undefined where no version that this one can read has recorded that. */
  readonly servers: readonly ShapeServer[] | undefined;

  /** Those of the settings here; or why they are not known. */
  readonly ages: readonly Age[] | { readonly why: string };

  /** Why releases and history could not be read; the steps that they prove are then not known. */
  readonly missing: string | undefined;
}

export async function readStatus(
  stack: string,
  { pulumi, readRecords, readPending, readOthersPatches, now = () => new Date() }: StatusSources,
): Promise<Status> {
  const outputs = await readOutputs(stack, pulumi);
  if (!outputs) throw new UserError(`${stack} is not deployed; deploy it with npm run deploy -- ${stack}`);
  const reading = readState(stack, pulumi);
  const [state, records, pending, others, configuration] = await Promise.all([
    reading,
    orWhy(readRecords(outputs, stack)),
    orWhy(readPending(outputs)),
    reading.then(({ resources }) => readOthersPatches(otherMembers(stack, resources))),
    orWhy(readAging(stack, pulumi)),
  ]);
  const unknown = [configuration, records].find((read) => "why" in read) as
    { readonly why: string } | undefined;
  const names = "why" in configuration ? [] : configuration;
  const phases = describePhases({ state: "present", made: madeIn(state), outputs, records });
  return {
    outputs: withPhases(outputs, phases),
    pending,
    others,
    servers: deployedEnvironment(stack, state.resources)?.servers,
    ages: unknown ?? agesOf({ names, records, now: now() }),
    missing: "why" in records ? records.why : undefined,
  };
}

async function readAging(stack: string, pulumi: StatusSources["pulumi"]) {
  const configuration = await readConfiguration({ stack }, pulumi);
  return agingNames(configuredIn(configuration), environmentIn(stack, configuration));
}

export function renderStatus({ outputs, pending, others, servers, ages, missing }: Status): string {
  const { deploymentStatus: status, tunnels, sshCommand } = outputs;
  const sections = [
    renderServer(status),
    ...(servers === undefined ? [] : [renderLosses(servers)]),
    renderTable({
      headings: ["Service", "Version", "Image", "Empreinte"],
      rows: status.versions.map(({ service, version, image, digest }) => [
        service,
        version,
        image,
        digest.slice(0, 19) || "-",
      ]),
    }),
    renderTable({
      headings: ["Port", "Service", "Commentaire", "Depuis"],
      rows: status.firewall.map(({ port, service, comment, sources }) => [
        port,
        service,
        comment,
        sources.join(" "),
      ]),
    }),
    renderTable({
      headings: ["Clé API", "Statut"],
      rows: status.apiKeys.map(({ service, required, configured }) => [
        service,
        configured ? "Configuré" : required ? "Non configuré" : "Non configuré (facultatif)",
      ]),
    }),
    renderTable({
      headings: ["Étape", "Statut", "Preuve"],
      rows: status.phases.flatMap((phase) => [
        [phase.name, phase.status, ""],
        ...phase.steps.map(({ name, status: step, proof }) => [`- ${name}`, step, proof]),
      ]),
    }),
    ...renderPending(pending, { stack: status.environment }),
    ...others.flatMap(({ name, patches }) =>
      renderPending("why" in patches ? patches : pendingOf(patches), { stack: status.environment, name }),
    ),
    ...renderAges(ages, status.environment),
    renderTable({
      headings: ["Accès", "Adresse"],
      rows: [["ssh", outputs.ipv4], ...tunnels.map(({ service, url }) => [service, url])],
    }),
    // Outside of a table, because a wrapped command cannot be copied.
    [sshCommand, ...tunnels.map(({ command }) => command)].join("\n"),
    ...(missing === undefined ? [] : [`releases and history could not be read: ${missing}`]),
  ];
  return sections.join("\n\n");
}

const PENDING_NAMES = {
  packages: "Paquets",
  "package lists": "Listes de paquets",
  "security updates": "Mises à jour de sécurité",
  engine: "Docker",
  reboot: "Redémarrage",
} as const;

/** `name`: one of several servers other than that of the data. */
function renderPending(
  pending: Status["pending"],
  { stack, name }: { readonly stack: string; readonly name?: string },
): string[] {
  const of = name === undefined ? "" : ` of ${name}`;
  if ("why" in pending) return [`pending upgrades${of} could not be read: ${pending.why}`];
  if (pending.length === 0) return [];
  const table = renderTable({
    headings: [name === undefined ? "Maintenance" : `Maintenance de ${name}`, "En attente"],
    rows: pending.map(({ what, found }) => [PENDING_NAMES[what], found.join(", ")]),
  });
  return [`${table}\n${maintainCommand(stack, name)}`];
}

/** Those that are due, or the next one: `npm run secrets -- <stack> rotate` has all. */
function renderAges(ages: Status["ages"], stack: string): string[] {
  if ("why" in ages) return [`the ages of the secrets are not known: ${ages.why}`];
  const due = ages.filter(({ isDue }) => isDue);
  const shown = due.length > 0 ? due : ages.slice(0, 1);
  if (shown.length === 0) return [];
  const table = renderTable({
    headings: ["Secret", "Depuis", "À renouveler"],
    rows: shown.map(({ name, since, due: from }) => [name, since ?? "inconnu", from ?? "-"]),
  });
  return [`${table}\nnpm run secrets -- ${stack} rotate`];
}

function renderServer({ environment, url, server }: DeploymentStatus): string {
  return renderTable({
    headings: ["Environnement", environment],
    rows: [
      ["URL", url],
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
  });
}

function withPhases(outputs: StackOutputs, phases: readonly TrackedPhase[]): StackOutputs {
  const described = phases.map(({ name, status = "Non commencé", steps }) => ({
    name,
    status,
    steps: steps.map((step) => ({
      name: step.name,
      status: step.status ?? ("Non commencé" as const),
      proof: step.proof,
    })),
  }));
  return { ...outputs, deploymentStatus: { ...outputs.deploymentStatus, phases: described } };
}
