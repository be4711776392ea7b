/** TechnicIA's own services, asked on the server: none of them has a public port. */
import { randomUUID } from "node:crypto";

import { script } from "../../../common/script.ts";
import { COLLECTION, swarmName } from "../../../common/services.ts";
import type { Server } from "../../server/connection.ts";
import { failed, type Finding, ok } from "../probe.ts";
import type { Qdrant } from "./qdrant.ts";

const VECTOR_STORE = swarmName("vectorStore");

export function checkVectorStore(server: Server): Promise<Finding> {
  return checkHealth(server, {
    service: VECTOR_STORE,
    fields: ["qdrant_connected", "collection_exists", "voyage_api_configured"],
  });
}

export function checkDocumentProcessor(server: Server): Promise<Finding> {
  return checkHealth(server, {
    service: swarmName("documentProcessor"),
    fields: ["google_cloud_configured"],
  });
}

export function checkVisionClassifier(server: Server): Promise<Finding> {
  return checkHealth(server, {
    service: swarmName("visionClassifier"),
    fields: ["google_vision_initialized"],
  });
}

/** A service calls itself healthy whatever it lacks, so the fields that name its parts count. */
async function checkHealth(
  server: Server,
  { service, fields }: { readonly service: string; readonly fields: readonly string[] },
): Promise<Finding> {
  const { stdout } = await server.run({
    purpose: `read the health of ${service}`,
    script: script(new URL("scripts/python-health.sh", import.meta.url)),
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

interface SearchResult {
  readonly length: number;
  /** Place of the stored sentence among the results; null when it is not among them. */
  readonly rank: number | null;
  readonly score: number | null;
  readonly before: number;
  readonly during: number;
  readonly left: number;
  readonly after: number;
  readonly embedMs: number;
  readonly searchMs: number;
}

/** Stores a sentence through the vector-store, searches it, and removes it again. */
export async function checkSearch(server: Server, { url, apiKey = "" }: Qdrant): Promise<Finding> {
  const marker = `verification-${randomUUID()}`;
  const { stdout } = await server.run({
    purpose: "store and find a sentence",
    script: script(new URL("scripts/vector-search.sh", import.meta.url)),
    variables: {
      SERVICE: VECTOR_STORE,
      QDRANT: url,
      COLLECTION: COLLECTION.collection,
      API_KEY: apiKey,
      MARKER: marker,
      NAME: "verification-technicia",
      SENTENCE: `Phrase de vérification du déploiement, numéro ${marker}`,
    },
    timeoutSeconds: 120,
  });
  return judge(JSON.parse(stdout) as SearchResult);
}

function judge(result: SearchResult): Finding {
  const { length, rank, score, before, during, left, after, embedMs, searchMs } = result;
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
  // People may add documents during the check.
  const others = after === before ? "" : `, dont ${after - before} ajoutés par d'autres pendant l'essai`;
  const seen = `phrase écrite en ${embedMs} ms, trouvée en ${searchMs} ms (score ${(score ?? 0).toFixed(3)})`;
  return ok(`${seen} ; ${before} points avant, ${after} après${others}`, measures);
}

function readObject(text: string): Readonly<Record<string, unknown>> {
  try {
    return (JSON.parse(text) ?? {}) as Readonly<Record<string, unknown>>;
  } catch {
    return {};
  }
}
