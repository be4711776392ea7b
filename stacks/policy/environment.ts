/** Rules about an environment as a whole. They stop it at its first resource, before anything is created. */
import { backupBucket } from "../backup-schema.ts";
import { at, type Facts, type Resource, type Rule } from "./rule.ts";

const STACK = "pulumi:pulumi:Stack";

export const environmentRules: readonly Rule[] = [
  {
    name: "backups-enabled",
    description: "An environment that protects its data makes backups.",
    level: "mandatory",
    exceptedAs: "backups",
    judge: ({ type }, { environment }) =>
      type === STACK && environment?.protectData === true && !isBackedUp(environment)
        ? [
            "backup.project: expected a project or a bucket, because protectData is true; set backup.project (docs/accounts.md)",
          ]
        : [],
    judgeAll: (resources, { environment }) =>
      environment?.protectData === true && isBackedUp(environment) && !runs(resources, "backup-schedule")
        ? [
            "backup-schedule: expected the timer of the backups, enabled and active; declare it (components/backup.ts)",
          ]
        : [],
  },
  {
    name: "monitoring-enabled",
    description: "An environment that protects its data is monitored.",
    level: "mandatory",
    exceptedAs: "monitoring",
    judge: ({ type }, { environment }) =>
      type === STACK && environment?.protectData === true && !environment.monitoring.enabled
        ? ["monitoring.enabled: expected true, because protectData is true; set it"]
        : [],
    judgeAll: (resources, { environment }) =>
      environment?.protectData === true &&
      environment.monitoring.enabled &&
      !runs(resources, "monitoring-collect")
        ? [
            "monitoring-collect: expected the unit that measures, enabled and active; declare it (components/monitoring.ts)",
          ]
        : [],
  },
  {
    name: "exceptions",
    description: "Every exception from a rule is shown, with its reason and its end.",
    level: "advisory",
    judge: ({ type }, { environment, now }) =>
      type !== STACK
        ? []
        : (environment?.policy.exceptions ?? []).map(({ rule, until, reason }, index) =>
            isOver(until, now)
              ? `policy.exceptions[${index}]: expected an exception that has not ended, "${rule}" ended on ${until}; remove it`
              : `policy.exceptions[${index}]: "${rule}" is excepted until ${until}: ${reason}`,
          ),
  },
];

/** The last day belongs to an exception, by UTC. */
export function isOver(until: string, now: Date): boolean {
  return now.toISOString().slice(0, 10) > until;
}

function isBackedUp({ name, backup }: NonNullable<Facts["environment"]>): boolean {
  return backupBucket(name, backup) !== undefined;
}

/** Whether a unit of systemd is among the resources and nothing switches it off. */
function runs(resources: readonly Resource[], name: string): boolean {
  return resources.some(
    ({ inputs, ...resource }) =>
      resource.type === "technicia:host:Unit" &&
      resource.name === name &&
      at(inputs, "enabled") !== false &&
      at(inputs, "active") !== false,
  );
}
