/** The state of the user's steps, and what proves it: resources that exist, recorded releases, checks that were run. */
import { PHASES, type StepName, type StepStatus } from "../../stacks/deployment-status.ts";
import type { Check } from "../../common/check.ts";
import { checksOfCurrent, type Release } from "../../common/release.ts";
import type { EnvironmentFacts, Made, PresentFacts } from "../facts.ts";
import { plural } from "../labels-fr.ts";

export interface TrackedStep {
  readonly name: string;
  /** Undefined: nothing is known of it. */
  readonly status: StepStatus | undefined;
  readonly from: Date | undefined;
  readonly to: Date | undefined;
  readonly proof: string;
}

export interface TrackedPhase extends TrackedStep {
  readonly steps: readonly TrackedStep[];
}

/** A kind of resource: its type, and what its name must match. */
type Kind = readonly [type: RegExp, name?: RegExp];

type Proof =
  /** Resources: every kind exists. `orOutputs`: the kind may be missing although the step is done, then the stack's outputs decide. */
  | { readonly resources: readonly Kind[]; readonly orOutputs?: true }
  | { readonly checks: CheckFamily }
  | { readonly released: true };

export type CheckFamily = "functional" | "workflows" | "performance" | "security";

const FILE = /^technicia:host:File$/;
const PACKAGES = /^technicia:host:Packages$/;
const STATE = /^technicia:host:State$/;
const UNIT = /^technicia:host:Unit$/;
const SERVICE = /^docker:index\/service:Service$/;
const SECRET = /^docker:index\/secret:Secret$/;
const RECORD = /^(cloudflare:index\/dnsRecord:DnsRecord|ovh:Domain\/zoneRecord:ZoneRecord)$/;
const PROBE = /^command:local:Command$/;

/** A step that is missing here is known from the stack's outputs alone. */
const PROOFS: Readonly<Partial<Record<StepName, Proof>>> = {
  "Installation OS": { resources: [[/^technicia:ovh:Vps$/], [/^technicia:host:HostKey$/]] },
  "Configuration Firewall": { resources: [[/^technicia:ovh:EdgeFirewall$/], [STATE, /firewall-loaded$/]] },
  "Installation Docker": {
    resources: [
      [PACKAGES, /^host-packages$/],
      [UNIT, /^host-docker$/],
      [STATE, /^host-swarm$/],
    ],
  },
  "Clonage du repository": { released: true },
  "Configuration des clés API": {
    resources: [[SECRET, /-(voyage-api-key|google-credentials)$/]],
    orOutputs: true,
  },
  "Exécution du script de déploiement": { resources: [[SERVICE], [PROBE, /^public-probe$/]] },
  "Génération clé de chiffrement": { resources: [[SECRET, /n8n-encryption-key$/]] },
  "Configuration variables d'environnement": {
    resources: [
      [SERVICE, /n8n-service$/],
      [STATE, /^n8n-owner$/],
    ],
  },
  "Configuration HTTPS pour n8n": { resources: [[STATE, /^certificate-served$/]] },
  "Configuration DNS": { resources: [[RECORD]] },
  "Installation Certbot": {
    resources: [
      [FILE, /^certificate-/],
      [UNIT, /^certificate-renewal$/],
    ],
  },
  "Obtention certificats SSL": { resources: [[STATE, /^certificate-served$/]] },
  "Tests fonctionnels": { checks: "functional" },
  "Tests des workflows n8n": { checks: "workflows" },
  "Tests de performance": { checks: "performance" },
  "Tests de sécurité": { checks: "security" },
};

type Deployed = Omit<PresentFacts, "stack" | "name">;

