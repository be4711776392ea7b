import type { Server } from "../../server/connection.ts";
import { failed, type Finding, notChecked } from "../finding.ts";

const SERVICES =
  "docker service ls --quiet | xargs --no-run-if-empty docker service inspect --format '{{.Spec.Name}} {{with .Spec.TaskTemplate.LogDriver}}{{index .Options \"max-size\"}}{{end}}'";

/** Logs are rotated on the server; nothing gathers them yet, so that the whole item is never shown as done. */
export async function checkLogs(server: Server): Promise<Finding> {
  const { stdout } = await server.run({
    purpose: "read how logs are kept",
    script: SERVICES,
    timeoutSeconds: 30,
  });
  const services = stdout
    .split("\n")
    .map((line) => line.trim().split(/\s+/))
    .filter(([name]) => name?.startsWith("technicia-"));
  const endless = services.filter(([, size]) => !size).map(([name]) => name);
  if (endless.length > 0) return failed(`journaux sans limite de taille : ${endless.join(", ")}`);
  return notChecked(
    `rotation en place pour ${services.length} services ; aucune centralisation n'est encore prévue par le projet`,
  );
}
