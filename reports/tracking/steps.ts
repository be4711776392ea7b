/** The user's steps, and what proves each: resources that exist, releases that were recorded, checks that were run. */
import type { StepStatus } from "../../stacks/deployment-status.ts";
import type { Check } from "../../common/check.ts";
import type { Release } from "../../common/release.ts";
import { recordsOf, type EnvironmentFacts, type Made, type PresentFacts } from "../facts.ts";
import { plural } from "../labels-fr.ts";

export interface Step {
  readonly name: string;
  /** Undefined: nothing is known of it. */
  readonly status: StepStatus | undefined;
  readonly from: Date | undefined;
  readonly to: Date | undefined;
  readonly proof: string;
}

export interface Phase extends Step {
  readonly steps: readonly Step[];
}

/** A kind of resource: its type, and what its name must match. */
type Kind = readonly [type: RegExp, name?: RegExp];

type Proven =
  /** Every kind has at least one resource; `orTold`: what stands for it may reach no container, so that the outputs' word counts. */
  | { readonly made: readonly Kind[]; readonly orTold?: true }
  | { readonly checks: CheckFamily }
  | { readonly released: true }
  | Record<string, never>;

export type CheckFamily = "functional" | "workflows" | "performance" | "security";

const FILE = /^technicia:host:File$/;
const PACKAGES = /^technicia:host:Packages$/;
const STATE = /^technicia:host:State$/;
const UNIT = /^technicia:host:Unit$/;
const SERVICE = /^docker:index\/service:Service$/;
const SECRET = /^docker:index\/secret:Secret$/;
const RECORD = /^(cloudflare:index\/dnsRecord:DnsRecord|ovh:Domain\/zoneRecord:ZoneRecord)$/;
const PROBE = /^command:local:Command$/;

const PHASES: readonly { readonly name: string; readonly steps: readonly (readonly [string, Proven])[] }[] = [
  {
    name: "Préparation du serveur",
    steps: [
      ["Installation OS", { made: [[/^technicia:ovh:Vps$/], [/^technicia:host:HostKey$/]] }],
      ["Configuration Firewall", { made: [[/^technicia:ovh:EdgeFirewall$/], [STATE, /firewall-loaded$/]] }],
      [
        "Installation Docker",
        {
          made: [
            [PACKAGES, /^host-packages$/],
            [UNIT, /^host-docker$/],
            [STATE, /^host-swarm$/],
          ],
        },
      ],
    ],
  },
  {
    name: "Déploiement des services",
    steps: [
      ["Clonage du repository", { released: true }],
      [
        "Configuration des clés API",
        { made: [[SECRET, /-(voyage-api-key|google-credentials)$/]], orTold: true },
      ],
      ["Exécution du script de déploiement", { made: [[SERVICE], [PROBE, /^public-probe$/]] }],
    ],
  },
  {
    name: "Configuration de n8n",
    steps: [
      ["Génération clé de chiffrement", { made: [[SECRET, /n8n-encryption-key$/]] }],
      [
        "Configuration variables d'environnement",
        {
          made: [
            [SERVICE, /n8n-service$/],
            [STATE, /^n8n-owner$/],
          ],
        },
      ],
      ["Configuration HTTPS pour n8n", { made: [[STATE, /^certificate-served$/]] }],
      ["Import des workflows", {}],
      ["Configuration des credentials", {}],
    ],
  },
  {
    name: "Configuration HTTPS",
    steps: [
      ["Configuration DNS", { made: [[RECORD]] }],
      [
        "Installation Certbot",
        {
          made: [
            [FILE, /^certificate-/],
            [UNIT, /^certificate-renewal$/],
          ],
        },
      ],
      ["Obtention certificats SSL", { made: [[STATE, /^certificate-served$/]] }],
    ],
  },
  {
    name: "Tests post-déploiement",
    steps: [
      ["Tests fonctionnels", { checks: "functional" }],
      ["Tests des workflows n8n", { checks: "workflows" }],
      ["Tests de performance", { checks: "performance" }],
      ["Tests de sécurité", { checks: "security" }],
    ],
  },
  {
    name: "Configuration monitoring",
    steps: [
      ["Installation du script de monitoring", {}],
      ["Configuration des alertes", {}],
      ["Tests des alertes", {}],
    ],
  },
];

/** Phases and steps of one environment, as its facts show them. */
export function describePhases(facts: EnvironmentFacts): Phase[] {
  return PHASES.map(({ name, steps }) => {
    const described = steps.map(([step, proven]) => describeStep(step, proven, facts));
    const status = overall(described.map((step) => step.status));
    return {
      name,
      status,
      from: earliest(described.map(({ from }) => from)),
      to: status === "Complété" ? latest(described.map(({ to }) => to)) : undefined,
      proof: "",
      steps: described,
    };
  });
}