/** Phases and steps of one environment, as its facts show them. */
export function describePhases(facts: Deployed | Exclude<EnvironmentFacts, PresentFacts>): TrackedPhase[] {
  return PHASES.map(({ name, steps }) => {
    const described = steps.map(([step]) => describeStep(step, facts));
    const status = overallStatus(described.map((step) => step.status));
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

function describeStep(name: StepName, facts: Parameters<typeof describePhases>[0]): TrackedStep {
  const unknown = { name, status: undefined, from: undefined, to: undefined, proof: "" };
  if (facts.state === "unreadable") return unknown;
  if (facts.state === "absent") return { ...unknown, status: "Non commencé" };
  const fromOutputs = describeFromOutputs(name, facts);
  const proof = PROOFS[name];
  if (proof === undefined) return fromOutputs;
  if ("checks" in proof) return describeChecks(name, { family: proof.checks, facts }) ?? fromOutputs;
  if ("released" in proof) return describeReleases(name, facts);

  const found = proof.resources.map((kind) => facts.made.filter((made) => isOf(kind, made)));
  const dates = found.flat().map(({ at }) => at);
  const existing = found.filter((kind) => kind.length > 0).length;
  const seen = existing === 0 ? "Non commencé" : existing < found.length ? "En cours" : "Complété";
  // The outputs are those of the last run that finished; a resource that has gone since then proves nothing.
  const outputsDecide =
    facts.outputs !== undefined && (fromOutputs.status !== "Complété" || proof.orOutputs === true);
  const status = outputsDecide ? fromOutputs.status : seen;
  return {
    name,
    status,
    from: earliest(dates),
    to: status === "Complété" ? latest(dates) : undefined,
    proof: status === "Non commencé" ? "" : fromOutputs.proof,
  };
}

/** Translations of the states of a healthy host, which its resources report in English. */
const OBSERVED: readonly (readonly [RegExp, string])[] = [
  [/the loaded table is the file's/, "table chargée conforme au fichier"],
  [/swarm active, manager: true/, "swarm actif"],
  [/the instance has an owner/, "l'instance a un propriétaire"],
  [/valid for (.+), (ecdsa|rsa), from (\S+)/, "valable pour $1, $2, émis par $3"],
];

function describeFromOutputs(name: StepName, { outputs }: Deployed): TrackedStep {
  const step = outputs?.deploymentStatus.phases
    .flatMap(({ steps }) => steps)
    .find((each) => each.name === name);
  return {
    name,
    status: step?.status ?? "Non commencé",
    from: undefined,
    to: undefined,
    proof: OBSERVED.reduce((text, [english, french]) => text.replace(english, french), step?.proof ?? ""),
  };
}

function isOf([type, name]: Kind, made: Made): boolean {
  return type.test(made.type) && (name?.test(made.name) ?? true);
}

function describeReleases(name: StepName, facts: Deployed): TrackedStep {
  const [first] = releasesOf(facts);
  if (!first) return { name, status: "Non commencé", from: undefined, to: undefined, proof: "" };
  const at = new Date(first.startedAt);
  return { name, status: "Complété", from: at, to: at, proof: `révision ${shortRevision(first.revision)}` };
}

interface ChecksRequest {
  readonly family: CheckFamily;
  readonly facts: Deployed;
}

/** The newest checks of the family; undefined when it was never checked. */
function describeChecks(name: StepName, { family, facts }: ChecksRequest): TrackedStep | undefined {
  const of = (release: Release) => checksOfCurrent(release).filter((check) => familyOf(check) === family);
  const last = releasesOf(facts).findLast((release) => of(release).length > 0);
  if (!last) return undefined;
  const checks = of(last);
  const failed = checks.filter(({ outcome }) => outcome === "failed");
  const open = checks.filter(({ outcome }) => outcome === "not-checked");
  const status = failed.length > 0 ? "Bloqué" : open.length > 0 ? "En cours" : "Complété";
  const number = last.outcome === "rolled-back" ? (last.restored ?? last.number) : last.number;
  return {
    name,
    status,
    from: new Date(last.startedAt),
    to: status === "Complété" && last.finishedAt !== undefined ? new Date(last.finishedAt) : undefined,
    proof: `mise en production nº ${number} : ${summarizeChecks(checks.length, { failed, open })}`,
  };
}

function summarizeChecks(
  count: number,
  { failed, open }: { readonly failed: readonly Check[]; readonly open: readonly Check[] },
): string {
  const counted = plural(count, "contrôle");
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

function releasesOf({ records }: Deployed): Release[] {
  const releases = "releases" in records ? records.releases : [];
  return releases.toSorted((one, other) => one.number - other.number);
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

function overallStatus(statuses: readonly (StepStatus | undefined)[]): StepStatus | undefined {
  if (statuses.includes("Bloqué")) return "Bloqué";
  const [first] = statuses;
  return statuses.every((status) => status === first) ? first : "En cours";
}

function earliest(dates: readonly (Date | undefined)[]): Date | undefined {
  return sorted(dates)[0];
}

function latest(dates: readonly (Date | undefined)[]): Date | undefined {
  return sorted(dates).at(-1);
}

function sorted(dates: readonly (Date | undefined)[]): Date[] {
  return dates.filter((date) => date !== undefined).toSorted((one, other) => one.getTime() - other.getTime());
}
