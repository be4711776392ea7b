/** TechnicIA's own services, asked from inside: they have no port that leads out. */
import { randomUUID } from "node:crypto";

import { COLLECTION, swarmName } from "../../../common/services.ts";
import type { Server } from "../../server/connection.ts";
import type { CheckContext } from "../context.ts";
import { failed, type Finding, ok } from "../finding.ts";
import { script } from "./script.ts";
import type { World } from "../world.ts";

const VECTOR_STORE = swarmName("vectorStore");

export function checkVectorStore(server: Server): Promise<Finding> {
  return checkHealth(server, VECTOR_STORE, [
    "qdrant_connected",
    "collection_exists",
    "voyage_api_configured",
  ]);
}

export function checkDocumentProcessor(server: Server): Promise<Finding> {
  return checkHealth(server, swarmName("documentProcessor"), ["google_cloud_configured"]);
}

export function checkVisionClassifier(server: Server): Promise<Finding> {
  return checkHealth(server, swarmName("visionClassifier"), ["google_vision_initialized"]);
}

/** A service says that it is healthy whatever it lacks: every field that tells more has to be true. */
async function checkHealth(server: Server, service: string, fields: readonly string[]): Promise<Finding> {
  const { stdout } = await server.run({
    purpose: `ask ${service} how it is`,
    script: script("python-health.sh"),
    variables: { SERVICE: service },
    timeoutSeconds: 30,
  });
  const [code = "", ...rest] = stdout.trim().split("\n");
  const health = readObject(rest.join("\n"));
  const wrong = fields.filter((field) => health[field] !== true);
  if (code !== "200") return failed(`${service} : /health répond ${code}`);
  return wrong.length > 0
    ? failed(`${service} : ${wrong.map((field) => `${field} n'est pas vrai`).join(", ")}`)
    : ok(`${service} : ${fields.join(", ")}`);
}

interface Seen {
  readonly length: number;
  /** Place of the stored sentence among the results; null when it is not there. */
  readonly rank: number | null;
  readonly score: number | null;
  readonly before: number;
  readonly during: number;
  readonly left: number;
  readonly after: number;
  readonly embedMs: number;
  readonly searchMs: number;
}

/** Stores a sentence by way of the vector-store, finds it again, and leaves the collection as it was. */
export async function checkSearch(
  { environment, secrets }: Pick<CheckContext, "environment" | "secrets">,
  server: Server,
  { loopback }: World,
): Promise<Finding> {
  const marker = `verification-${randomUUID()}`;
  const { stdout } = await server.run({
    purpose: "store and find a sentence",
    script: script("vector-search.sh"),
    variables: {
      SERVICE: VECTOR_STORE,
      QDRANT: loopback.qdrant,
      COLLECTION: COLLECTION.collection,
      API_KEY: environment.services.qdrant.apiKey ? (secrets["qdrantApiKey"] ?? "") : "",
      MARKER: marker,
      NAME: "verification-technicia",
      SENTENCE: `Phrase de vérification du déploiement, numéro ${marker}`,
    },
    timeoutSeconds: 120,
  });
  return judge(JSON.parse(stdout) as Seen);
}

function judge(seen: Seen): Finding {
  const { length, rank, score, before, during, left, after, embedMs, searchMs } = seen;
  const measures = { embedMs, searchMs, pointsBefore: before, pointsAfter: after };
  const problems = [
    ...(length === COLLECTION.size ? [] : [`vecteur de ${length} nombres, attendu ${COLLECTION.size}`]),
    ...(during === 1 ? [] : [`${during} points écrits, attendu 1`]),
    ...(rank === 0
      ? []
      : [rank === null ? "phrase introuvable" : `phrase trouvée au rang ${rank + 1}, attendu 1`]),
    ...(left === 0 ? [] : [`${left} points de vérification restés`]),
    ...(after >= before ? [] : [`${before} points avant, ${after} après : des points ont disparu`]),
  ];
  if (problems.length > 0) return failed(problems.join(" ; "), measures);
  // Documents that somebody adds meanwhile are no fault.
  const others = after === before ? "" : `, dont ${after - before} ajoutés par d'autres pendant l'essai`;
  const told = `phrase écrite en ${embedMs} ms, trouvée en ${searchMs} ms (score ${(score ?? 0).toFixed(3)})`;
  return ok(`${told} ; ${before} points avant, ${after} après${others}`, measures);
}

function readObject(text: string): Readonly<Record<string, unknown>> {
  try {
    return (JSON.parse(text) ?? {}) as Readonly<Record<string, unknown>>;
  } catch {
    return {};
  }
}
