import { enabledServices, swarmName } from "../../../common/services.ts";
import type { Environment } from "../../../stacks/environment.ts";
import type { Server } from "../../server/connection.ts";
import { failed, type Finding, ok } from "../finding.ts";
import { script } from "./script.ts";

export interface RunningContainer {
  readonly service: string;
  readonly id: string;
  readonly restarts: number;
  /** `healthy`, `starting`, `unhealthy`, or `none` where nobody asks. */
  readonly health: string;
}

/** Names under which this environment's containers run. */
export function expectedServices(environment: Environment): string[] {
  return [...enabledServices(environment).map(swarmName), "technicia-tunnel"];
}

export async function readContainers(server: Server): Promise<RunningContainer[]> {
  const { stdout } = await server.run({
    purpose: "look at the containers",
    script: script("containers.sh"),
    timeoutSeconds: 30,
  });
  return stdout
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => {
      const [service = "", id = "", restarts = "0", health = "none"] = line.split(" ");
      return { service, id, restarts: Number(restarts), health };
    });
}

/** Whether each service ran all the while, as one and the same healthy container. */
export function judgeContainers(
  environment: Environment,
  seen: {
    readonly before: readonly RunningContainer[];
    readonly after: readonly RunningContainer[];
    readonly seconds: number;
  },
): Finding {
  const problems = expectedServices(environment).flatMap((name) => {
    const [first, ...more] = seen.after.filter(({ service }) => service === name);
    const earlier = seen.before.filter(({ service }) => service === name);
    if (!first) return [`${name} ne tourne pas`];
    if (more.length > 0) return [`${name} tourne ${more.length + 1} fois`];
    const same = earlier.find(({ id }) => id === first.id);
    if (!same) return [`${name} a été remplacé pendant la vérification`];
    if (same.restarts !== first.restarts) return [`${name} a redémarré pendant la vérification`];
    return ["healthy", "none"].includes(first.health) ? [] : [`${name} : santé ${first.health}`];
  });
  const seconds = Math.round(seen.seconds);
  const measures = { containers: seen.after.length, observedSeconds: seconds };
  return problems.length > 0
    ? failed(problems.join(" ; "), measures)
    : ok(
        `${expectedServices(environment).length} conteneurs en marche et sains, sans redémarrage en ${seconds} s`,
        measures,
      );
}
