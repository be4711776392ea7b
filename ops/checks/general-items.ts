/** General items of the users' checklists: tests and loads of earlier runs, settings and secrets, and what only a person can judge. */
import { Octokit } from "@octokit/rest";

import type { Check } from "../../common/check.ts";
import { entryOf, isSecretName, requiredSecrets, type SecretName } from "../../secrets/catalog.ts";
import { weaknessOf } from "../../secrets/weakness.ts";
import type { Server } from "../server/connection.ts";
import { agesOf, agingNames } from "../rotation/ages.ts";
import { readRecords, readReleases } from "../server/records.ts";
import { isBackedUp, judgeBackups, readBackupStatus } from "../backup/status.ts";
import { askServer, type CheckContext, type CheckEffects, type ServerAccess } from "./context.ts";
import { failed, type Finding, notChecked, ok, type Probe } from "./probe.ts";

/** Runs `npm test`. */
const WORKFLOW = "ci.yml";
const PERSON = "à faire par une personne ; aucun programme ne peut en juger";

export const SECURITY_REVIEW: Check = {
  id: "security-review",
  title: "Les vulnérabilités de sécurité ont été vérifiées (OWASP Top 10)",
  ...notChecked(PERSON),
};

/** By what the server has recorded: its newest set, and the last rehearsal of a restore. */
export function backupsProbe(
  { environment }: Pick<CheckContext, "environment">,
  {
    access,
    now,
    id = "backups",
  }: { readonly access: ServerAccess; readonly now: () => number; readonly id?: string },
): Probe {
  return {
    id,
    title: "Les sauvegardes sont à jour et vérifiées",
    async find() {
      if (!isBackedUp(environment)) return notChecked("aucune sauvegarde n'est réglée : technicia:backup");
      return await askServer(access, async (server) => {
        const status = await readBackupStatus(server);
        if (status === undefined) return notChecked("le prochain déploiement met les sauvegardes en place");
        return judgeBackups(status, { environment, now: now() });
      });
    },
  };
}

/** Items that no program can answer. */
export const BY_PERSON: readonly Check[] = [
  {
    id: "code-review",
    title: "Code review : Validation par au moins 2 développeurs seniors",
    ...notChecked(PERSON),
  },
  {
    id: "staging-identical",
    title: "Environnement staging : Identique à la production",
    ...notChecked(
      "npm run promote ne prend que des empreintes vérifiées en staging ; le reste des réglages est à comparer par une personne",
    ),
  },
  { id: "migrations", title: "Base de données : Migrations testées et validées", ...notChecked(PERSON) },
];

/**
 * Whether GitHub's CI passed for the commit that is deployed; nobody knows outside of it. The test environment gets every commit while its tests
 * run; the others get what has passed them.
 */
export function automatedTestsProbe(
  stack: string,
  { fetch, variables }: Pick<CheckEffects, "fetch" | "variables">,
): Probe {
  const without = stack === "test" ? notChecked : failed;
  return {
    id: "automated-tests",
    title: "Tous les tests automatisés passent avec succès",
    async find(signal) {
      const { GITHUB_REPOSITORY, GITHUB_SHA, GITHUB_TOKEN, GITHUB_API_URL } = variables;
      const [owner, repo] = (GITHUB_REPOSITORY ?? "").split("/");
      if (!owner || !repo || !GITHUB_SHA || !GITHUB_TOKEN) {
        return notChecked(
          "hors de GitHub Actions, rien ne dit si les tests de ce commit ont réussi ; npm test les lance",
        );
      }
      const github = new Octokit({
        auth: GITHUB_TOKEN,
        ...(GITHUB_API_URL ? { baseUrl: GITHUB_API_URL } : {}),
        request: { fetch, signal },
        log: { debug() {}, info() {}, warn() {}, error() {} },
      });
      const { data } = await github.rest.actions.listWorkflowRuns({
        owner,
        repo,
        workflow_id: WORKFLOW,
        head_sha: GITHUB_SHA,
      });
      const newest = [...data.workflow_runs].sort((a, b) => b.run_number - a.run_number)[0];
      const commit = GITHUB_SHA.slice(0, 7);
      if (!newest) return without(`${WORKFLOW} n'a pas tourné pour ${commit}`);
      if (newest.status !== "completed")
        return without(`${WORKFLOW} tourne encore pour ${commit} ; en attendre la fin`);
      return newest.conclusion === "success"
        ? ok(`${WORKFLOW} a réussi pour ${commit}`)
        : failed(
            `${WORKFLOW} pour ${commit} : ${newest.conclusion ?? "sans résultat"} ; voir ${newest.html_url}`,
          );
    },
  };
}

