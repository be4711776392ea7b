/** The workflow engine: ready, claimed by its owner, and with the webhooks that its workflows register. */
import type { Check } from "../../../common/check.ts";
import { scriptParts } from "../../../common/script.ts";
import { WEBHOOKS } from "../../../common/services.ts";
import { weaknessOf } from "../../../secrets/weakness.ts";
import type { Server } from "../../server/connection.ts";
import type { CheckContext, ServerAccess } from "../context.ts";
import { failed, type Finding, notChecked, ok } from "../probe.ts";
import { askPublic, type PublicSite } from "../public/gateway.ts";

const SCRIPTS = scriptParts(new URL("scripts/n8n.sh", import.meta.url), ["call", "workflows", "defaults"]);

export interface N8n {
  /** Base URL on the server's loopback. */
  readonly url: string;
  readonly ownerEmail: string;
  /** Undefined when it is not set. */
  readonly ownerPassword: string | undefined;
}

export function n8nOf(
  { environment, secrets }: Pick<CheckContext, "environment" | "secrets">,
  url: string,
): N8n {
  return { url, ownerEmail: environment.adminEmail, ownerPassword: secrets["n8nOwnerPassword"] };
}

/** Only two, because n8n slows down a client that guesses. */
function guessesFor({ ownerEmail }: N8n) {
  return [
    { emailOrLdapLoginId: "admin@example.com", password: "Admin123" },
    { emailOrLdapLoginId: ownerEmail, password: "Password1" },
  ];
}

export async function checkN8nReady(server: Server, { url }: N8n): Promise<Finding> {
  const { stdout } = await server.run({
    purpose: "ask n8n whether it is ready",
    script: `curl --silent --max-time 20 --write-out '\\n%{http_code}' "$N8N/healthz/readiness" || true`,
    variables: { N8N: url },
    timeoutSeconds: 30,
  });
  const [code = "000", body = ""] = stdout.trim().split("\n").reverse();
  return code === "200" && body.includes('"ok"')
    ? ok("n8n est prêt : base de données ouverte et à jour")
    : failed(
        `n8n n'est pas prêt : ${code === "000" ? "pas de réponse" : code}, attendu 200 et {"status":"ok"}`,
      );
}

interface WebhookOptions {
  readonly site: PublicSite;
  readonly access: ServerAccess;
  readonly signal: AbortSignal;
  /** Checks from before a deployment. */
  readonly earlier?: readonly Check[] | undefined;
}

/**
 * Whether the frontend's webhooks are registered.
 *
 * A webhook exists once a person has imported and activated its workflow. Without any workflow the check neither fails nor passes, unless there
 * were some before. An OPTIONS request starts none.
 */
export async function checkWebhooks(n8n: N8n, options: WebhookOptions): Promise<Finding> {
  const states = await Promise.all(
    WEBHOOKS.map(async (name) => ({ name, state: await readWebhook(name, options) })),
  );
  const named = (state: string) => states.filter((one) => one.state === state).map(({ name }) => name);
  const broken = states.filter(({ state }) => !["registered", "missing"].includes(state));
  if (broken.length > 0) {
    return failed(broken.map(({ name, state }) => `/api/${name} : ${state}`).join(" ; "));
  }
  const [registered, missing] = [named("registered"), named("missing")];
  const measures = { webhooksRegistered: registered.length };
  if (missing.length === 0) return ok(`webhooks enregistrés : ${registered.join(", ")}`, measures);

  const seen = `webhooks sans workflow actif : ${missing.join(", ")}`;
  if (registered.length > 0) return failed(seen, measures);
  // n8n limits logins, so the check logs in only when the answer depends on it.
  const workflows = await readWorkflows(n8n, options.access);
  if (typeof workflows === "string") return notChecked(`${seen} ; ${workflows}`, measures);
  const counted = { ...measures, workflows: workflows.total, workflowsActive: workflows.active };
  if (workflows.total === 0) {
    const lost = hadWorkflows(options.earlier ?? []);
    if (lost !== undefined)
      return failed(
        `n8n a perdu ses workflows : ${lost} avant, aucun maintenant ; une autre base de données ?`,
        counted,
      );
    return notChecked(
      "aucun workflow n'est importé dans n8n : rien n'est attendu, rien n'est prouvé",
      counted,
    );
  }
  return failed(
    `${seen} ; ${workflows.total} workflows importés, ${workflows.active} actifs : les activer dans n8n`,
    counted,
  );
}

