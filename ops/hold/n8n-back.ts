/** Whether n8n answers again: it says that it is ready about two seconds before its webhooks are registered. */
import type { HeldService } from "../../common/hold.ts";
import { swarmName } from "../../common/services.ts";
import { UserError } from "../../common/user-error.ts";
import type { Environment } from "../../stacks/environment.ts";
import type { Server } from "../server/connection.ts";
import type { GatewayServer } from "./gateways.ts";
import { n8nOf } from "../workflows/open.ts";
import { inFolder, readContent, type FolderRequest } from "../../stacks/workflows/folder.ts";
import { LOOPBACK } from "../../provider/n8n/api.ts";
import { wantedWebhooks } from "../../provider/n8n/webhooks.ts";
import type { Workflow } from "../../provider/n8n/workflow.ts";

const LOOK_SECONDS = 30;

/** One of several gateways that is away must not keep the requests at the others. */
const THROUGH_SECONDS = 15;

// The container, and what n8n in it answers. Root's own proxy has nothing to do with the loopback.
const LOOK = `
container=$(docker ps --quiet --no-trunc --filter status=running --filter "label=com.docker.swarm.service.name=$SERVICE" | head -n 1)
code=$(curl --silent --output /dev/null --max-time 5 --noproxy '*' --write-out '%{http_code}' "$N8N/healthz/readiness" || true)
echo "\${container:--} \${code:-000}"`;

export interface WantedWebhook {
  /** Below `/webhook/`. */
  readonly path: string;

  /** Undefined: any. */
  readonly method: string | undefined;
}

export interface N8nWorld {
  readonly server: Pick<Server, "name" | "run">;
  readonly environment: Environment;
  readonly signal: AbortSignal;
  readonly say: (line: string) => void;
  readonly now: () => Date;

  /** n8n as the server reaches it. @default its loopback */
  readonly address?: string | undefined;

  /** Folder of the project. @default this one */
  readonly project?: string | undefined;

  /** What n8n is to have. @default the folder's */
  readonly workflows?: readonly Workflow[] | undefined;
}

// What everything behind this server's gateway answers together; it is never held.
const LOOK_THROUGH = `
code=$(curl --silent --insecure --output /dev/null --max-time 5 --noproxy '*' --resolve "$DOMAIN:443:127.0.0.1" --write-out '%{http_code}' "https://$DOMAIN/healthz" || true)`;

// The container of a service, once it is healthy, and the same.
const LOOK_BEHIND = `
container=$(docker ps --quiet --no-trunc --filter health=healthy --filter "label=com.docker.swarm.service.name=$SERVICE" | head -n 1)${LOOK_THROUGH}
echo "\${container:--} \${code:-000}"`;

/** What n8n was before it stops, and has to be again. */
export interface Before {
  /** Id of its container; undefined: none ran. */
  readonly container: string | undefined;
  readonly webhooks: readonly WantedWebhook[];
}

/** Of the webhooks that are declared, those count that n8n answers now: one that was never published would be waited for in vain. */
export async function readBefore(world: N8nWorld): Promise<Before> {
  const declared = await declaredWebhooks(world);
  const { container, isReady } = await look(world);
  if (!isReady) return { container, webhooks: declared };
  const missing = await missingWebhooks(declared, world);
  for (const one of missing) world.say(`${render(one)}: n8n does not answer there; it is not waited for`);
  return { container, webhooks: declared.filter((one) => !missing.includes(one)) };
}

export interface Now {
  readonly container: string | undefined;

  /** What the service lacks, for people; undefined: it answers as before. */
  readonly lacks: string | undefined;
}

export async function readNow({ webhooks }: Pick<Before, "webhooks">, world: N8nWorld): Promise<Now> {
  const { container, isReady } = await look(world);
  if (!isReady) return { container, lacks: "its readiness" };
  const missing = await missingWebhooks(webhooks, world);
  return { container, lacks: missing.length === 0 ? undefined : missing.map(render).join(", ") };
}

/** Of a service that n8n needs; `throughGateway`: the server's own gateway has to answer, too. */
export async function readBehind(
  { service, throughGateway }: { readonly service: HeldService; readonly throughGateway: boolean },
  { server, environment }: Pick<N8nWorld, "server" | "environment">,
): Promise<Now> {
  const { stdout } = await server.run({
    purpose: `look at ${service}`,
    script: LOOK_BEHIND,
    variables: { SERVICE: swarmName(service), DOMAIN: environment.domain },
    timeoutSeconds: LOOK_SECONDS,
  });
  const [container = "-", code] = stdout.trim().split(" ");
  if (container === "-") return { container: undefined, lacks: `a healthy ${service}` };
  const answers = code === "200" || !throughGateway;
  return { container, lacks: answers ? undefined : "an answer at /healthz" };
}

/** Status that a gateway answers at /healthz; undefined: none. */
export async function readThrough(
  { server }: GatewayServer,
  { domain }: Pick<Environment, "domain">,
): Promise<string | undefined> {
  const { stdout } = await server.run({
    purpose: "look through the gateway",
    script: `${LOOK_THROUGH}\necho "\${code:-000}"`,
    variables: { DOMAIN: domain },
    timeoutSeconds: THROUGH_SECONDS,
  });
  const status = stdout.trim();
  return status === "000" ? undefined : status;
}

async function declaredWebhooks({
  environment,
  project,
  signal,
  say,
  workflows,
}: N8nWorld): Promise<WantedWebhook[]> {
  const { probes } = environment.services.gateway.hold;
  const asked = probes.map((path) => ({ path: path.replace(/^\/+/, ""), method: undefined }));
  if (!environment.workflows.enabled) return asked;
  if (workflows !== undefined) return [...wantedWebhooks(workflows), ...asked];
  const request: FolderRequest = { environment, project, signal, say };
  const { files } = await inFolder(request, ({ path, folder }) => readContent({ path, folder }, environment));
  const declared = wantedWebhooks(files.map(({ workflow }) => workflow));
  return [...declared, ...asked];
}

async function look({ server, address = LOOPBACK }: N8nWorld) {
  const { stdout } = await server.run({
    purpose: "look at n8n",
    script: LOOK,
    variables: { SERVICE: swarmName("n8n"), N8N: address },
    timeoutSeconds: LOOK_SECONDS,
  });
  const [container = "-", code] = stdout.trim().split(" ");
  return { container: container === "-" ? undefined : container, isReady: code === "200" };
}

async function missingWebhooks(
  wanted: readonly WantedWebhook[],
  { server, environment, address, now }: N8nWorld,
): Promise<WantedWebhook[]> {
  const n8n = n8nOf(environment, { server, address, now, ownerPassword: undefined });
  const found = await n8n.readWebhooks([...new Set(wanted.map(({ path }) => path))]);
  const methodsAt = new Map(found.map(({ path, methods }) => [path, methods]));
  return wanted.filter(({ path, method }) => {
    // OPTIONS is answered for any path.
    const methods = (methodsAt.get(path) ?? []).filter((one) => one !== "OPTIONS");
    return method === undefined ? methods.length === 0 : !methods.includes(method);
  });
}

function render({ path, method }: WantedWebhook): string {
  return `${method === undefined ? "" : `${method} `}/webhook/${path}`;
}

/** Whatever goes wrong on the way to the server while n8n is looked at means only that nothing is known yet. */
export async function unlessUnknown<T>(work: () => Promise<T>, otherwise: T): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return otherwise;
  }
}