function describeStep(name: string, proven: Proven, facts: EnvironmentFacts): Step {
  const nothing = { name, from: undefined, to: undefined, proof: "" };
  if (facts.state === "unreadable") return { ...nothing, status: undefined };
  if (facts.state === "absent") return { ...nothing, status: "Non commencé" };
  if ("checks" in proven) return describeChecks(name, proven.checks, facts);
  if ("released" in proven) return describeReleases(name, facts);
  const told = toldOf(name, facts);
  const proof = inFrench(told?.proof ?? "");
  if (!("made" in proven)) return { ...nothing, status: told?.status ?? "Non commencé", proof };

  const found = proven.made.map((kind) => facts.made.filter((made) => isOf(kind, made)));
  const dates = found.flat().map(({ at }) => at);
  const there = found.filter((kind) => kind.length > 0).length;
  const seen = there === 0 ? "Non commencé" : there < found.length ? "En cours" : "Complété";
  // The outputs are those of the last run that came to its end; what has gone since then proves nothing.
  const isOpen = told !== undefined && (told.status !== "Complété" || proven.orTold === true);
  const status = isOpen ? told.status : seen;
  return {
    name,
    status,
    from: earliest(dates),
    to: status === "Complété" ? latest(dates) : undefined,
    proof: status === "Non commencé" ? "" : proof,
  };
}

/** What the host is observed to be is told in English; these are the ways in which it is well. */
const OBSERVED: readonly (readonly [RegExp, string])[] = [
  [/the loaded table is the file's/, "table chargée conforme au fichier"],
  [/swarm active, manager: true/, "swarm actif"],
  [/the instance has an owner/, "l'instance a un propriétaire"],
  [/valid for (.+), (ecdsa|rsa), from (\S+)/, "valable pour $1, $2, émis par $3"],
];

function inFrench(proof: string): string {
  return OBSERVED.reduce((text, [english, french]) => text.replace(english, french), proof);
}

function isOf([type, name]: Kind, made: Made): boolean {
  return type.test(made.type) && (name?.test(made.name) ?? true);
}

function toldOf(name: string, { outputs }: PresentFacts) {
  return outputs?.deploymentStatus.phases.flatMap(({ steps }) => steps).find((step) => step.name === name);
}

function describeReleases(name: string, facts: PresentFacts): Step {
  const [first] = releasesOf(facts);
  if (!first) return { name, status: "Non commencé", from: undefined, to: undefined, proof: "" };
  const at = new Date(first.startedAt);
  return { name, status: "Complété", from: at, to: at, proof: `révision ${shortRevision(first.revision)}` };
}

function describeChecks(name: string, family: CheckFamily, facts: PresentFacts): Step {
  const last = releasesOf(facts).findLast(({ verify }) => verify.some((check) => familyOf(check) === family));
  if (!last) {
    const told = toldOf(name, facts);
    return {
      name,
      status: told?.status ?? "Non commencé",
      from: undefined,
      to: undefined,
      proof: inFrench(told?.proof ?? ""),
    };
  }
  const checks = last.verify.filter((check) => familyOf(check) === family);
  const failed = checks.filter(({ outcome }) => outcome === "failed");
  const open = checks.filter(({ outcome }) => outcome === "not-checked");
  const status = failed.length > 0 ? "Bloqué" : open.length > 0 ? "En cours" : "Complété";
  return {
    name,
    status,
    from: new Date(last.startedAt),
    to: status === "Complété" && last.finishedAt !== undefined ? new Date(last.finishedAt) : undefined,
    proof: `mise en production nº ${last.number} : ${tellChecks(checks.length, failed, open)}`,
  };
}

function tellChecks(all: number, failed: readonly Check[], open: readonly Check[]): string {
  const counted = plural(all, "contrôle");
  if (failed.length > 0) {
    return `${counted}, en échec : ${failed.map(({ title, detail }) => `${title} (${detail})`).join(" ; ")}`;
  }
  return open.length > 0
    ? `${counted}, dont ${plural(open.length, "non vérifié")}`
    : `${counted}, sans échec`;
}

/** Part of the verification that a check belongs to, by its id. */
export function familyOf({ id }: Pick<Check, "id">): CheckFamily {
  if (id === "functional-webhooks") return "workflows";
  if (id.startsWith("performance-")) return "performance";
  return id.startsWith("security-") ? "security" : "functional";
}

function releasesOf(facts: PresentFacts): Release[] {
  return (recordsOf(facts)?.releases ?? []).toSorted((one, other) => one.number - other.number);
}

/** Such as `nº 12 (1a2b3c4)`. */
export function describeRelease({ number, kind, restored, revision }: Release): string {
  return kind === "rollback" && restored !== undefined
    ? `nº ${number} (retour au nº ${restored})`
    : `nº ${number} (${shortRevision(revision)})`;
}

export function shortRevision(revision: string): string {
  return revision.replace(/^([0-9a-f]{7})[0-9a-f]*/, "$1");
}

function overall(statuses: readonly (StepStatus | undefined)[]): StepStatus | undefined {
  if (statuses.includes("Bloqué")) return "Bloqué";
  const [first] = statuses;
  return statuses.every((status) => status === first) ? first : "En cours";
}

function earliest(dates: readonly (Date | undefined)[]): Date | undefined {
  return dates
    .filter((date) => date !== undefined)
    .toSorted((one, other) => one.getTime() - other.getTime())[0];
}

function latest(dates: readonly (Date | undefined)[]): Date | undefined {
  return dates
    .filter((date) => date !== undefined)
    .toSorted((one, other) => one.getTime() - other.getTime())
    .at(-1);
}
