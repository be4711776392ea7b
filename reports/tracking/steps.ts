/** The state of the user's steps, and what proves it: resources that exist, recorded releases, checks that were run. */
import { PHASES, type EvidenceKey, type StepName, type StepStatus } from "../../stacks/deployment-status.ts";
import { INVENTORY, rowOf } from "../../stacks/inventory.ts";
import type { Check } from "../../common/check.ts";
import { ALERT_TEST_DETAIL, checksOfCurrent, type Release } from "../../common/release.ts";
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

type CheckFamily = "functional" | "workflows" | "performance" | "security";

/** Steps that a release's checks prove, once there are any. */
const CHECKED: Readonly<Partial<Record<StepName, CheckFamily>>> = {
  "Tests fonctionnels": "functional",
  "Tests des workflows n8n": "workflows",
  "Tests de performance": "performance",
  "Tests de sécurité": "security",
};

/** Without sources of the services, this project's own commit is what was cloned. */
const RELEASED: StepName = "Clonage du repository";

/** Proved by the record of `npm run alerts -- <stack> test`. */
const ALERT_TEST: StepName = "Tests des alertes";

type Deployed = Omit<PresentFacts, "stack" | "name">;

/** Phases and steps of one environment, as its facts show them. */
export function describePhases(facts: Deployed | Exclude<EnvironmentFacts, PresentFacts>): TrackedPhase[] {
  return PHASES.map(({ name, steps }) => {
    const described = steps.map(([step, key]) => describeStep({ name: step, key }, facts));
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

const UNDATED = { from: undefined, to: undefined, proof: "" };

function describeStep(
  { name, key }: { readonly name: StepName; readonly key: EvidenceKey | undefined },
  facts: Parameters<typeof describePhases>[0],
): TrackedStep {
  if (facts.state === "unreadable") return { ...UNDATED, name, status: undefined };
  if (facts.state === "absent") return { ...UNDATED, name, status: "Non commencé" };
  const fromOutputs = describeFromOutputs(name, facts);
  if (name === RELEASED && fromOutputs.status === "Non commencé") return describeReleases(name, facts);
  if (name === ALERT_TEST) return describeAlertTest(name, facts);
  const family = CHECKED[name];
  if (family !== undefined) return describeChecks(name, { family, facts }) ?? fromOutputs;

  const found = resourcesOf(key, facts.made);
  if (found.length === 0) return fromOutputs;
  const dates = found.flat().map(({ at }) => at);
  const existing = found.filter((kind) => kind.length > 0).length;
  const seen = existing === 0 ? "Non commencé" : existing < found.length ? "En cours" : "Complété";
  // The outputs are those of the last run that finished; a resource that has gone since then proves nothing.
  // Without a container that needs them, configured API keys have no resource.
  const outputsDecide =
    facts.outputs !== undefined && (fromOutputs.status !== "Complété" || key === "apiKeys");
  const status = outputsDecide ? fromOutputs.status : seen;
  return {
    name,
    status,
    from: earliest(dates),
    to: status === "Complété" ? latest(dates) : undefined,
    proof: status === "Non commencé" ? "" : fromOutputs.proof,
  };
}

/** For each kind of resource that proves the step, those that exist. */
function resourcesOf(key: EvidenceKey | undefined, made: readonly Made[]): Made[][] {
  const rows = INVENTORY.filter(({ steps }) => key !== undefined && steps?.includes(key) === true);
  const kinds = Map.groupBy(rows, ({ types }) => types.join());
  return [...kinds.values()].map((kind) =>
    made.filter((resource) => {
      const row = rowOf(resource);
      return row !== undefined && kind.includes(row);
    }),
  );
}

/** Translations of the states of a healthy host, which its resources report in English. */
const OBSERVED: readonly (readonly [RegExp, string])[] = [
  [/the loaded table is the file's/, "table chargée conforme au fichier"],
  [/swarm active, manager: true(?:, listening at \S+)?/, "swarm actif"],
  [/the instance has an owner/, "l'instance a un propriétaire"],
  [/valid for (.+), (ecdsa|rsa), from (\S+)/, "valable pour $1, $2, émis par $3"],
];

function describeFromOutputs(name: StepName, { outputs }: Deployed): TrackedStep {
  const step = outputs?.deploymentStatus.phases
    .flatMap(({ steps }) => steps)
    .find((each) => each.name === name);
  return {
    ...UNDATED,
    name,
    status: step?.status ?? "Non commencé",
    proof: OBSERVED.reduce((text, [english, french]) => text.replace(english, french), step?.proof ?? ""),
  };
}

function describeReleases(name: StepName, facts: Deployed): TrackedStep {
  const [first] = releasesOf(facts);
  if (!first) return { ...UNDATED, name, status: "Non commencé" };
  const at = new Date(first.startedAt);
  return { name, status: "Complété", from: at, to: at, proof: `révision ${shortRevision(first.revision)}` };
}

/** The last test: whether every receiver's message has arrived. */
function describeAlertTest(name: StepName, { records }: Deployed): TrackedStep {
  const history = "history" in records ? records.history : [];
  const last = history.findLast(
    ({ action, detail }) =>
      action === "alert-test" || (action === "alert" && detail.startsWith(ALERT_TEST_DETAIL)),
  );
  if (last === undefined) return { ...UNDATED, name, status: "Non commencé" };
  const at = new Date(last.at);
  const isPassed = last.action === "alert-test";
  return {
    name,
    status: isPassed ? "Complété" : "Bloqué",
    from: at,
    to: isPassed ? at : undefined,
    proof: last.detail.slice(ALERT_TEST_DETAIL.length),
  };
}

/** The newest checks of the family; undefined when it was never checked. */
function describeChecks(
  name: StepName,
  { family, facts }: { readonly family: CheckFamily; readonly facts: Deployed },
): TrackedStep | undefined {
  const of = (release: Release) => checksOfCurrent(release).filter((check) => familyOf(check) === family);
  const last = releasesOf(facts).findLast((release) => of(release).length > 0);
  if (!last) return undefined;
  const checks = of(last);
  const failed = checks.filter(({ outcome }) => outcome === "failed");
  const open = checks.filter(({ outcome }) => outcome === "not-checked");
  const status = failed.length > 0 ? "Bloqué" : open.length > 0 ? "En cours" : "Complété";
  const result =
    failed.length > 0
      ? `en échec : ${failed.map(({ title, detail }) => `${title} (${detail})`).join(" ; ")}`
      : open.length > 0
        ? `dont ${plural(open.length, "non vérifié")}`
        : "sans échec";
  const number = last.outcome === "rolled-back" ? (last.restored ?? last.number) : last.number;
  return {
    name,
    status,
    from: new Date(last.startedAt),
    to: status === "Complété" && last.finishedAt !== undefined ? new Date(last.finishedAt) : undefined,
    proof: `mise en production nº ${number} : ${plural(checks.length, "contrôle")}, ${result}`,
  };
}

/** Part of the verification that a check belongs to, by its id. */
function familyOf({ id }: Pick<Check, "id">): CheckFamily {
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

function shortRevision(revision: string): string {
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
