import { versionOf } from "../../../stacks/image-reference.ts";
import type { CheckContext } from "../context.ts";
import { failed, notChecked, ok, type Probe } from "../finding.ts";
import type { Inside } from "./access.ts";

/** Whether data of the version that runs can be read by the version that is wanted. */
export function versionsProbe({ environment, outputs }: CheckContext, inside: Inside): Probe {
  return {
    id: "versions",
    title: "Versions : une étape à la fois pour Qdrant et PostgreSQL",
    async find() {
      if (!outputs) return notChecked("rien n'est encore déployé");
      const { images, services } = environment;
      const told: string[] = [];
      const problems: string[] = [];
      const unknown: string[] = [];
      const look = (name: string, from: string | undefined, to: string, judge: Judge) => {
        if (!/^v?\d/.test(from ?? "")) unknown.push(`version de ${name} en service inconnue`);
        else {
          const problem = judge(numbersOf(from!), numbersOf(to));
          if (problem === undefined) told.push(`${name} ${from!} → ${to}`);
          else problems.push(`${name} ${from!} → ${to} : ${problem}`);
        }
      };
      const running = outputs.deploymentStatus.versions.find(({ service }) => service === "qdrant")?.version;
      look("Qdrant", running, versionOf(images.qdrant), judgeQdrant);
      if (services.n8n.database === "postgres") {
        look("PostgreSQL", await postgresVersion(inside), versionOf(images.postgres), judgePostgres);
      }
      if (problems.length > 0) return failed(problems.join(" ; "));
      return unknown.length > 0 ? notChecked(unknown.join(" ; ")) : ok(told.join(" ; "));
    },
  };
}

type Version = readonly [major: number, minor: number];
type Judge = (from: Version, to: Version) => string | undefined;

function judgeQdrant([fromMajor, fromMinor]: Version, [major, minor]: Version): string | undefined {
  if (major !== fromMajor) return "une version majeure ne se change pas sur place";
  if (minor < fromMinor) return "une version plus ancienne ne lit pas les données de la plus récente";
  return minor > fromMinor + 1
    ? `une version mineure à la fois ; passer d'abord par ${major}.${fromMinor + 1}`
    : undefined;
}

function judgePostgres([from]: Version, [to]: Version): string | undefined {
  if (to < from) return "une version plus ancienne ne lit pas les données de la plus récente";
  return to > from
    ? "PostgreSQL ne démarre pas sur les données d'une autre version majeure ; les transférer d'abord (pg_dump), une version à la fois"
    : undefined;
}

/** The optional services are not among the outputs; the server knows them. */
async function postgresVersion(inside: Inside): Promise<string | undefined> {
  if (typeof inside === "string") return undefined;
  const { stdout } = await inside.run({
    purpose: "read which PostgreSQL runs",
    script: `docker service inspect technicia-postgres --format '{{.Spec.TaskTemplate.ContainerSpec.Image}}' 2>/dev/null || true`,
    timeoutSeconds: 30,
  });
  return stdout.trim() === "" ? undefined : versionOf(stdout.trim());
}

function numbersOf(version: string): Version {
  const [major = 0, minor = 0] = version.replace(/^v/, "").split(".").map(Number);
  return [major, minor];
}