/** How many workflows, or at least webhooks, earlier checks have counted; undefined when none. */
function hadWorkflows(earlier: readonly Check[]): string | undefined {
  const most = (measure: string) => Math.max(0, ...earlier.map(({ measures }) => measures?.[measure] ?? 0));
  const [workflows, webhooks] = [most("workflows"), most("webhooksRegistered")];
  if (workflows > 0) return `${workflows} workflows`;
  return webhooks > 0 ? `${webhooks} webhooks` : undefined;
}

/** Whether n8n is claimed, and refuses well-known passwords. */
export async function checkDefaultCredentials(server: Server, n8n: N8n): Promise<Finding> {
  const { stdout } = await server.run({
    purpose: "try default passwords of n8n",
    script: SCRIPTS.call + SCRIPTS.defaults,
    variables: { N8N: n8n.url, LOGINS: JSON.stringify(guessesFor(n8n)) },
    timeoutSeconds: 60,
  });
  const { setup, codes } = JSON.parse(stdout) as { setup: boolean | null; codes: readonly number[] };
  if (setup === true) return failed("n8n n'a pas de propriétaire : le premier venu peut en devenir un");
  if (codes.includes(200)) return failed("n8n accepte un mot de passe par défaut");
  const { ownerPassword } = n8n;
  if (ownerPassword !== undefined && weaknessOf("n8nOwnerPassword", ownerPassword) !== undefined) {
    return failed("le mot de passe du propriétaire de n8n est publié ou trop faible ; en mettre un autre");
  }
  if (setup !== false || codes.some((code) => code !== 401)) {
    return notChecked(`n8n répond ${codes.join(", ")} à ${codes.length} essais, attendu 401`);
  }
  return ok(`${codes.length} mots de passe par défaut refusés, l'instance a son propriétaire`);
}

/** `registered`, `missing`, or what is wrong. */
async function readWebhook(
  name: string,
  { site, signal }: { readonly site: PublicSite; readonly signal: AbortSignal },
): Promise<string> {
  const { status, headers } = await askPublic(site, {
    path: `/api/${name}`,
    method: "OPTIONS",
    // n8n names the methods of a webhook only to a browser.
    headers: { origin: `https://${site.domain}` },
    signal,
  });
  const allowed = headers["access-control-allow-methods"];
  if (status !== 204 || allowed === undefined) return `${status}, attendu 204 de n8n`;
  return allowed.split(/,\s*/).includes("POST") ? "registered" : "missing";
}

interface Workflows {
  readonly total: number;
  readonly active: number;
}

/** The number of workflows; or, in French, why it is not known. */
async function readWorkflows(
  { url, ownerEmail, ownerPassword: password }: N8n,
  access: ServerAccess,
): Promise<Workflows | string> {
  if (!access.server) return access.obstacle;
  if (password === undefined) return "sans n8nOwnerPassword, n8n ne dit pas s'il en a";
  const { stdout } = await access.server.run({
    purpose: "count n8n's workflows",
    script: SCRIPTS.call + SCRIPTS.workflows,
    variables: { N8N: url, OWNER: JSON.stringify({ emailOrLdapLoginId: ownerEmail, password }) },
    timeoutSeconds: 60,
  });
  const { login, ...workflows } = JSON.parse(stdout) as Workflows & { login: number };
  return login === 200
    ? workflows
    : `n8n refuse le propriétaire (${login}) et ne dit pas s'il a des workflows`;
}
