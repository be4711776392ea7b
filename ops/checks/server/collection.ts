/** The vector database: ready, with the one collection as it has to be, and deaf without its key. */
import { COLLECTION } from "../../../common/services.ts";
import type { Server } from "../../server/connection.ts";
import type { CheckContext } from "../context.ts";
import { failed, type Finding, ok } from "../finding.ts";
import { script } from "./script.ts";
import type { World } from "../world.ts";

const { collection, size, distance, indexes } = COLLECTION;

interface Description {
  readonly status?: string;
  readonly points_count?: number;
  readonly config?: {
    readonly params?: { readonly vectors?: { readonly size?: number; readonly distance?: string } };
  };
  readonly payload_schema?: Readonly<Record<string, { readonly data_type?: string }>>;
}

type Asking = Pick<CheckContext, "environment" | "secrets">;

export async function checkQdrantReady(context: Asking, server: Server, world: World): Promise<Finding> {
  const { code } = await ask(context, server, world, "/readyz");
  if (code !== "200") return failed(`Qdrant n'est pas prêt : /readyz répond ${code}`);
  if (!context.environment.services.qdrant.apiKey)
    return ok("Qdrant est prêt ; seul le réseau interne y mène");
  const stranger = await ask({ ...context, secrets: {} }, server, world, "/collections");
  return stranger.code === "401" || stranger.code === "403"
    ? ok(`Qdrant est prêt et refuse qui n'a pas la clé (${stranger.code})`)
    : failed(`Qdrant répond ${stranger.code} à qui n'a pas la clé, attendu 401`);
}

export async function checkCollection(context: Asking, server: Server, world: World): Promise<Finding> {
  const { code, body } = await ask(context, server, world, `/collections/${collection}`);
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

async function ask({ environment, secrets }: Asking, server: Server, { loopback }: World, path: string) {
  const { stdout } = await server.run({
    purpose: "ask Qdrant",
    script: script("qdrant-get.sh"),
    variables: {
      QDRANT: loopback.qdrant,
      REQUEST_PATH: path,
      API_KEY: environment.services.qdrant.apiKey ? (secrets["qdrantApiKey"] ?? "") : "",
    },
    timeoutSeconds: 30,
  });
  const [code = "", ...body] = stdout.split("\n");
  return { code, body: body.join("\n") };
}
