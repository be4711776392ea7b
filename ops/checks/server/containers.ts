/** What runs on the server: its containers, their versions and their logs. */
import { script } from "../../../common/script.ts";
import { placeOf } from "../../../common/servers.ts";
import { enabledServices, swarmName } from "../../../common/services.ts";
import type { Environment } from "../../../stacks/environment.ts";
import { areSeveral } from "../../../stacks/servers.ts";
import { versionOf } from "../../../common/image-reference.ts";
import type { Server } from "../../server/connection.ts";
import { askServer, type CheckContext, type ServerAccess } from "../context.ts";
import { failed, type Finding, notChecked, ok, type Probe } from "../probe.ts";

export interface RunningContainer {
  readonly service: string;
  readonly id: string;
  readonly restarts: number;
  /** `healthy`, `starting`, `unhealthy`, or `none` without a health check. */
  readonly health: string;
}

/** Names of this environment's containers. */
export function expectedServices(environment: Environment): string[] {
  return [...enabledServices(environment).map(swarmName), "technicia-tunnel"];
}

/** Names of those that run on several servers at a time. */
function spreadServices(environment: Environment): string[] {
  if (!areSeveral(environment)) return [];
  return enabledServices(environment)
    .filter((service) => ["anywhere", "gateway"].includes(placeOf(service, environment)))
    .map(swarmName);
}