/** The load that followed the last release: the tests that the checklist asks for, judged by their thresholds. */
export async function checkEarlierPerformance(server: Server): Promise<Finding> {
  const { releases } = await readReleases(server);
  const isLoad = ({ id }: Pick<Check, "id">) => id.startsWith("performance-");
  // After a rollback the restored release runs, and its own verification counts.
  const measured = releases
    .map((release) =>
      release.kind === "deploy" && release.restored !== undefined
        ? { ...release, verify: release.restoredVerify }
        : release,
    )
    .findLast(({ verify }) => verify.some(isLoad));
  if (!measured)
    return notChecked("aucune livraison n'a encore été mesurée ; la vérification qui suit le fera");
  const loads = measured.verify.filter(isLoad);
  const seen = `livraison ${measured.number} du ${measured.startedAt.slice(0, 10)} : ${loads.map(({ detail }) => detail).join(" ; ")}`;
  if (loads.some(({ outcome }) => outcome === "failed")) return failed(seen);
  return loads.every(({ outcome }) => outcome === "ok") ? ok(seen) : notChecked(seen);
}

/** The settings themselves are valid, or there would be no environment; this checks the secrets and the target. */
export function configurationProbe(context: CheckContext): Probe {
  return {
    id: "configuration",
    title: "Les configurations sont correctes pour l'environnement cible",
    find() {
      const { stack, environment, outputs, secrets } = context;
      const names = Object.keys(secrets).filter(isSecretName);
      const missing = requiredSecrets(environment, new Set<SecretName>(names)).filter(
        (name) => !secrets[name],
      );
      const weak = names.filter((name) => weaknessOf(name, secrets[name]!) !== undefined);
      const problems = [
        ...missing.map((name) => `secret ${name} absent (${entryOf(name).services.join(", ")})`),
        ...weak.map((name) => `secret ${name} faible, publié ou de mauvaise forme`),
        ...(environment.name === stack ? [] : [`réglages de ${environment.name} pour la pile ${stack}`]),
        ...(outputs && outputs.deploymentStatus.environment !== stack
          ? [`ce qui tourne est ${outputs.deploymentStatus.environment}, pas ${stack}`]
          : []),
      ];
      return problems.length > 0
        ? failed(`${problems.join(" ; ")} ; npm run secrets -- ${stack} dit comment les donner`)
        : ok(
            `réglages lus sans faute pour ${environment.domain}, ${names.length} secrets présents et solides`,
          );
    },
  };
}

/** Whether the settings file holds every secret encrypted. */
export function encryptionProbe({ stack, pulumi }: Pick<CheckContext, "stack" | "pulumi">): Probe {
  return {
    id: "secrets-encrypted",
    title: "Clés API sécurisées dans Secrets Manager",
    async find() {
      const printed = await pulumi({ args: ["config", "--json", "--stack", stack] });
      const settings = JSON.parse(printed) as Record<
        string,
        { secret?: boolean; value?: string } | undefined
      >;
      const given = Object.entries(settings).filter(([key, entry]) => {
        const name = key.replace(/^technicia:/, "");
        return isSecretName(name) && (entry?.secret === true || (entry?.value ?? "") !== "");
      });
      const clear = given.filter(([, entry]) => entry?.secret !== true).map(([key]) => key);
      if (clear.length > 0) return failed(`en clair dans Pulumi.${stack}.yaml : ${clear.join(", ")}`);
      return given.length === 0
        ? notChecked(`aucun secret dans Pulumi.${stack}.yaml`)
        : ok(`${given.length} secrets chiffrés dans Pulumi.${stack}.yaml, aucun en clair`);
    },
  };
}

/** How old the secrets are, which fails no deployment: one may be on its way to rotate them. */
export function secretAgesProbe(
  { stack, environment, secrets }: Pick<CheckContext, "stack" | "environment" | "secrets">,
  { access, now }: { readonly access: ServerAccess; readonly now: () => number },
): Probe {
  return {
    id: "secret-ages",
    title: "Secrets renouvelés à temps",
    find: () =>
      askServer(access, async (server) => {
        const { releases, events: history } = await readRecords(server);
        const names = agingNames(new Set(Object.keys(secrets).filter(isSecretName)), environment);
        const ages = agesOf({ names, records: { releases, history }, now: new Date(now()) });
        const due = ages.filter(({ isDue }) => isDue);
        const described = due.map(({ name, since }) => `${name} (depuis le ${since ?? "?"})`);
        if (due.length > 0)
          return notChecked(`à renouveler : ${described.join(", ")} ; npm run secrets -- ${stack} rotate`);
        const next = ages.find((age) => age.due !== undefined);
        return ok(next === undefined ? "aucun à renouveler" : `le prochain le ${next.due} : ${next.name}`);
      }),
  };
}
