import * as pulumi from "@pulumi/pulumi";

import { NOTHING_EXTRA } from "../common/nothing-extra.ts";
import { script } from "../common/script.ts";
import * as technicia from "../provider/resources.ts";

/** A collection: its vectors, and the payload fields that searches filter by. */
export interface QdrantCollectionArgs {
  readonly collection: string;

  /** Dimensions of one vector. */
  readonly size: number;

  readonly distance: "Cosine";

  /** Field name → index type. */
  readonly indexes: Readonly<Record<string, "keyword" | "integer">>;

  /** Key of Qdrant, if it asks for one. */
  readonly apiKey?: pulumi.Input<string> | undefined;
}

const QDRANT = "http://127.0.0.1:6333";

/** Creates a collection and its payload indexes. It refuses an existing collection with other vectors, and never replaces one. */
export function createQdrantCollection(
  name: string,
  args: QdrantCollectionArgs,
  opts: pulumi.CustomResourceOptions,
): technicia.State {
  const indexes = Object.fromEntries(Object.entries(args.indexes).sort(([a], [b]) => a.localeCompare(b)));
  return new technicia.State(
    name,
    {
      observe: script(new URL("scripts/qdrant-collection-observe.sh", import.meta.url)),
      desired: JSON.stringify({ size: args.size, distance: args.distance, indexes }),
      apply: script(new URL("scripts/qdrant-collection-apply.sh", import.meta.url)),
      variables: {
        QDRANT,
        COLLECTION: args.collection,
        SIZE: String(args.size),
        DISTANCE: args.distance,
        INDEXES: JSON.stringify(indexes),
      },
      secrets: { API_KEY: args.apiKey ?? "" },
    },
    opts,
  );
}

/** Reports collections and aliases beside these, and removes none: what they hold may be somebody's data. */
export function compareCollections(
  name: string,
  args: { readonly collections: readonly string[]; readonly apiKey?: pulumi.Input<string> | undefined },
  opts: pulumi.CustomResourceOptions,
): technicia.State {
  const program = script(new URL("scripts/extra-collections.sh", import.meta.url));
  return new technicia.State(
    name,
    {
      observe: `${program}\nobserve`,
      desired: NOTHING_EXTRA,
      apply: `${program}\napply`,
      variables: { QDRANT, COLLECTIONS: args.collections.join("\n") },
      secrets: { API_KEY: args.apiKey ?? "" },
    },
    opts,
  );
}
