/** The vector database: ready, with its one collection, and closed to requests without its key. */
import { script } from "../../../common/script.ts";
import { COLLECTION } from "../../../common/services.ts";
import type { Server } from "../../server/connection.ts";
import type { CheckContext } from "../context.ts";
import { failed, type Finding, ok } from "../probe.ts";

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
    script: script(new URL("scripts/qdrant-get.sh", import.meta.url)),
    variables: { QDRANT: url, REQUEST_PATH: path, API_KEY: apiKey },
    timeoutSeconds: 30,
  });
  const [code = "", ...body] = stdout.split("\n");
  return { code, body: body.join("\n") };
}
