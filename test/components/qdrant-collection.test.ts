import * as pulumi from "@pulumi/pulumi";
import { describe, expect, it } from "vitest";

import { createQdrantCollection, type QdrantCollectionArgs } from "../../components/qdrant-collection.ts";
import * as technicia from "../../provider/resources.ts";
import { register, Sealed } from "../support/engine.ts";

async function inputsOf(change: Partial<QdrantCollectionArgs> = {}) {
  const { resource } = await register(() => {
    const provider = new technicia.Connection("host", {});
    createQdrantCollection(
      "qdrant-collection",
      {
        collection: "technicia",
        size: 1024,
        distance: "Cosine",
        indexes: { type: "keyword", page_number: "integer", document_id: "keyword" },
        ...change,
      },
      { provider },
    );
  });
  return resource("qdrant-collection").inputs;
}

const INDEXES = '{"document_id":"keyword","page_number":"integer","type":"keyword"}';

describe("createQdrantCollection", () => {
  it("describes the collection as its observation prints it, fields in order", async () => {
    const inputs = await inputsOf();

    expect(inputs["desired"]).toBe(`{"size":1024,"distance":"Cosine","indexes":${INDEXES}}`);
    expect(inputs["variables"]).toEqual({
      QDRANT: "http://127.0.0.1:6333",
      COLLECTION: "technicia",
      SIZE: "1024",
      DISTANCE: "Cosine",
      INDEXES,
    });
  });

  it("passes the key as a secret, never in an argument of curl", async () => {
    const inputs = await inputsOf({ apiKey: pulumi.secret("canary-of-qdrant") });

    expect(inputs["secrets"]).toEqual({ API_KEY: new Sealed("canary-of-qdrant") });
    for (const script of [inputs["observe"], inputs["apply"]]) {
      expect(script).toContain(`--header @<(printf 'api-key: %s\\n' "$API_KEY")`);
    }
  });

  it("sends an empty key when Qdrant needs none", async () => {
    expect((await inputsOf())["secrets"]).toEqual({ API_KEY: "" });
  });

  it("is never removed by a destroy: its points are data", async () => {
    const inputs = await inputsOf();

    expect(inputs["remove"]).toBeUndefined();
    expect(String(inputs["apply"]).match(/DELETE "\S+/g)).toEqual([
      'DELETE "$collection/index/$field?wait=true"',
    ]);
  });
});
