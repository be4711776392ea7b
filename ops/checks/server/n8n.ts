/** The workflow engine: ready, owned by nobody else, and with the webhooks that its workflows register. */
import { WEBHOOKS } from "../../../common/services.ts";
import type { Environment } from "../../../stacks/environment.ts";
import { weaknessOf } from "../../../secrets/weakness.ts";
import type { Server } from "../../server/connection.ts";
import type { CheckContext } from "../context.ts";
import { failed, type Finding, notChecked, ok } from "../finding.ts";
import type { Inside } from "./access.ts";
import { askPublic } from "../public/request.ts";
import { script } from "./script.ts";
import type { World } from "../world.ts";

/** No more than these two: n8n slows down whoever guesses. */
function guessesFor({ adminEmail }: Environment) {
  return [
    { emailOrLdapLoginId: "admin@example.com", password: "Admin123" },
    { emailOrLdapLoginId: adminEmail, password: "Password1" },
  ];
}

export async function checkN8nReady(server: Server, { loopback }: World): Promise<Finding> {
  const { stdout } = await server.run({
    purpose: "ask n8n whether it is ready",
    script: `curl --silent --max-time 20 --write-out '\\n%{http_code}' "$N8N/healthz/readiness" || true`,
    variables: { N8N: loopback.n8n },
    timeoutSeconds: 30,
  });
  const [code = "000", body = ""] = stdout.trim().split("\n").reverse();
  return code === "200" && body.includes('"ok"')
    ? ok("n8n est prêt : base de données ouverte et à jour")
    : failed(
        `n8n n'est pas prêt : ${code === "000" ? "pas de réponse" : code}, attendu 200 et {"status":"ok"}`,
      );
}

/**
 * Whether the frontend's webhooks are registered.
 *
 * They come with workflows, which people import: without any, nothing is expected and nothing is proven. A question with OPTIONS starts none.
 */
export async function checkWebhooks(
  context: Pick<CheckContext, "environment" | "secrets" | "signal">,
  { inside, world, signal }: { readonly inside: Inside; readonly world: World; readonly signal: AbortSignal },
): Promise<Finding> {
  const { environment, secrets } = context;
  const states = await Promise.all(
    WEBHOOKS.map(async (name) => ({
      name,
      state: await askWebhook(world, environment.domain, name, signal),
    })),
  );
  const named = (state: string) => states.filter((one) => one.state === state).map(({ name }) => name);
  const broken = states.filter(({ state }) => !["registered", "missing"].includes(state));
  if (broken.length > 0) {
    return failed(broken.map(({ name, state }) => `/api/${name} : ${state}`).join(" ; "));
  }
  const [registered, missing] = [named("registered"), named("missing")];
  const measures = { webhooksRegistered: registered.length };
  if (missing.length === 0) return ok(`webhooks enregistrés : ${registered.join(", ")}`, measures);

  const told = `webhooks sans workflow actif : ${missing.join(", ")}`;
  if (registered.length > 0) return failed(told, measures);
  // n8n lets nobody sign in often: only when it decides.
  const workflows = await readWorkflows({ environment, secrets }, inside, world);
  if (typeof workflows === "string") return notChecked(`${told} ; ${workflows}`, measures);
  const counted = { ...measures, workflows: workflows.total, workflowsActive: workflows.active };
  if (workflows.total === 0) {
    return notChecked(
      "aucun workflow n'est importé dans n8n : rien n'est attendu, rien n'est prouvé",
      counted,
    );
  }
  return failed(
    `${told} ; ${workflows.total} workflows importés, ${workflows.active} actifs : les activer dans n8n`,
    counted,
  );
}

/** Whether n8n refuses strangers: the instance has its owner, whose password is none that is known. */
export async function checkDefaultCredentials(
  { environment, secrets }: Pick<CheckContext, "environment" | "secrets">,
  server: Server,
  { loopback }: World,
): Promise<Finding> {
  const { stdout } = await server.run({
    purpose: "try n8n's door",
    script: script("n8n-defaults.sh"),
    variables: { N8N: loopback.n8n, LOGINS: JSON.stringify(guessesFor(environment)) },
    timeoutSeconds: 60,
  });
  const { setup, codes } = JSON.parse(stdout) as { setup: boolean | null; codes: readonly number[] };
  if (setup === true) return failed("n8n n'a pas de propriétaire : le premier venu peut en devenir un");
  if (codes.includes(200)) return failed("n8n accepte un mot de passe par défaut");
  const owner = secrets["n8nOwnerPassword"];
  if (owner !== undefined && weaknessOf("n8nOwnerPassword", owner) !== undefined) {
    return failed("le mot de passe du propriétaire de n8n est publié ou trop faible ; en mettre un autre");
  }
  if (setup !== false || codes.some((code) => code !== 401)) {
    return notChecked(`n8n répond ${codes.join(", ")} à ${codes.length} essais, attendu 401`);
  }
  return ok(`${codes.length} mots de passe par défaut refusés, l'instance a son propriétaire`);
}

/** `registered`, `missing`, or what is wrong. */
async function askWebhook(world: World, domain: string, name: string, signal: AbortSignal): Promise<string> {
  const { status, headers } = await askPublic(world, {
    secure: true,
    host: domain,
    path: `/api/${name}`,
    method: "OPTIONS",
    // n8n lists the methods of a webhook only to whom it takes for a browser.
    headers: { origin: `https://${domain}` },
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

/** How many workflows there are; or why that is not known. */
async function readWorkflows(
  { environment, secrets }: Pick<CheckContext, "environment" | "secrets">,
  inside: Inside,
  { loopback }: World,
): Promise<Workflows | string> {
  if (typeof inside === "string") return inside;
  const password = secrets["n8nOwnerPassword"];
  if (password === undefined) return "sans n8nOwnerPassword, n8n ne dit pas s'il en a";
  const { stdout } = await inside.run({
    purpose: "count n8n's workflows",
    script: script("n8n-workflows.sh"),
    variables: {
      N8N: loopback.n8n,
      OWNER: JSON.stringify({ emailOrLdapLoginId: environment.adminEmail, password }),
    },
    timeoutSeconds: 60,
  });
  const { login, ...workflows } = JSON.parse(stdout) as Workflows & { login: number };
  return login === 200
    ? workflows
    : `n8n refuse le propriétaire (${login}) et ne dit pas s'il a des workflows`;
}
