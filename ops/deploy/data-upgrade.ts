/** One database goes to its next version within a release, before the engine runs. */
import { readImageReference, versionOf } from "../../common/image-reference.ts";
import { swarmName, type UpgradedService } from "../../common/services.ts";
import { UserError } from "../../common/user-error.ts";
import { renderCounts } from "../backup/backup.ts";
import { callProgram, restored } from "../backup/program.ts";
import { following } from "../hold/following.ts";
import { registryLogin } from "./image-commands.ts";
import type { Session } from "./session.ts";

const UPGRADE_SECONDS = 6 * 3600;

/** Databases that this command knows, and the version numbers of which only the next is a step. */
export const KNOWN = {
  qdrant: { name: "Qdrant", numbers: 3, example: "1.20.0", step: "minor" },
  postgres: { name: "PostgreSQL", numbers: 2, example: "18.1", step: "major" },
} as const satisfies Record<UpgradedService, object>;

/** What is wrong with the step; undefined where it is the next one. */
export function judgeUpgrade(
  service: UpgradedService,
  { stack, from, to }: { readonly stack: string; readonly from: string; readonly to: string },
): string | undefined {
  const [old, next] = [from, to].map((version) => version.split(".").map(Number)) as [number[], number[]];
  const difference = next.map((number, index) => number - (old[index] ?? 0)).find((one) => one !== 0) ?? 0;
  const { name } = KNOWN[service];
  if (difference === 0) return `expected a later version than ${from}, which runs already, got ${to}`;
  if (difference < 0)
    return `expected a later version than ${from}, got ${to}; an older one does not read its data: npm run rollback -- ${stack} --with-data goes back with the data of then`;
  if (service === "postgres") {
    if (next[0]! <= old[0]! + 1) return undefined;
    return `expected the next major version of ${name}, one at a time, got ${from} → ${to}; go to ${old[0]! + 1} first`;
  }
  if (next[0] !== old[0])
    return `expected a version ${old[0]}.x, got ${to}; another major version of ${name} does not read this data`;
  if (next[1]! <= old[1]! + 1) return undefined;
  return `expected the next minor version of ${name}, one at a time, got ${from} → ${to}; go to ${old[0]}.${old[1]! + 1} first`;
}

/** As somebody types it again who was interrupted. */
export function upgradeCommand({
  stack,
  service,
  version,
}: {
  readonly stack: string;
  readonly service: UpgradedService;
  readonly version: string;
}): string {
  return `npm run upgrade -- ${stack} ${service} ${version}`;
}

/** Without the `v` that some tags begin with. */
export function plain(version: string): string {
  return version.replace(/^v/, "");
}

export function isVersion(text: string, numbers: number): boolean {
  return new RegExp(String.raw`^\d+(\.\d+){${numbers - 1}}$`).test(text);
}

interface DataUpgrade {
  readonly service: UpgradedService;

  /** Image of the next version, by its tag. */
  readonly image: string;

  /** Id of the set that was made before. */
  readonly set: string | undefined;
}

/** The server does the step, or takes it back. */
export async function upgradeData(session: Session, { service, image, set }: DataUpgrade): Promise<void> {
  const { stack, server, operator, environment, pulumi } = session;
  if (server === undefined || set === undefined)
    throw new UserError(
      `${stack}: expected a set of backups before the upgrade, got none; make one with npm run backup -- ${stack}`,
    );
  const isPinned = readImageReference(image)?.digest !== undefined;
  const login = await registryLogin(stack, environment, pulumi);
  const reference = isPinned ? image : `${image}@${await operator.imageDigest(image, login)}`;
  const version = plain(versionOf(image));
  const result = await following(session.hold, operator.say, (say) =>
    callProgram(server, {
      purpose: `upgrade ${KNOWN[service].name}`,
      words: [
        ...["upgrade", "--service", swarmName(service), "--image", reference, "--set", set],
        ...["--command", upgradeCommand({ stack, service, version })],
      ],
      answer: restored,
      timeoutSeconds: UPGRADE_SECONDS,
      say,
    }),
  );
  const counts = Object.values(result.counts).map(renderCounts).join(", ");
  operator.say(`${KNOWN[service].name} ${version} has the same counts: ${counts}`);
  await session.audit({
    action: "maintenance",
    reason: "",
    detail: `${KNOWN[service].name} ${version} : mêmes comptes qu'avant (${counts}), arrêt de ${result.stoppedSeconds} s`,
  });
}