export async function readContainers(server: Server): Promise<RunningContainer[]> {
  const { stdout } = await server.run({
    purpose: "look at the containers",
    script: script(new URL("scripts/containers.sh", import.meta.url)),
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

/** Whether each service ran for the whole time in one and the same healthy container. */
export function judgeContainers(
  environment: Environment,
  seen: {
    readonly before: readonly RunningContainer[];
    readonly after: readonly RunningContainer[];
    readonly seconds: number;
  },
): Finding {
  const spread = spreadServices(environment);
  const problems = expectedServices(environment).flatMap((name) => {
    const [now, earlier] = [seen.after, seen.before].map((all) =>
      all.filter(({ service }) => service === name),
    );
    if (now!.length === 0) return [`${name} ne tourne pas`];
    if (now!.length > 1 && !spread.includes(name)) return [`${name} tourne ${now!.length} fois`];
    return now!.flatMap(({ id, restarts, health }) => {
      const same = earlier!.find((one) => one.id === id);
      if (!same) return [`${name} a été remplacé pendant la vérification`];
      if (same.restarts !== restarts) return [`${name} a redémarré pendant la vérification`];
      return ["healthy", "none"].includes(health) ? [] : [`${name} : santé ${health}`];
    });
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

/** Of each service: its name, the driver of its logs, and the size at which that turns them over. */
const LOG_DRIVERS =
  "docker service ls --quiet | xargs --no-run-if-empty docker service inspect --format '{{.Spec.Name}} {{with .Spec.TaskTemplate.LogDriver}}{{.Name}} {{index .Options \"max-size\"}}{{end}}'";

/** Whether the lines of all services are bounded in size, and are kept together by the monitoring. */
export async function checkLogs(
  server: Server,
  { monitoring }: Pick<Environment, "monitoring">,
): Promise<Finding> {
  const { stdout } = await server.run({
    purpose: "read how logs are kept",
    script: LOG_DRIVERS,
    timeoutSeconds: 30,
  });
  const services = stdout
    .split("\n")
    .map((line) => line.trim().split(/\s+/))
    .filter(([name]) => name?.startsWith("technicia-"));
  // The journal has a limit of its own for all lines together.
  const apart = services.filter(([, driver]) => driver !== "journald");
  const endless = apart.filter(([, , size]) => !size).map(([name]) => name);
  if (endless.length > 0) return failed(`journaux sans limite de taille : ${endless.join(", ")}`);
  if (!monitoring.enabled)
    return notChecked(
      `rotation en place pour ${services.length} services ; rien ne les centralise : technicia:monitoring.enabled`,
    );
  if (services.length === 0 || apart.length > 0)
    return notChecked("le prochain déploiement centralise les journaux de tous les services");
  const { logsDays, logsMaxGib } = monitoring;
  return ok(
    `${services.length} services centralisés, gardés ${logsDays} jours et au plus ${logsMaxGib} GiB`,
    { services: services.length },
  );
}

type Version = readonly [major: number, minor: number, patch: number];

/** Whether the versions of the settings can read the data of the versions that run. */
export function versionsProbe(
  {
    stack,
    environment,
    outputs,
    upgrades,
  }: Pick<CheckContext, "stack" | "environment" | "outputs" | "upgrades">,
  access: ServerAccess,
): Probe {
  return {
    id: "versions",
    title: "Versions : une étape à la fois pour n8n, Qdrant et PostgreSQL",
    async find() {
      if (!outputs) return notChecked("rien n'est encore déployé");
      const { images, services } = environment;
      const running = (name: string) =>
        outputs.deploymentStatus.versions.find(({ service }) => service === name)?.version;
      const found = [
        judgeStep("n8n", { from: running("n8n"), to: versionOf(images.n8n), judge: judgeN8n }),
        judgeStep("Qdrant", { from: running("qdrant"), to: versionOf(images.qdrant), judge: judgeQdrant }),
      ];
      if (services.n8n.database === "postgres") {
        const from = await postgresVersion(access);
        const to = versionOf(images.postgres);
        const judge = judgePostgres({ stack, to, isUpgrade: upgrades === "postgres" });
        found.push(judgeStep("PostgreSQL", { from, to, judge }));
      }
      const worst = (["failed", "not-checked", "ok"] as const).find((outcome) =>
        found.some((one) => one.outcome === outcome),
      )!;
      const details = found.filter(({ outcome }) => outcome === worst).map(({ detail }) => detail);
      return { outcome: worst, detail: details.join(" ; ") };
    },
  };
}

const DATABASE = `docker service inspect technicia-n8n --format '{{range .Spec.TaskTemplate.ContainerSpec.Env}}{{println .}}{{end}}' 2>/dev/null || true`;

/** Whether n8n finds its data: it moves from SQLite to PostgreSQL, and no other way. */
export function databaseProbe(
  { stack, environment, outputs }: Pick<CheckContext, "stack" | "environment" | "outputs">,
  access: ServerAccess,
): Probe {
  const { database: wanted, startEmpty } = environment.services.n8n;
  return {
    id: "n8n-database",
    title: "Base de données de n8n : la même qu'avant",
    find: () =>
      outputs
        ? askServer(access, async (server) => {
            const { stdout } = await server.run({
              purpose: "read which database n8n uses",
              script: DATABASE,
              timeoutSeconds: 30,
            });
            const type = /^DB_TYPE=(.*)$/m.exec(stdout)?.[1];
            if (type === undefined) return notChecked("la base que n8n utilise n'est pas connue");
            const running = type === "postgresdb" ? "postgres" : type;
            if (running === wanted) return ok(wanted);
            const empty = `n8n passe de ${running} à ${wanted}, une base vide : propriétaire, workflows et identifiants restent dans l'ancienne`;
            if (startEmpty) return ok(`${empty} ; voulu (services.n8n.startEmpty)`);
            if (wanted === "postgres")
              return ok(
                "n8n passe de sqlite à postgres : toutes ses données sont copiées et comptées, n8n est arrêté pendant ce temps",
              );
            const set = `pulumi config set --path technicia:services.n8n`;
            return failed(
              `n8n passe de ${running} à ${wanted}, et rien n'y ramène ses données ; le remettre : ${set}.database ${running} --stack ${stack} ; ` +
                `ou démarrer sans ses données : ${set}.startEmpty true --stack ${stack}`,
            );
          })
        : notChecked("rien n'est encore déployé"),
  };
}

function judgeStep(
  name: string,
  {
    from = "",
    to,
    judge,
  }: {
    readonly from: string | undefined;
    readonly to: string;
    /** What is wrong with this step. */
    readonly judge: (from: Version, to: Version) => string | undefined;
  },
): Finding {
  if (!/^v?\d/.test(from)) return notChecked(`version de ${name} en service inconnue`);
  if (!/^v?\d/.test(to)) return notChecked(`version de ${name} demandée inconnue (${to})`);
  const problem = judge(numbersOf(from), numbersOf(to));
  const step = `${name} ${from} → ${to}`;
  return problem === undefined ? ok(step) : failed(`${step} : ${problem}`);
}

/** n8n migrates its database when it starts, in any release; the way back is a command of the newer version. */
function judgeN8n(from: Version, to: Version): string | undefined {
  const step = to.map((number, index) => number - from[index]!).find((difference) => difference !== 0) ?? 0;
  if (step < 0)
    return "une version plus ancienne ne lit pas la base que la plus récente a migrée ; y revenir d'abord avec n8n db:revert";
  return to[0] > from[0] + 1
    ? `une version majeure à la fois ; passer d'abord par la dernière ${from[0] + 1}.x`
    : undefined;
}

function judgeQdrant([fromMajor, fromMinor]: Version, [major, minor]: Version): string | undefined {
  if (major !== fromMajor) return "une version majeure ne se change pas sur place";
  if (minor < fromMinor) return "une version plus ancienne ne lit pas les données de la plus récente";
  return minor > fromMinor + 1
    ? `une version mineure à la fois ; passer d'abord par ${major}.${fromMinor + 1}`
    : undefined;
}

function judgePostgres(about: { readonly stack: string; readonly to: string; readonly isUpgrade: boolean }) {
  return ([from]: Version, [to]: Version): string | undefined => {
    if (to < from) return "une version plus ancienne ne lit pas les données de la plus récente";
    if (to === from || (about.isUpgrade && to === from + 1)) return undefined;
    const command = `npm run upgrade -- ${about.stack} postgres ${to === from + 1 ? about.to : `${from + 1}.x`}`;
    return `PostgreSQL ne démarre pas sur les données d'une autre version majeure ; ${command} les transfère, une version à la fois`;
  };
}

/** Read on the server, because the stack's outputs leave out the optional services. */
async function postgresVersion({ server }: ServerAccess): Promise<string | undefined> {
  if (!server) return undefined;
  const { stdout } = await server.run({
    purpose: "read which PostgreSQL runs",
    script: `docker service inspect technicia-postgres --format '{{.Spec.TaskTemplate.ContainerSpec.Image}}' 2>/dev/null || true`,
    timeoutSeconds: 30,
  });
  return stdout.trim() === "" ? undefined : versionOf(stdout.trim());
}

function numbersOf(version: string): Version {
  const [major = 0, minor = 0, patch = 0] = version.replace(/^v/, "").split(".").map(Number);
  return [major, minor, patch];
}
