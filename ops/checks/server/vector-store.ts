/** Qdrant and TechnicIA's own services, asked on the server: none of them has a public port. */
import { randomUUID } from "node:crypto";

import { scriptParts } from "../../../common/script.ts";
import { COLLECTION, swarmName } from "../../../common/services.ts";
import type { Server } from "../../server/connection.ts";
import type { CheckContext } from "../context.ts";
import { failed, type Finding, ok } from "../probe.ts";

const SCRIPTS = scriptParts(new URL("scripts/vector-store.sh", import.meta.url), [
  "qdrant",
  "container",
  "health",
  "search",
]);

export interface Qdrant {
  /** Base URL on the server's loopback. */
  readonly url: string;
  /** Undefined where Qdrant needs none; empty where it needs one that is not set. */
  readonly apiKey: string | undefined;
}

export function qdrantOf(
  { environment, secrets }: Pick<CheckContext, "environment" | "secrets">,
  url: string,
): Qdrant {
  const { apiKey: needsKey } = environment.services.qdrant;
  return { url, apiKey: needsKey ? (secrets["qdrantApiKey"] ?? "") : undefined };
}

const { collection, size, distance, indexes } = COLLECTION;

interface Description {
  readonly status?: string;
  readonly points_count?: number;
  readonly config?: {
    readonly params?: { readonly vectors?: { readonly size?: number; readonly distance?: string } };
  };
  readonly payload_schema?: Readonly<Record<string, { readonly data_type?: string }>>;
}

export async function checkQdrantReady(server: Server, qdrant: Qdrant): Promise<Finding> {
  const { code } = await ask(server, { ...qdrant, path: "/readyz" });
  if (code !== "200") return failed(`Qdrant n'est pas prêt : /readyz répond ${code}`);
  if (qdrant.apiKey === undefined) return ok("Qdrant est prêt ; seul le réseau interne y mène");
  const stranger = await ask(server, { url: qdrant.url, apiKey: undefined, path: "/collections" });
  return stranger.code === "401" || stranger.code === "403"
    ? ok(`Qdrant est prêt et refuse qui n'a pas la clé (${stranger.code})`)
    : failed(`Qdrant répond ${stranger.code} à qui n'a pas la clé, attendu 401`);
}

export async function checkCollection(server: Server, qdrant: Qdrant): Promise<Finding> {
  const { code, body } = await ask(server, { ...qdrant, path: `/collections/${collection}` });
  if (code !== "200") return failed(`collection ${collection} : Qdrant répond ${code}`);
  const { result = {} } = JSON.parse(body) as { result?: Description };
  const vectors = result.config?.params?.vectors;
  const schema = result.payload_schema ?? {};
  const missing = Object.entries(indexes)
    .filter(([field, type]) => schema[field]?.data_type !== type)
    .map(([field, type]) => `${field} (${type})`);
  const problems = [
    ...(vectors?.size === size && vectors.distance === distance
      ? []
      : [`vecteurs ${vectors?.size ?? "?"} ${vectors?.distance ?? "?"}, attendu ${size} ${distance}`]),
    ...(missing.length > 0 ? [`index manquants : ${missing.join(", ")}`] : []),
    ...(result.status === "red" ? ["Qdrant la dit en panne (red)"] : []),
  ];
  const measures = { points: result.points_count ?? 0 };
  if (problems.length > 0) return failed(`collection ${collection} : ${problems.join(" ; ")}`, measures);
  return ok(
    `collection ${collection} : ${size} ${distance}, ${Object.keys(indexes).length} index, ${measures.points} points`,
    measures,
  );
}

async function ask(server: Server, { url, apiKey = "", path }: Qdrant & { readonly path: string }) {
  const { stdout } = await server.run({
    purpose: "ask Qdrant",
    script: SCRIPTS.qdrant,
    variables: { QDRANT: url, REQUEST_PATH: path, API_KEY: apiKey },
    timeoutSeconds: 30,
  });
  const [code = "", ...body] = stdout.split("\n");
  return { code, body: body.join("\n") };
}

/** Each service calls itself healthy whatever it lacks, so the fields that name its parts count. */
const HEALTH_FIELDS = {
  vectorStore: ["qdrant_connected", "collection_exists", "voyage_api_configured"],
  documentProcessor: ["google_cloud_configured"],
  visionClassifier: ["google_vision_initialized"],
} as const;

export async function checkHealth(server: Server, name: keyof typeof HEALTH_FIELDS): Promise<Finding> {
  const fields = HEALTH_FIELDS[name];
  const service = swarmName(name);
  const { stdout } = await server.run({
    purpose: `read the health of ${service}`,
    script: SCRIPTS.container + SCRIPTS.health,
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
  /** Of the vector that the vector-store made. */
  readonly length: number;
  /** Of the collection's vectors. */
  readonly size: number;
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

/** Qdrant's words, which the vector-store repeats. */
const QDRANT_REFUSES_SIZE = /Vector dimension error: expected dim: (?<expected>\d+), got (?<got>\d+)/;

function describeSizes(made: number, held: number): string {
  return (
    `vector-store produit des vecteurs de ${made} nombres, la collection ${collection} en contient de ${held} ; ` +
    "déployer une version de vector-store de la même taille, ou recréer la collection et réindexer"
  );
}

/** Stores a sentence through the vector-store, searches it, and removes it again. */
export async function checkSearch(server: Server, { url, apiKey = "" }: Qdrant): Promise<Finding> {
  const marker = `verification-${randomUUID()}`;
  const stored = server.run({
    purpose: "store and find a sentence",
    script: SCRIPTS.container + SCRIPTS.search,
    variables: {
      SERVICE: swarmName("vectorStore"),
      QDRANT: url,
      COLLECTION: COLLECTION.collection,
      API_KEY: apiKey,
      MARKER: marker,
      NAME: "verification-technicia",
      SENTENCE: `Phrase de vérification du déploiement, numéro ${marker}`,
    },
    timeoutSeconds: 120,
  });
  const answer = await stored.catch((error: Error) => {
    const sizes = QDRANT_REFUSES_SIZE.exec(error.message)?.groups;
    if (!sizes) throw error;
    return failed(describeSizes(Number(sizes["got"]), Number(sizes["expected"])));
  });
  if ("outcome" in answer) return answer;
  const result = JSON.parse(answer.stdout) as SearchResult;
  const { length, size: held, rank, score, before, during, left, after, embedMs, searchMs } = result;
  const measures = { embedMs, searchMs, pointsBefore: before, pointsAfter: after };
  const problems = [
    ...(length === held ? [] : [describeSizes(length, held)]),
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
